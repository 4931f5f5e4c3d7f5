#include "aggregator/watch/member_book.h"

#include <algorithm>

namespace tributary {

Result<MemberBook> MemberBook::Open(MemberTable& table) {
  MemberBook book;
  ASSIGN_OR_RETURN(auto members, table.All());
  for (MemberRecord& member : members) book.members_.emplace(member.id, std::move(member));
  return book;
}

bool MemberBook::Saw(const MemberRecord& member, WallTime now) {
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
  known.spooled_uploads = member.spooled_uploads;
  known.spooled_bytes = member.spooled_bytes;
  known.delivered_uploads = member.delivered_uploads;
  known.connected_clients = member.connected_clients;
  unsaved_.insert(member.id);
  return is_new;
}

void MemberBook::CountUpload(const DeviceId& id, Role role, WallTime now) {
  MemberRecord& known = members_[id];
  if (known.id.empty()) {
    known.id = known.via = id;
    known.role = RoleName(role);
    known.first_seen = now;
  }
  known.last_seen = std::max(known.last_seen, now);
  ++known.uploads;
  unsaved_.insert(id);
}

std::vector<MemberRecord> MemberBook::All(std::optional<Role> role) const {
  std::vector<MemberRecord> members;
  for (const auto& [id, member] : members_) {
    if (!role || member.role == RoleName(*role)) members.push_back(member);
  }
  return members;
}

Status MemberBook::Save(MemberTable& table) const {
  for (const DeviceId& id : unsaved_) RETURN_IF_ERROR(table.Save(members_.at(id)));
  return {};
}

}  // namespace tributary
