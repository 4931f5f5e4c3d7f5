#include "aggregator/watch/fleet_book.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr size_t kMostGateways = 10'000;
constexpr Millis kForgetAfter = std::chrono::hours(24 * 30);

Millis Since(WallTime then, WallTime now) { return Millis(std::max<int64_t>(0, now.unix_millis - then.unix_millis)); }

bool IsDevice(const MemberRecord& member) {
  return member.role == RoleName(Role::kDevice) || member.role == RoleName(Role::kEvaluator);
}

void NoteRole(const MemberRecord& member, std::set<DeviceId>& gateways) {
  if (member.role == RoleName(Role::kGateway)) {
    gateways.insert(member.id);
  } else {
    gateways.erase(member.id);
  }
}

Status ReadFailures(DeviceStateTable& table, FailureBook& failures) {
  for (Slice<DeviceId> slice;;) {
    ASSIGN_OR_RETURN(const auto states, table.List(slice));
    for (const DeviceStateRecord& state : states) (void)failures.Put(state);
    if (states.size() < slice.most) return {};
    slice.after = states.back().device;
  }
}

}  // namespace

Result<FleetBook> FleetBook::Open(const Parts& parts) {
  const WallTime now = parts.clock.Now();
  ASSIGN_OR_RETURN(auto account, AccountBook::Open(parts.store.accounts));
  FleetBook book(parts, std::move(account));
  ASSIGN_OR_RETURN(auto members, parts.store.members.All());
  for (MemberRecord& member : members) {
    NoteRole(member, book.gateway_members_);
    book.members_.emplace(member.id, std::move(member));
  }
  ASSIGN_OR_RETURN(auto gateways, parts.store.gateways.All());
  for (GatewayRecord& gateway : gateways) {
    if (gateway.last_seen + kForgetAfter < now) continue;
    const DeviceId id = gateway.report.gateway;
    book.gateways_.emplace(id, std::move(gateway));
  }
  // Rounds do without: they wait for devices that cannot train until the next states come.
  if (const auto read = ReadFailures(parts.store.reports, book.failures_); !read)
    LogFailure(LogLevel::kWarning, "fleet.failures_not_read", read.error());
  // Tidying may wait for a disk that takes it.
  if (book.gateways_.size() < gateways.size()) (void)parts.store.gateways.ForgetBefore(now + -kForgetAfter);
  return book;
}

std::vector<MemberRecord> FleetBook::Members(std::optional<Role> role) const {
  std::vector<MemberRecord> members;
  for (const auto& [id, member] : members_) {
    if (!role || member.role == RoleName(*role)) members.push_back(member);
  }
  return members;
}

uint64_t FleetBook::CountSeen(WallTime since) const {
  return static_cast<uint64_t>(std::ranges::count_if(members_, [&](const auto& member) {
    return member.second.role == RoleName(Role::kDevice) && member.second.last_seen >= since;
  }));
}

Result<std::vector<MemberRecord>> FleetBook::Devices(const Slice<DeviceId>& slice) {
  std::vector<MemberRecord> devices;
  for (auto at = members_.upper_bound(slice.after); at != members_.end() && devices.size() < slice.most; ++at) {
    if (IsDevice(at->second)) devices.push_back(at->second);
  }
  return devices;
}

std::optional<MemberRecord> FleetBook::FindDevice(const DeviceId& id) const {
  const auto found = members_.find(id);
  if (found == members_.end() || !IsDevice(found->second)) return std::nullopt;
  return found->second;
}

Result<std::vector<GatewayRecord>> FleetBook::Gateways(const Slice<DeviceId>& slice) {
  std::vector<GatewayRecord> gateways;
  auto described = gateways_.upper_bound(slice.after);
  auto member = gateway_members_.upper_bound(slice.after);
  while (gateways.size() < slice.most && (described != gateways_.end() || member != gateway_members_.end())) {
    const bool is_member =
        described == gateways_.end() || (member != gateway_members_.end() && *member <= described->first);
    const DeviceId& id = is_member ? *member : described->first;
    gateways.push_back(Listed(id));
    if (described != gateways_.end() && described->first == id) ++described;
    if (is_member) ++member;
  }
  return gateways;
}

Result<GatewayRecord> FleetBook::FindGateway(const DeviceId& id) {
  if (gateways_.contains(id) || gateway_members_.contains(id)) return Listed(id);
  return Fail(Code::kNotFound, "no gateway '{}' was heard of", id.text());
}

GatewayRecord FleetBook::Listed(const DeviceId& id) const {
  const WallTime now = parts_.clock.Now();
  GatewayRecord gateway;
  if (const auto described = gateways_.find(id); described != gateways_.end()) {
    gateway = described->second;
    gateway.path = PathOf(gateway);
  } else {
    const MemberRecord& member = members_.at(id);
    gateway.report.gateway = gateway.via = id;
    gateway.report.spool_bytes = member.spooled_bytes;
    gateway.report.connected_clients = static_cast<uint32_t>(member.connected_clients);
    gateway.first_seen = member.first_seen;
    gateway.made = gateway.last_seen = member.last_seen;
    gateway.path = {id};
  }
  gateway.quiet = Since(gateway.made, now);
  return gateway;
}

FleetBook::GatewayCounts FleetBook::CountGateways() const {
  const WallTime now = parts_.clock.Now();
  GatewayCounts counts;
  const auto count = [&](WallTime made, bool in_trouble) {
    ++counts.all;
    counts.late += Since(made, now) > kGatewayLateAfter ? 1 : 0;
    counts.in_trouble += in_trouble ? 1 : 0;
  };
  for (const auto& [id, gateway] : gateways_) {
    count(gateway.made, !gateway.report.trouble.empty());
    counts.clients += gateway.report.connected_clients;
    counts.behind_others += gateways_.contains(gateway.report.parent) ? 1 : 0;
  }
  for (const DeviceId& id : gateway_members_) {
    if (gateways_.contains(id)) continue;
    count(members_.at(id).last_seen, false);
    counts.clients += members_.at(id).connected_clients;
  }
  return counts;
}

std::map<DeviceId, Error> FleetBook::Attention(const Slice<DeviceId>& slice) const {
  std::map<DeviceId, Error> attention;
  for (auto at = attention_.upper_bound(slice.after); at != attention_.end() && attention.size() < slice.most; ++at)
    attention.insert(*at);
  return attention;
}

std::optional<Error> FleetBook::AttentionTo(const DeviceId& device) const {
  const auto found = attention_.find(device);
  return found == attention_.end() ? std::nullopt : std::optional(found->second);
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
      "has its key: revoke it.",
      device.text(), why.message);
  LogFailure(LogLevel::kWarning, "device.report_rolled_back", why,
             {{"device", device.text()}, {"what_to_do", sentence}});
  parts_.events.Say({.name = "device.report_rolled_back", .task = task, .detail = sentence});
  attention_.try_emplace(device, Error{why.code, sentence});
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
  const Error error{Code::kIdentityTwice, sentence};
  LogFailure(LogLevel::kWarning, "device.identity_twice", error, {{"device", device.text()}});
  parts_.events.Say({.name = "device.identity_twice", .detail = sentence});
  attention_.insert_or_assign(device, error);
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
  NoteRole(known, gateway_members_);
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
