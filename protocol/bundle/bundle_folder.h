#pragma once

#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/catalogue/publication.h"
#include "protocol/spool/upload_source.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The uploads of a bundle, for a Courier to carry up a hop. Reads the heads at Open and payloads chunk by chunk; checks
// form and sizes before anything is allocated and believes nothing: signatures and digests are checked by the server
// that it is offered to. A file that cannot be used is moved to <bundle>/set-aside and told, with its size and the
// reason; on a disk that cannot be written to it is only told. Not thread safe; files must outlive it. Memory: some 300 bytes for each
// upload.
class BundleFolder final : public UploadSource {
 public:
  struct SetAside {
    std::string name;  // of the file
    uint64_t bytes = 0;
    Error why;
  };

  // A folder without uploads is an empty bundle. kNotFound: no such folder; the errors of FileSystem.
  static Result<BundleFolder> Open(FileSystem& files, const Path& bundle);

  // Smaller priority first, then the older.
  Result<std::vector<SpooledUpload>> Pending(size_t limit) const override;
  Result<Bytes> ReadEnvelope(const UploadId& id) const override;
  Result<Bytes> ReadChunk(const UploadId& id, uint32_t index) const override;
  // Only notes it, on the calling thread: the file stays until Forget.
  void Delivered(const UploadId& id, Done<void> done) override;
  // Sets the file aside; a file that could not be read stays where it is, since the disk may only have been pulled out.
  void Drop(const UploadId& id, Code reason, Done<void> done) override;

  // Uploads in custody elsewhere whose receipt has not been written yet.
  const std::vector<UploadId>& delivered() const { return delivered_; }
  // After their receipt is on the disk: removes the files of the delivered uploads.
  Status Forget();

  size_t pending() const { return order_.size(); }
  const std::vector<SetAside>& set_aside() const { return set_aside_; }

 private:
  struct Entry {
    SpooledUpload facts;
    WallTime created;
    uint32_t envelope_size = 0;
  };
  using Order = std::tuple<Priority, WallTime, UploadId>;

  BundleFolder(FileSystem& files, Path bundle) : files_(&files), bundle_(std::move(bundle)) {}
  Path PathOf(const UploadId& id) const;
  static Order OrderOf(const Entry& entry) { return {entry.facts.priority, entry.created, entry.facts.id}; }
  Result<Entry> ReadHead(const Path& path, const UploadId& id) const;
  Result<const Entry*> Find(const UploadId& id) const;
  void MoveAside(const std::string& name, uint64_t bytes, const Error& why);

  FileSystem* files_;
  Path bundle_;
  std::unordered_map<UploadId, Entry, IdHash> entries_;
  std::map<Order, const Entry*> order_;  // the pending ones
  std::vector<UploadId> delivered_;
  std::vector<SetAside> set_aside_;
};

// A publication with the blobs it names, in a folder: publication.bin and blobs/<digest>. Bundles, a gateway's relay
// store and its drop folder are all laid out like that.

// Reads what is in `folder` and verifies it at `now`. kNotFound: none; the errors of OpenPublication, also kExpired: an expired
// publication is not installed anywhere.
Result<Publication> ReadPublication(FileSystem& files, const Path& folder, const TrustAnchor& anchor, WallTime now);

// Reads the whole file. kNotFound, kIo, kDigestMismatch (also for another length).
Status CheckBlob(FileSystem& files, const Path& blob, const BlobRef& expected);

struct CopiedPublication {
  uint64_t number = 0;        // in `from`
  uint64_t there_before = 0;  // the number in `to`, 0: none
  bool copied = false;        // false: `to` had the same, or a newer one, which stays
  uint64_t blob_bytes = 0;
};
// Copies the publication when it is newer, blobs first, each checked against its digest; goes on where an earlier copy
// was interrupted. Blobs that only the older one named are removed from `to`. kNotFound: none in `from`; the errors of
// OpenPublication; kMissingData: a blob is not in `from`; kDigestMismatch: a blob is damaged; kDiskFull, kReadOnly,
// kIo.
Result<CopiedPublication> CopyPublication(FileSystem& files, const Path& from, const Path& to,
                                          const TrustAnchor& anchor, WallTime now);

}  // namespace tributary
