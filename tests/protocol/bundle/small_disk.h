#pragma once

#include "tests/support/guarded_disk.h"

namespace tributary {

// A disk that takes so many more changes (opens for writing, writes, syncs, renames) and then fails every one of them
// with a code of the test's choice.
class SmallDisk final : public GuardedDisk {
 public:
  explicit SmallDisk(int changes, Code code = Code::kDiskFull) : left_(changes), code_(code) {}

  Result<DiskSpace> Space(const Path& folder) override {
    ASSIGN_OR_RETURN(DiskSpace space, GuardedDisk::Space(folder));
    if (free_bytes != 0) space.free_bytes = free_bytes;
    return space;
  }

  uint64_t free_bytes = 0;  // 0: as it is
  bool failed() const { return left_ < 0; }

 private:
  Status Change(const Path& path) override {
    if (--left_ < 0) return Fail(code_, "no change of " + path.string());
    return {};
  }

  int left_;
  Code code_;
};

}  // namespace tributary
