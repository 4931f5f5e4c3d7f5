#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// An update's words besides its values (schema/envelope.capnp, UpdateMeta).
struct UpdateMeta {
  uint64_t weight = 0;  // number of examples
  uint64_t parameter_count = 0;
  double training_loss = 0;
  uint64_t training_millis = 0;
  uint64_t peak_memory_bytes = 0;
  bool operator==(const UpdateMeta&) const = default;
};

// The plaintext of an update (little endian):
//   update    = meta_size meta padding values
//   meta_size = u32
//   meta      = UpdateMeta of schema/envelope.capnp, canonical bytes     meta_size
//   padding   = zeros up to the next multiple of 64 bytes
//   values    = what the codec writes; kFloat32Dense: IEEE 754           4 * parameter_count
// For example, the update of a model of 3 weights: 30 00 00 00, 48 bytes of meta, 12 zeros, 12 bytes of values; 76 in
// all. Errors: kUnknownCodec; kInvalidArgument: meta.parameter_count is not the delta's length.
Result<Bytes> EncodeUpdate(Codec codec, const UpdateMeta& meta, std::span<const float> delta);

// Whether an update of so many bytes can be one of `parameter_count` values. kTooLarge.
Status CheckUpdateSize(const UploadSubject& subject, uint64_t parameter_count);

// Decodes the plaintext of an update as it comes, chunk by chunk, without holding it: call Feed with consecutive parts
// of any length; each call hands the values that became complete to the sink, in order. Not thread safe.
class UpdateDecoder {
 public:
  // `values` are consecutive parameters beginning at index `first`; the span is valid during the call only.
  class Sink {
   public:
    virtual ~Sink() = default;
    // Called once, before any values. An error ends the decoding.
    virtual Status OnMeta(const UpdateMeta& meta) = 0;
    virtual Status OnValues(uint64_t first, std::span<const float> values) = 0;
  };
  virtual ~UpdateDecoder() = default;
  // kMalformed, kWrongTensorCount: more than meta.parameter_count values; or the sink's error. After an error every
  // call returns that error again.
  virtual Status Feed(ByteView part) = 0;
  // kMalformed: ended in the head or within a value; kWrongTensorCount: fewer than meta.parameter_count values came.
  virtual Status Finish() = 0;
};

// kUnknownCodec. `sink` is borrowed and must outlive the decoder.
Result<std::unique_ptr<UpdateDecoder>> MakeUpdateDecoder(Codec codec, UpdateDecoder::Sink& sink);

}  // namespace tributary
