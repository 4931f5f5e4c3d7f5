#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/publication_set.h"

namespace tributary {

// The files that GET /tuf/ serves: the newest publications taken apart into the files of a TUF repository with consistent
// snapshots. Former ones stay for a while, for a client that read an older timestamp a moment ago. Written by the core
// thread, read by HTTP threads. Thread safe.
class TufShelf {
 public:
  // `memory`: publications kept; each is at most limits::kPublicationBytes.
  explicit TufShelf(size_t memory = 8) : memory_(memory) {}

  // One that does not parse is our own bug or a damaged file: kMalformed, and the shelf stays as it is.
  Status Put(ByteView publication);

  // "timestamp.json" (the newest), "3.root.json", "17.snapshot.json" … kNotFound.
  Result<std::shared_ptr<const Bytes>> Metadata(const std::string& file) const;

  struct Target {
    BlobRef blob;
    std::shared_ptr<const Bytes> bytes;  // null: in the blob store, under its digest
  };
  // By its path with the digest before the last name, as clients ask for it: "rounds/<sha256>.catalogue",
  // "models/<task>/<sha256>.module.pt". kNotFound.
  Result<Target> Find(const std::string& path) const;

 private:
  struct Edition {
    std::map<std::string, std::shared_ptr<const Bytes>> metadata;
    std::map<std::string, Target> targets;
  };
  static Result<Edition> Read(ByteView publication);

  const size_t memory_;
  mutable std::mutex mutex_;
  std::deque<Edition> editions_;  // the newest first
};

}  // namespace tributary
