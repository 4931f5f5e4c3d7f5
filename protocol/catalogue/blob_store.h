#pragma once

#include <memory>
#include <mutex>
#include <set>

#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/publication.h"

namespace tributary {

// Content-addressed files below one folder: <folder>/<hex digest>, and <hex digest>.part while one is being fetched.
// Whatever has its final name has been checked against its digest. Used by devices, gateways (cache) and the aggregator
// (source). Not thread safe; reading a complete blob is.
class BlobStore {
 public:
  static Result<BlobStore> Open(FileSystem& files, const Path& folder);

  bool Has(const Digest& digest) const;
  Result<uint64_t> Size(const Digest& digest) const;
  // At most `size` bytes from `offset`, fewer at the end, and not compared with the digest. kUnknownBlob;
  // kInvalidArgument: an offset behind the end.
  Result<Bytes> Read(const Digest& digest, uint64_t offset, size_t size) const;
  // kUnknownBlob; kDamagedBlob.
  Result<Bytes> ReadAll(const Digest& digest) const;
  // Durable on return.
  Result<Digest> Put(ByteView bytes);

  // Fetching in parts, resumable over restarts: where to go on, then pieces in order, then Complete, which checks the
  // digest and makes the blob durable. AppendPart: kChunkOutOfOrder, kTooLarge. Complete: kConflict, not all of it is
  // here yet; kDigestMismatch, and the part is removed.
  uint64_t PartSize(const Digest& digest) const;
  Status AppendPart(const Digest& digest, uint64_t offset, ByteView piece);
  Status Complete(const BlobRef& blob);

  // Removes every blob and part that `keep` does not name, and every damaged file.
  Status RetainOnly(std::span<const Digest> keep);
  Path PathOf(const Digest& digest) const;

 private:
  // Of this process, shared by the copies of a store.
  struct Seen {
    std::mutex mutex;
    std::set<Digest> sound;
    std::set<Digest> damaged;
    uint64_t damaged_count = 0;
  };
  BlobStore(FileSystem& files, Path folder) : files_(&files), folder_(std::move(folder)) {}
  void NoteSound(const Digest& digest) const;
  // Sets the file aside.
  Error NoteDamage(const Digest& digest, const Digest& found) const;

  FileSystem* files_;
  Path folder_;
  std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
};

// SHA-256 of the first `size` bytes of a file, which are read piece by piece. The errors of FileSystem.
Result<Digest> DigestOfFile(FileSystem& files, const Path& path, uint64_t size);

}  // namespace tributary
