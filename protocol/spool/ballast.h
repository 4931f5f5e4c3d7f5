#pragma once

#include "protocol/base/file.h"

namespace tributary {

// A file of no content that takes room on the disk, to be given up when the disk is full and an upload's leaving cannot
// even be noted: SQLite writes to its log before it frees anything. So a gateway drains itself out of a full disk. One
// thread at a time; the file system must outlive it.
class Ballast {
 public:
  // `bytes` 0: none, ever.
  Ballast(Path file, uint64_t bytes, FileSystem& files) : file_(std::move(file)), bytes_(bytes), files_(files) {}

  // Whether it is there from before. Errors: those of FileSystem.
  Status Look();
  bool wanted() const { return bytes_ > 0 && !there_; }
  uint64_t bytes() const { return bytes_; }
  // Written, not only allocated, so that file systems that compress or write elsewhere have the room too.
  Status Make();
  // False: there was none to give up.
  bool GiveUp();

 private:
  const Path file_;
  const uint64_t bytes_;
  FileSystem& files_;
  bool there_ = false;
};

}  // namespace tributary
