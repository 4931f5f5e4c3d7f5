#include "aggregator/watch/fleet_book.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr size_t kMostGateways = 10'000;
constexpr Millis kForgetAfter = std::chrono::hours(24 * 30);

Millis Since(WallTime then, WallTime now) { return Millis(std::max<int64_t>(0, now.unix_millis - then.unix_millis)); }

}  // namespace

Result<FleetBook> FleetBook::Open(const Parts& parts) {
  const WallTime now = parts.clock.Now();
  ASSIGN_OR_RETURN(auto account, AccountBook::Open(parts.store.accounts));
  FleetBook book(parts, std::move(account));
  ASSIGN_OR_RETURN(auto members, parts.store.members.All());
  for (MemberRecord& member : members) book.members_.emplace(member.id, std::move(member));
  ASSIGN_OR_RETURN(auto gateways, parts.store.gateways.All());
  for (GatewayRecord& gateway : gateways) {
    if (gateway.last_seen + kForgetAfter < now) continue;
    const DeviceId id = gateway.report.gateway;
    book.gateways_.emplace(id, std::move(gateway));
  }
  if (const auto states = parts.store.reports.All(); states) {
    for (const DeviceStateRecord& state : *states) (void)book.failures_.Put(state);
  } else {
    // Rounds do without: they wait for devices that cannot train until the next states come.
    LogFailure(LogLevel::kWarning, "fleet.failures_not_read", states.error());
  }
  // Tidying may wait for a disk that takes it.
  if (book.gateways_.size() < gateways.size()) (void)parts.store.gateways.ForgetBefore(now + -kForgetAfter);
  return book;
}

Result<std::vector<MemberRecord>> FleetBook::Members(std::optional<Role> role) {
  std::vector<MemberRecord> members;
  for (const auto& [id, member] : members_) {
    if (!role || member.role == RoleName(*role)) members.push_back(member);
  }
  return members;
}

Result<std::vector<GatewayRecord>> FleetBook::Gateways() {
  const WallTime now = parts_.clock.Now();
  std::vector<GatewayRecord> gateways;
  for (const auto& [id, gateway] : gateways_) {
    GatewayRecord& listed = gateways.emplace_back(gateway);
    listed.path = PathOf(gateway);
    listed.quiet = Since(gateway.made, now);
  }
  // A gateway that checked in and did not describe itself is listed with what its check-in said.
  for (const auto& [id, member] : members_) {
    if (member.role != RoleName(Role::kGateway) || gateways_.contains(id)) continue;
    GatewayRecord& gateway = gateways.emplace_back();
    gateway.report.gateway = gateway.via = id;
    gateway.report.spool_bytes = member.spooled_bytes;
    gateway.report.connected_clients = static_cast<uint32_t>(member.connected_clients);
    gateway.first_seen = member.first_seen;
    gateway.made = gateway.last_seen = member.last_seen;
    gateway.path = {id};
    gateway.quiet = Since(member.last_seen, now);
  }
  std::ranges::sort(gateways, {}, [](const GatewayRecord& gateway) { return gateway.report.gateway; });
  return gateways;
}

std::vector<DeviceId> FleetBook::PathOf(const GatewayRecord& gateway) const {
  std::vector<DeviceId> path = {gateway.report.gateway};
  // A gateway may name a parent that it had earlier, so that the path makes a ring.
  for (const GatewayRecord* at = &gateway; path.size() < limits::kPathHops && !at->report.parent.empty();) {
    path.push_back(at->report.parent);
    const auto parent = gateways_.find(at->report.parent);
    if (parent == gateways_.end()) break;
    at = &parent->second;
  }
  std::ranges::reverse(path);
  return path;
}

// Staged uploads are offered, and nothing else yet. Those in a sum stay staged until their custody is taken.
KindAccount FleetBook::Account(UploadKind kind) const {
  KindAccount account = account_.Get(kind);
  const uint64_t staged = parts_.staged ? parts_.staged(kind) : 0;
  account.in_flight = staged - std::min(staged, account.spooled);
  account.offered += account.in_flight;
  return account;
}

Status FleetBook::ForgetDeviceState(const DeviceId& device) {
  RETURN_IF_ERROR(parts_.store.reports.Remove(device));
  failures_.Put({device, {}, parts_.clock.Now(), {}});
  went_back_.erase(device);
  attention_.erase(device);
  return {};
}

void FleetBook::WentBack(const DeviceId& device, const TaskId& task, const Error& why) {
  const std::string sentence = fmt::format(
      "What {0} says of itself went back ({1}): it lost its data folder and kept its identity, or an older copy of the "
      "folder is at work. If you know of it, say 'tributary devices forget {0} --report-only'; if not, somebody else "
      "has "
      "its key: revoke it.",
      device.text(), why.message);
  LogFailure(LogLevel::kWarning, "device.report_rolled_back", why,
             {{"device", device.text()}, {"what_to_do", sentence}});
  parts_.events.Say({.name = "device.report_rolled_back", .task = task, .detail = sentence});
  if (!attention_.contains(device)) attention_[device] = sentence;
  went_back_.insert(device);
}

void FleetBook::WentOn(const DeviceId& device) {
  if (went_back_.erase(device) > 0) IdentityTwice(device, "two of them report, each by its own count");
}

void FleetBook::IdentityTwice(const DeviceId& device, const std::string& why) {
  const std::string sentence = fmt::format(
      "Two devices seem to use the identity {0} ({1}). Stop one of them. If both are yours, enrol each by itself, as "
      "'tributary-device enrol' does; if not, somebody else has its key: tributary devices revoke {0}.",
      device.text(), why);
  LogWarning("device.identity_twice", {{"device", device.text()}, {"what_to_do", sentence}});
  parts_.events.Say({.name = "device.identity_twice", .detail = sentence});
  attention_[device] = sentence;
}

void FleetBook::Saw(const MemberRecord& member) {
  const WallTime now = parts_.clock.Now();
  const auto [at, is_new] = members_.try_emplace(member.id, member);
  MemberRecord& known = at->second;
  if (is_new) {
    known.first_seen = now;
    known.uploads = 0;
    if (known.via.empty()) known.via = known.id;
  }
  if (!member.role.empty()) known.role = member.role;
  if (!member.device_class.empty()) known.device_class = member.device_class;
  if (!member.via.empty()) known.via = member.via;
  known.last_seen = std::max(known.last_seen, now);
  const auto counted = [](uint64_t number) { return std::min(number, limits::kCounter); };
  known.spooled_uploads = counted(member.spooled_uploads);
  known.spooled_bytes = counted(member.spooled_bytes);
  known.delivered_uploads = counted(member.delivered_uploads);
  known.connected_clients = member.connected_clients;
  unsaved_members_.insert(member.id);
  if (is_new) parts_.events.Say({.name = "member.joined"});
}

void FleetBook::SawAuthor(const Subject& author, const DeviceId& via) {
  MemberRecord member;
  member.id = author.id;
  member.via = via;
  member.role = RoleName(author.role);
  member.device_class = author.device_class;
  Saw(member);
}

void FleetBook::CountUpload(const DeviceId& id, Role role) {
  const WallTime now = parts_.clock.Now();
  MemberRecord& known = members_[id];
  if (known.id.empty()) {
    known.id = known.via = id;
    known.role = RoleName(role);
    known.first_seen = now;
  }
  known.last_seen = std::max(known.last_seen, now);
  ++known.uploads;
  unsaved_members_.insert(id);
}

void FleetBook::SawGateways(const std::vector<GatewayState>& states, const DeviceId& via) {
  const WallTime now = parts_.clock.Now();
  for (const GatewayState& report : states) {
    const WallTime made{std::max<int64_t>(0, now.unix_millis - static_cast<int64_t>(report.age_millis))};
    auto known = gateways_.find(report.gateway);
    if (known == gateways_.end()) {
      if (gateways_.size() >= kMostGateways) {
        LogWarning("gateway.not_remembered", {{"gateway", report.gateway.text()}, {"via", via.text()}});
        continue;
      }
      known = gateways_.emplace(report.gateway, GatewayRecord{}).first;
      known->second.first_seen = now;
    } else if (made < known->second.made && known->second.made <= now) {
      continue;  // an older word, by another way; a time that lies ahead is left from a clock that was set back
    }
    known->second.report = report;
    known->second.via = via;
    known->second.made = made;
    known->second.last_seen = now;
    unsaved_gateways_.insert(report.gateway);
  }
}

Status FleetBook::Save() {
  RETURN_IF_ERROR(account_.Save(parts_.store.accounts));
  for (const DeviceId& id : unsaved_members_) RETURN_IF_ERROR(parts_.store.members.Save(members_.at(id)));
  for (const DeviceId& id : unsaved_gateways_) RETURN_IF_ERROR(parts_.store.gateways.Save(gateways_.at(id)));
  return {};
}

void FleetBook::Saved() {
  account_.Saved();
  unsaved_members_.clear();
  unsaved_gateways_.clear();
}

}  // namespace tributary
