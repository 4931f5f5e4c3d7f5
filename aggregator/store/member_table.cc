#include "aggregator/store/member_table.h"

namespace tributary {

Status MemberTable::Save(const MemberRecord& member) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO members (id, role, device_class, first_seen, last_seen, via, uploads, spooled_uploads, "
      "spooled_bytes, "
      "delivered_uploads, connected_clients) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET role = excluded.role, device_class = excluded.device_class, "
      "first_seen = excluded.first_seen, last_seen = excluded.last_seen, via = excluded.via, uploads = "
      "excluded.uploads, "
      "spooled_uploads = excluded.spooled_uploads, spooled_bytes = excluded.spooled_bytes, "
      "delivered_uploads = excluded.delivered_uploads, connected_clients = excluded.connected_clients",
      member.id, member.role, member.device_class, member.first_seen.unix_millis, member.last_seen.unix_millis,
      member.via, member.uploads, member.spooled_uploads, member.spooled_bytes, member.delivered_uploads,
      member.connected_clients));
  return {};
}

Result<std::vector<MemberRecord>> MemberTable::All() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT id, role, device_class, first_seen, last_seen, via, uploads, "
                                   "spooled_uploads, spooled_bytes, delivered_uploads, connected_clients FROM members "
                                   "ORDER BY id"));
  std::vector<MemberRecord> members;
  for (const Row& row : rows) {
    MemberRecord member;
    ASSIGN_OR_RETURN(member.id, DeviceId::Parse(row.Text(0)));
    member.role = row.Text(1);
    member.device_class = row.Text(2);
    member.first_seen = {row.Int(3)};
    member.last_seen = {row.Int(4)};
    ASSIGN_OR_RETURN(member.via, DeviceId::Parse(row.Text(5)));
    member.uploads = static_cast<uint64_t>(row.Int(6));
    member.spooled_uploads = static_cast<uint64_t>(row.Int(7));
    member.spooled_bytes = static_cast<uint64_t>(row.Int(8));
    member.delivered_uploads = static_cast<uint64_t>(row.Int(9));
    member.connected_clients = static_cast<uint64_t>(row.Int(10));
    members.push_back(std::move(member));
  }
  return members;
}

}  // namespace tributary
