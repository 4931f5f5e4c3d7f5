#include "aggregator/watch/fleet_book.h"

#include <algorithm>

namespace tributary {

FleetBook::FleetBook(const Parts& parts, AccountBook account, MemberBook members, GatewayBook gateways)
    : parts_(parts), account_(std::move(account)), members_(std::move(members)), gateways_(std::move(gateways)) {}

Result<FleetBook> FleetBook::Open(const Parts& parts) {
  ASSIGN_OR_RETURN(auto account, AccountBook::Open(parts.store.accounts));
  ASSIGN_OR_RETURN(auto members, MemberBook::Open(parts.store.members));
  ASSIGN_OR_RETURN(auto gateways, GatewayBook::Open(parts.store.gateways, parts.clock.Now()));
  return FleetBook(parts, std::move(account), std::move(members), std::move(gateways));
}

Result<std::vector<GatewayRecord>> FleetBook::Gateways() {
  const WallTime now = parts_.clock.Now();
  std::vector<GatewayRecord> gateways = gateways_.All(now);
  // A gateway that checked in and did not describe itself is listed with what its check-in said.
  for (const MemberRecord& member : members_.All(Role::kGateway)) {
    if (std::ranges::any_of(gateways, [&](const GatewayRecord& known) { return known.report.gateway == member.id; }))
      continue;
    GatewayRecord& gateway = gateways.emplace_back();
    gateway.report.gateway = gateway.via = member.id;
    gateway.report.spool_bytes = member.spooled_bytes;
    gateway.report.connected_clients = static_cast<uint32_t>(member.connected_clients);
    gateway.first_seen = member.first_seen;
    gateway.made = gateway.last_seen = member.last_seen;
    gateway.path = {member.id};
    gateway.quiet = Millis(std::max<int64_t>(0, now.unix_millis - member.last_seen.unix_millis));
  }
  std::ranges::sort(gateways, {}, [](const GatewayRecord& gateway) { return gateway.report.gateway; });
  return gateways;
}

// Staged uploads are offered, and nothing else yet. Those in a sum stay staged until their custody is taken.
AccountRecord FleetBook::Account(UploadKind kind) const {
  AccountRecord account = account_.Get(kind);
  const uint64_t staged = parts_.staged ? parts_.staged(kind) : 0;
  account.in_flight = staged - std::min(staged, account.spooled);
  account.offered += account.in_flight;
  return account;
}

void FleetBook::Saw(const MemberRecord& member) {
  if (!members_.Saw(member, parts_.clock.Now())) return;
  parts_.events.Say({.name = "member.joined", .detail = member.role + " " + member.id.text()});
}

void FleetBook::SawAuthor(const Subject& author, const DeviceId& via) {
  MemberRecord member;
  member.id = author.id;
  member.via = via;
  member.role = RoleName(author.role);
  member.device_class = author.device_class;
  Saw(member);
}

void FleetBook::SawGateways(const std::vector<GatewayState>& states, const DeviceId& via) {
  gateways_.Saw(states, via, parts_.clock.Now());
}

Status FleetBook::Save() {
  RETURN_IF_ERROR(account_.Save(parts_.store.accounts));
  RETURN_IF_ERROR(members_.Save(parts_.store.members));
  return gateways_.Save(parts_.store.gateways);
}

void FleetBook::Saved() {
  account_.Saved();
  members_.Saved();
  gateways_.Saved();
}

}  // namespace tributary
