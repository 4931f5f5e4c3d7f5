#include "aggregator/intake/open_update.h"

#include <cstring>
#include <string>

#include "aggregator/aggregate/update_check.h"

namespace tributary {
namespace {

// Checks the values as they come out of a chunk and keeps them.
class CheckingSink final : public UpdateDecoder::Sink {
 public:
  CheckingSink(const UpdateBounds& bounds, std::span<float> values)
      : bounds_(bounds), values_(values), check_(bounds.value_bound, bounds.norm_bound) {}

  Status OnMeta(const UpdateMeta& meta) override {
    if (meta.parameter_count != bounds_.parameter_count) {
      return Fail(Code::kWrongTensorCount, std::to_string(meta.parameter_count) + " values announced, the task has " +
                                               std::to_string(bounds_.parameter_count));
    }
    if (!(meta.weight > 0 && meta.weight <= bounds_.max_weight)) {
      return Fail(Code::kBadWeight,
                  "weight " + std::to_string(meta.weight) + ", the most is " + std::to_string(bounds_.max_weight));
    }
    meta_ = meta;
    return {};
  }

  Status OnValues(uint64_t first, std::span<const float> values) override {
    if (first > values_.size() || values.size() > values_.size() - first) {
      return Fail(Code::kWrongTensorCount, "more values than the task's " + std::to_string(values_.size()));
    }
    RETURN_IF_ERROR(check_.Add(values));
    std::memcpy(values_.data() + first, values.data(), values.size_bytes());
    return {};
  }

  Result<OpenedUpdate> Finish() const {
    ASSIGN_OR_RETURN(const double norm, check_.Finish());
    return OpenedUpdate{meta_, norm};
  }

 private:
  const UpdateBounds& bounds_;
  std::span<float> values_;
  UpdateCheck check_;
  UpdateMeta meta_;
};

}  // namespace

Result<OpenedUpdate> UpdateReader::Read(const UploadHeader& header, const HpkeKeyPair& key, const UpdateBounds& bounds,
                                        const std::function<Result<Bytes>(uint32_t index)>& chunk) {
  values_.resize(bounds.parameter_count);
  plaintext_.resize(header.subject.chunk_size);
  CheckingSink sink(bounds, values_);
  ASSIGN_OR_RETURN(const auto decoder, MakeUpdateDecoder(header.subject.codec, sink));
  ASSIGN_OR_RETURN(auto opener, UploadOpener::Begin(header, key));
  for (uint32_t index = 0; index < header.subject.chunk_count; ++index) {
    ASSIGN_OR_RETURN(const Bytes ciphertext, chunk(index));
    ASSIGN_OR_RETURN(const size_t size, opener.OpenChunk(ciphertext, plaintext_));
    RETURN_IF_ERROR(decoder->Feed(ByteView(plaintext_).first(size)));
  }
  RETURN_IF_ERROR(decoder->Finish());
  return sink.Finish();
}

}  // namespace tributary
