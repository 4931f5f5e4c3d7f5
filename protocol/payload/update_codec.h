#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/random.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"
#include "protocol/payload/bounds.h"
#include "protocol/payload/codec/linear.h"

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

// How an update is written, as both ends know it: the codec of the upload's header, and the values that travel as
// float32 whatever the codec, which follow from the task's table. Value type.
struct UpdateFormat {
  UpdateFormat(Codec of, std::vector<ValueRange> exact_ranges = {}) : codec(of), exact(std::move(exact_ranges)) {}

  Codec codec;
  std::vector<ValueRange> exact;           // ascending, apart from each other
  std::optional<LinearRound> linear = {};  // a linear codec needs it
};

// The plaintext of an update (little endian):
//   update    = meta_size meta padding values
//   meta_size = u32
//   meta      = UpdateMeta of schema/envelope.capnp, canonical bytes     meta_size
//   padding   = zeros up to the next multiple of 64 bytes
//   values    = kFloat32Dense: IEEE 754                                  4 * parameter_count
//             = another codec: its head, run run …
//             = a linear codec: the exact values and the coordinates of a rotated vector (codec/linear.h)
//   run       = consecutive values up to where an exact range begins or ends: float32 in an exact range, else the codec's
//               blocks (protocol/payload/codec), of which the last may be shorter
// For example, the update of a model of 3 weights: 30 00 00 00, 48 bytes of meta, 12 zeros, 12 bytes of values; 76 in
// all. Every codec but float32 and top-k rounds by chance, by bits of `random`, so that a value's mean is the value. Errors:
// kUnknownCodec; kInvalidArgument: meta.parameter_count is not the delta's length, no `random`; those of
// BlockCodec::Encode.
Result<Bytes> EncodeUpdate(const UpdateFormat& format, const UpdateMeta& meta, std::span<const float> delta,
                           Random* random = nullptr);

// Whether an update of so many bytes can be one of `parameter_count` values. kTooLarge.
Status CheckUpdateSize(const UploadSubject& subject, uint64_t parameter_count);

// Decodes the plaintext of an update as it comes, chunk by chunk, without holding it: call Feed with consecutive parts
// of any length; each call hands the values that became complete to the sink, in order. Not thread safe.
class UpdateDecoder {
 public:
  // `values` are consecutive parameters beginning at index `first`, or values of a rotated vector; the span is valid
  // during the call only.
  class Sink {
   public:
    virtual ~Sink() = default;
    // Called once, before any values. An error ends the decoding.
    virtual Status OnMeta(const UpdateMeta& meta) = 0;
    virtual Status OnValues(uint64_t first, std::span<const float> values) = 0;
  };
  virtual ~UpdateDecoder() = default;
  // kMalformed, kNotFinite (a scale), kWrongTensorCount: more than meta.parameter_count values; or the sink's error.
  // After an error every call returns that error again.
  virtual Status Feed(ByteView part) = 0;
  // kMalformed: ended in the head or within a value; kWrongTensorCount: fewer than meta.parameter_count values came.
  virtual Status Finish() = 0;
};

// kUnknownCodec. `sink` is borrowed and must outlive the decoder.
Result<std::unique_ptr<UpdateDecoder>> MakeUpdateDecoder(const UpdateFormat& format, UpdateDecoder::Sink& sink);

// The values of a whole plaintext; of a linear codec those of the rotated vector. Errors: those of the decoder.
Result<std::vector<float>> DecodeUpdate(const UpdateFormat& format, ByteView plaintext);

}  // namespace tributary
