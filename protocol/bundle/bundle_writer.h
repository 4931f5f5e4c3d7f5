#pragma once

#include <functional>

#include "protocol/base/file.h"
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

}  // namespace tributary
