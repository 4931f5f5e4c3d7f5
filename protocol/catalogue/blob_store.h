#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/publication.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

// A blob that is made piece by piece, because it is too large to be held twice in memory. Until Finish it has no name, and
// it is removed when Finish is not called. One of a name at a time in a store. Resource type; borrows the store's files.
class BlobWriter {
 public:
  BlobWriter(BlobWriter&&) noexcept = default;
  BlobWriter& operator=(BlobWriter&&) = delete;
  ~BlobWriter();

  Status Append(ByteView piece);
  // Durable on return.
  Result<BlobRef> Finish();

 private:
  friend class BlobStore;
  BlobWriter(FileSystem& files, Path beside, std::unique_ptr<WritableFile> file)
      : files_(&files), beside_(std::move(beside)), file_(std::move(file)) {}

  FileSystem* files_;
  Path beside_;
  std::unique_ptr<WritableFile> file_;  // null: finished
  uint64_t size_ = 0;
  Sha256Stream digest_;
};

// Content-addressed files below one folder: <folder>/<hex digest>, <hex digest>.part while one is being fetched, and
// <hex digest>.damaged for one whose bytes were found to have changed. Whatever has its final name had its digest when it
// was stored. A disk may change it later, so ReadAll compares every time, and Check once in a process. A file that does
// not match is set aside, and from then on the blob is not held: whoever needs it fetches it again. Used by devices,
// gateways (cache) and the aggregator (source). Copies share what was checked. Not thread safe; reading and checking a
// complete blob are.
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
  // Reads the whole file, unless it was stored, read or checked in this process before. kUnknownBlob; kDamagedBlob.
  Status Check(const Digest& digest) const;
  // The same, whatever was seen before: somebody says that the bytes do not match.
  Status CheckAgain(const Digest& digest) const;
  // Blobs that were found damaged in this process, and those of them that are not held again.
  uint64_t damaged_count() const;
  std::vector<Digest> Damaged() const;
  // Durable on return. One that is held but damaged is replaced.
  Result<Digest> Put(ByteView bytes);

  // Ends another one that was begun before under this name.
  Result<BlobWriter> Write(std::string_view name = "made");

  // Fetching in parts, resumable over restarts: where to go on, then pieces in order, then Complete, which checks the
  // digest and makes the blob durable. AppendPart: kChunkOutOfOrder, kTooLarge. Complete: kConflict, not all of it is
  // here yet; kDigestMismatch, and the part is removed.
  uint64_t PartSize(const Digest& digest) const;
  Status AppendPart(const Digest& digest, uint64_t offset, ByteView piece);
  Status Complete(const BlobRef& blob);

  // They are gone for good on return; one that is not held is none the less gone.
  Status Remove(std::span<const Digest> blobs);
  // Every part that is here, damaged file, and what a write that was cut off has left, each with its size in bytes.
  Result<std::map<std::string, uint64_t>> Parts() const;
  // `name` is of Parts.
  Status RemovePart(const std::string& name) { return files_->Remove(folder_ / name); }
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
