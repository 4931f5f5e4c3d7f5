#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "aggregator/store/watch_tables.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// Who was heard of, kept in memory (about 300 bytes a member) and saved from time to time: losing the last second of
// "last seen" harms nobody. Value type; one thread.
class MemberBook {
 public:
  static Result<MemberBook> Open(MemberTable& table);

  // Takes over what `member` says; empty texts say nothing. first_seen stays and `uploads` is this book's own count.
  // Returns whether it was heard of for the first time.
  bool Saw(const MemberRecord& member, WallTime now);
  // An upload of this member was taken in, whichever way it came.
  void CountUpload(const DeviceId& id, Role role, WallTime now);
  std::vector<MemberRecord> All(std::optional<Role> role) const;

  bool dirty() const { return !unsaved_.empty(); }
  // In the caller's transaction; after its Commit, call Saved.
  Status Save(MemberTable& table) const;
  void Saved() { unsaved_.clear(); }

 private:
  std::map<DeviceId, MemberRecord> members_;
  std::set<DeviceId> unsaved_;
};

}  // namespace tributary
