#pragma once

#include <memory>
#include <span>
#include <vector>

#include "protocol/catalogue/blob_store.h"
#include "protocol/catalogue/publication.h"
#include "protocol/payload/update_codec.h"

// How a model version travels down in fewer bytes. The aggregator rounds a version to what the fewer bytes say, so
// whoever reads them has the version's weights bit for bit, and their digest is that of the version.
namespace tributary {

// The values of a table that batch and instance normalisation measured, ascending: in every codec they travel as
// float32.
std::vector<ValueRange> StatisticsOf(const TensorTable& table);

// A version, or a part of it, in the form in which it is published.
struct CompactVersion {
  std::vector<float> weights;
  Bytes bytes;
};
// The bytes have the form of an update's plaintext (update_codec.h) of weight 0:
//   kFloat16  the weights as float16
//   kBlock8   their difference from `base` as block8; what was measured is not a difference
// The rounding is by the key stream of `seed`, so the same input gives the same version. kNormExceeded: a weight is too
// large for float16. `codec` is not kFloat32.
class VersionRounder {
 public:
  VersionRounder(VersionCodec codec, const TensorTable& table, const Digest& seed);
  ~VersionRounder();
  // What these next weights make whole, of the weights and of the bytes: all has come out with the last ones. `base`:
  // the same weights of the version before. After an error nothing but the end may follow.
  Result<CompactVersion> Add(std::span<const float> base, std::span<const float> next);

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};
// The same of a whole version.
Result<CompactVersion> RoundVersion(VersionCodec codec, const TensorTable& table, std::span<const float> base,
                                    std::span<const float> next, const Digest& seed);

// The weights that the bytes stand for; `base` has the weights of the version that they are a difference from, and is
// not looked at for kFloat16. Errors: those of DecodeUpdate; kWrongTensorCount: another number of values than the
// table's.
Result<std::vector<float>> ReadCompact(VersionCodec codec, const TensorTable& table, std::span<const float> base,
                                       ByteView bytes);

// Makes the float32 weights of the task's version out of its compact ones, and puts them into the store. Both, and what
// they are a difference from, are there. kDigestMismatch: something else came of it; nothing is put. Errors of the
// above.
Status UnpackVersion(const PublishedTask& task, BlobStore& blobs);

}  // namespace tributary
