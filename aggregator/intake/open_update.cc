#include "aggregator/intake/open_update.h"

#include <algorithm>
#include <functional>
#include <string>

#include "aggregator/aggregate/update_check.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

// What an update's plaintext may have beside 4 bytes per value. Its head is under 100 bytes.
constexpr uint64_t kHeadBytes = limits::kMinChunkBytes;

// Checks the values as they come out of a chunk. As long as each block lies right behind the last one they need not be
// moved: the dense codec hands on the plaintext where it stands. From the first block that does not, all are copied to
// `moved`.
class CheckingSink final : public UpdateDecoder::Sink {
 public:
  CheckingSink(const UpdateBounds& bounds, ByteView plaintext, CacheAligned<float>& moved)
      : bounds_(bounds), plaintext_(plaintext), moved_(moved), check_(bounds.value_bound, bounds.norm_bound) {}

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
    if (first > bounds_.parameter_count || values.size() > bounds_.parameter_count - first) {
      return Fail(Code::kWrongTensorCount, "more values than the task's " + std::to_string(bounds_.parameter_count));
    }
    RETURN_IF_ERROR(check_.Add(values));
    Keep(first, values);
    return {};
  }

  // In the plaintext or in `moved`.
  std::span<const float> values() const { return values_; }

  Result<OpenedUpdate> Finish() const {
    ASSIGN_OR_RETURN(const double norm, check_.Finish());
    return OpenedUpdate{meta_, norm};
  }

 private:
  void Keep(uint64_t first, std::span<const float> block) {
    if (!copying_ && InPlace(first, block)) {
      values_ = {first == 0 ? block.data() : values_.data(), first + block.size()};
      return;
    }
    if (!copying_) {
      copying_ = true;
      moved_.resize(bounds_.parameter_count);
      std::ranges::copy(values_, moved_.begin());
    }
    std::ranges::copy(block, moved_.begin() + static_cast<std::ptrdiff_t>(first));
    values_ = std::span<const float>(moved_).first(first + block.size());
  }

  bool InPlace(uint64_t first, std::span<const float> block) const {
    const std::less_equal<const void*> before;
    if (!before(plaintext_.data(), block.data()) ||
        !before(block.data() + block.size(), plaintext_.data() + plaintext_.size()))
      return false;
    return first == 0 || block.data() == values_.data() + first;
  }

  const UpdateBounds& bounds_;
  ByteView plaintext_;
  CacheAligned<float>& moved_;
  std::span<const float> values_;
  bool copying_ = false;
  UpdateCheck check_;
  UpdateMeta meta_;
};

}  // namespace

Result<OpenedUpdate> UpdateReader::Read(const UploadHeader& header, const HpkeKeyPair& key, const UpdateBounds& bounds,
                                        const std::function<Result<Bytes>(uint32_t index)>& chunk) {
  values_ = {};
  const UploadSubject& subject = header.subject;
  if (subject.plaintext_size > bounds.parameter_count * sizeof(float) + kHeadBytes) {
    return Fail(Code::kTooLarge, std::to_string(subject.plaintext_size) + " bytes for an update of " +
                                     std::to_string(bounds.parameter_count) + " values");
  }
  // Room for whole chunks, since OpenChunk asks for it.
  plaintext_.resize(uint64_t{subject.chunk_count} * subject.chunk_size);
  CheckingSink sink(bounds, plaintext_, moved_);
  ASSIGN_OR_RETURN(const auto decoder, MakeUpdateDecoder(subject.codec, sink));
  ASSIGN_OR_RETURN(auto opener, UploadOpener::Begin(header, key));
  for (uint32_t index = 0; index < subject.chunk_count; ++index) {
    ASSIGN_OR_RETURN(const Bytes ciphertext, chunk(index));
    const auto room = MutableByteView(plaintext_).subspan(uint64_t{index} * subject.chunk_size, subject.chunk_size);
    ASSIGN_OR_RETURN(const size_t size, opener.OpenChunk(ciphertext, room));
    RETURN_IF_ERROR(decoder->Feed(room.first(size)));
  }
  RETURN_IF_ERROR(decoder->Finish());
  ASSIGN_OR_RETURN(const OpenedUpdate opened, sink.Finish());
  values_ = sink.values();
  return opened;
}

}  // namespace tributary
