#include "aggregator/api/json_fleet.h"

#include "aggregator/api/json_time.h"
#include "aggregator/api/json_values.h"

namespace tributary {
namespace {

Json Member(const MemberRecord& member) {
  return {{"id", member.id.text()},
          {"role", member.role},
          {"device_class", member.device_class},
          {"first_seen", Rfc3339(member.first_seen)},
          {"last_seen", Rfc3339(member.last_seen)},
          {"via", member.via.empty() ? Json() : Json(member.via.text())},
          {"uploads", member.uploads},
          {"spooled_uploads", member.spooled_uploads},
          {"spooled_bytes", member.spooled_bytes},
          {"delivered_uploads", member.delivered_uploads},
          {"connected_clients", member.connected_clients}};
}

Json Account(UploadKind kind, const AccountRecord& account) {
  uint64_t accounted = account.delivered + account.spooled + account.in_flight + account.duplicate;
  for (const auto& [code, count] : account.refused) accounted += count;
  for (const auto& [code, count] : account.dropped) accounted += count;
  return {{"kind", KindName(kind)},
          {"offered", account.offered},
          {"delivered", account.delivered},
          {"spooled", account.spooled},
          {"in_flight", account.in_flight},
          {"duplicate", account.duplicate},
          {"refused", ByReason(account.refused)},
          {"dropped", ByReason(account.dropped)},
          {"holds", accounted == account.offered}};
}

}  // namespace

std::string ToJson(std::span<const MemberRecord> members) { return Dump(List(members, &Member)); }

std::string ToJson(std::span<const std::pair<UploadKind, AccountRecord>> accounts) {
  Json items = Json::array();
  for (const auto& [kind, account] : accounts) items.push_back(Account(kind, account));
  return Dump({{"items", std::move(items)}});
}

}  // namespace tributary
