#pragma once

#include <functional>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

// Something with complete uploads in it, that a Courier can carry up a hop: a spool, or a bundle on a disk that is
// carried by hand.
class UploadSource {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;

  virtual ~UploadSource() = default;
  // Complete uploads, by priority, then in order of arrival. Blocks shortly.
  virtual Result<std::vector<SpooledUpload>> Pending(size_t limit) const = 0;
  // Of an upload that is here. kUnknownUpload.
  virtual Result<Bytes> ReadEnvelope(const UploadId& id) const = 0;
  // One ciphertext chunk of a complete upload. Blocks for one read. kUnknownUpload; kInvalidArgument: no such chunk;
  // kCorrupt.
  virtual Result<Bytes> ReadChunk(const UploadId& id, uint32_t index) const = 0;
  // Custody was passed up: the upload is not Pending any more. `done` may be called on any thread. kUnknownUpload.
  virtual void Delivered(const UploadId& id, Done<void> done) = 0;
  // Gives the upload up for `reason`: it is not Pending any more. kUnknownUpload.
  virtual void Drop(const UploadId& id, Code reason, Done<void> done) = 0;
};

}  // namespace tributary
