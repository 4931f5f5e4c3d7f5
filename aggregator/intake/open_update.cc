#include "aggregator/intake/open_update.h"

#include <algorithm>
#include <optional>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// Adds the values as they come out of a chunk. The addition needs them again if it is given up, so they must not go: as
// long as each block lies right behind the last one in the plaintext they stay where they are, as those of the dense
// codec do. From the first block that does not, blocks are copied to `moved`.
class AddingSink final : public UpdateDecoder::Sink {
 public:
  AddingSink(WeightedSum& sum, const UpdateBounds& bounds, ByteView plaintext, CacheAligned<float>& moved)
      : sum_(sum), bounds_(bounds), plaintext_(plaintext), moved_(moved) {}

  Status OnMeta(const UpdateMeta& meta) override {
    if (meta.parameter_count != sum_.parameter_count()) {
      return Fail(Code::kWrongTensorCount, "{} values announced, the task has {}", meta.parameter_count,
                  sum_.parameter_count());
    }
    if (!(meta.weight > 0 && meta.weight <= bounds_.max_weight)) {
      return Fail(Code::kBadWeight, "weight {}, the most is {}", meta.weight, bounds_.max_weight);
    }
    ASSIGN_OR_RETURN(auto addition, sum_.Begin(bounds_.norm_bound, meta.weight));
    addition_.emplace(std::move(addition));
    meta_ = meta;
    return {};
  }

  Status OnValues(uint64_t first, std::span<const float> values) override {
    if (first > sum_.parameter_count() || values.size() > sum_.parameter_count() - first) {
      return Fail(Code::kWrongTensorCount, "more values than the task's {}", sum_.parameter_count());
    }
    return addition_->Add(Kept(first, values));
  }

  Result<UpdateMeta> Finish() {
    RETURN_IF_ERROR(addition_->Commit());
    return meta_;
  }

 private:
  // The block where it will stay.
  std::span<const float> Kept(uint64_t first, std::span<const float> block) {
    if (!copying_ && InPlace(block)) {
      end_ = block.data() + block.size();
      return block;
    }
    copying_ = true;
    moved_.resize(sum_.parameter_count());
    std::ranges::copy(block, moved_.begin() + static_cast<std::ptrdiff_t>(first));
    return std::span<const float>(moved_).subspan(first, block.size());
  }

  bool InPlace(std::span<const float> block) const {
    const std::less_equal<const void*> before;
    return before(plaintext_.data(), block.data()) &&
           before(block.data() + block.size(), plaintext_.data() + plaintext_.size()) &&
           (end_ == nullptr || block.data() == end_);
  }

  WeightedSum& sum_;
  const UpdateBounds& bounds_;
  ByteView plaintext_;
  CacheAligned<float>& moved_;
  std::optional<WeightedSum::Addition> addition_;
  const float* end_ = nullptr;  // of the blocks in place; null: none yet
  bool copying_ = false;
  UpdateMeta meta_;
};

}  // namespace

Result<UpdateMeta> UpdateReader::AddTo(WeightedSum& sum, const UploadHeader& header, const HpkeKeyPair& key,
                                       const UpdateBounds& bounds,
                                       const std::function<Result<Bytes>(uint32_t index)>& chunk) {
  const UploadSubject& subject = header.subject;
  RETURN_IF_ERROR(CheckUpdateSize(subject, sum.parameter_count()));
  // Room for whole chunks, since OpenChunk asks for it.
  plaintext_.resize(uint64_t{subject.chunk_count} * subject.chunk_size);
  AddingSink sink(sum, bounds, plaintext_, moved_);
  ASSIGN_OR_RETURN(const auto decoder, MakeUpdateDecoder(subject.codec, sink));
  ASSIGN_OR_RETURN(auto opener, UploadOpener::Begin(header, key));
  for (uint32_t index = 0; index < subject.chunk_count; ++index) {
    ASSIGN_OR_RETURN(const Bytes ciphertext, chunk(index));
    const auto room = MutableByteView(plaintext_).subspan(uint64_t{index} * subject.chunk_size, subject.chunk_size);
    ASSIGN_OR_RETURN(const size_t size, opener.OpenChunk(ciphertext, room));
    RETURN_IF_ERROR(decoder->Feed(room.first(size)));
  }
  RETURN_IF_ERROR(decoder->Finish());
  return sink.Finish();
}

}  // namespace tributary
