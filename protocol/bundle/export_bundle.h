#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/bundle/bundle_folder.h"
#include "protocol/spool/spool_reader.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

// Writes uploads into a bundle. Call order: Open, Add for each upload, Finish. An upload that is on the disk already is
// not written again, so an export that was interrupted goes on where it was. Whatever happens, even a disk that is
// pulled out, what has its final name is whole. Resource type, not thread safe; files must outlive it.
class BundleWriter {
 public:
  // Makes the folder, and removes what an interrupted export left half written. kReadOnly, kDiskFull, kIo, kForbidden.
  static Result<BundleWriter> Open(FileSystem& files, const Path& bundle);

  enum class Added { kWritten, kThereBefore };
  // `read_chunk` gives the ciphertext chunks in order; its errors are returned, and the upload is not in the bundle
  // then. kDiskFull: there is no room for this upload; the others are safe. kDigestMismatch: the chunks are not what
  // the envelope announces. kReadOnly, kIo.
  Result<Added> Add(const SpooledUpload& upload, ByteView envelope,
                    const std::function<Result<Bytes>(uint32_t index)>& read_chunk);
  // Returns when the names would survive the disk being pulled out.
  Status Finish();

 private:
  BundleWriter(FileSystem& files, Path folder) : files_(&files), folder_(std::move(folder)) {}
  Result<bool> IsThere(const Path& path, ByteView envelope, uint64_t size) const;
  Status Write(const Path& part, const SpooledUpload& upload, ByteView envelope,
               const std::function<Result<Bytes>(uint32_t index)>& read_chunk);

  FileSystem* files_;
  Path folder_;
};

// The result of an export.
struct BundleExport {
  uint64_t written = 0;  // uploads
  uint64_t written_bytes = 0;
  uint64_t there_before = 0;                        // from an earlier export to this disk
  uint64_t gone = 0;                                // left the spool while it was read: the uplink delivered them
  uint64_t no_room = 0;                             // did not fit
  std::vector<std::pair<UploadId, Error>> damaged;  // in the spool
  std::optional<Error> stopped;                     // why the disk takes nothing more, though it is not full
  std::optional<CopiedPublication> publication;
  std::optional<Error> no_publication;

  bool Whole() const { return no_room == 0 && !stopped; }
};

// Writes every upload in custody of a spool into a bundle, the important ones first, and the publication that the
// gateway holds in `relay`. Custody stays with the gateway until a receipt comes back or its uplink delivers. Also
// while a daemon works in the spool. Errors: the bundle's folder cannot be written to, or the spool cannot be read.
struct BundleExportParts {
  FileSystem& files;
  const TrustAnchor& anchor;
  WallTime now;
};
Result<BundleExport> ExportBundle(const BundleExportParts& parts, SpoolReader& spool, const Path& relay,
                                  const Path& bundle);

// In plain words, for whoever carries the disk: what happened, what is safe, what to do next.
std::string Tell(const BundleExport& report, const Path& bundle);

}  // namespace tributary
