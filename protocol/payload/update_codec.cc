#include "protocol/payload/update_codec.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "protocol/base/limits.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/codec/rotation.h"
#include "protocol/payload/coded_values.h"
#include "protocol/payload/update_head.h"

namespace tributary {
namespace {

// An update's plaintext may have so much beside 4 bytes per value. Its head with the padding is under 100 bytes.
constexpr uint64_t kHeadBytes = 4 * limits::kKiB;

// Values in the middle of a part are handed on where they lie; one that is split between parts is put together in
// `split_`, and parts that lie at an odd address are copied block by block.
class Float32DenseDecoder final : public UpdateDecoder {
 public:
  explicit Float32DenseDecoder(Sink& sink) : sink_(&sink) {}

  Status Feed(ByteView part) override {
    if (status_) status_ = Take(part);
    return status_;
  }

  Status Finish() override {
    if (status_) status_ = CheckComplete();
    return status_;
  }

 private:
  Status Take(ByteView part) {
    if (!meta_) {
      ASSIGN_OR_RETURN(meta_, head_.Feed(part));
      if (!meta_) return {};
      RETURN_IF_ERROR(sink_->OnMeta(*meta_));
    }
    const uint64_t have = next_ * sizeof(float) + split_size_;
    if (part.size() > meta_->parameter_count * sizeof(float) - have)
      return Fail(Code::kWrongTensorCount, "more than the announced {} values came", meta_->parameter_count);
    if (split_size_ != 0) RETURN_IF_ERROR(CompleteSplit(part));
    const size_t whole = part.size() / sizeof(float);
    RETURN_IF_ERROR(HandOn(part.first(whole * sizeof(float))));
    KeepForLater(part.subspan(whole * sizeof(float)));
    return {};
  }

  Status CompleteSplit(ByteView& part) {
    const size_t count = std::min(part.size(), sizeof(float) - split_size_);
    std::copy_n(part.begin(), count, split_.begin() + static_cast<std::ptrdiff_t>(split_size_));
    split_size_ += count;
    part = part.subspan(count);
    if (split_size_ < sizeof(float)) return {};
    split_size_ = 0;
    return HandOnCopy(split_);
  }

  void KeepForLater(ByteView tail) {
    if (tail.empty()) return;
    std::copy(tail.begin(), tail.end(), split_.begin());
    split_size_ = tail.size();
  }

  Status HandOn(ByteView whole) {
    if (whole.empty()) return {};
    if (reinterpret_cast<uintptr_t>(whole.data()) % alignof(float) != 0) return HandOnCopy(whole);
    return Deliver({reinterpret_cast<const float*>(whole.data()), whole.size() / sizeof(float)});
  }

  Status HandOnCopy(ByteView whole) {
    std::array<float, 1024> block;  // 4 KiB: stays in the first-level cache
    while (!whole.empty()) {
      const size_t count = std::min(whole.size() / sizeof(float), block.size());
      std::memcpy(block.data(), whole.data(), count * sizeof(float));
      RETURN_IF_ERROR(Deliver({block.data(), count}));
      whole = whole.subspan(count * sizeof(float));
    }
    return {};
  }

  Status Deliver(std::span<const float> values) {
    const uint64_t first = next_;
    next_ += values.size();
    return sink_->OnValues(first, values);
  }

  Status CheckComplete() const {
    if (!meta_) return Fail(Code::kMalformed, "the update ended in its head");
    if (split_size_ != 0) return Fail(Code::kMalformed, "the update ended within a value");
    if (next_ != meta_->parameter_count)
      return Fail(Code::kWrongTensorCount, "{} values came instead of the announced {}", next_, meta_->parameter_count);
    return {};
  }

  Sink* sink_;
  UpdateHeadReader head_;
  std::optional<UpdateMeta> meta_;
  uint64_t next_ = 0;  // index of the next value to be handed on
  std::array<uint8_t, sizeof(float)> split_{};
  size_t split_size_ = 0;
  Status status_;
};

Status CheckFormat(const UpdateFormat& format) {
  if (!CarriesUpdates(format.codec))
    return Fail(Code::kUnknownCodec, "codec {} does not carry updates", static_cast<uint16_t>(format.codec));
  if (!IsLinear(format.codec) || (format.linear && format.linear->step > 0)) return {};
  return Fail(Code::kInvalidArgument, "{} needs the step of a round", CodecName(format.codec));
}

// In the rotated vector.
std::vector<ValueRange> ExactOf(const LinearForm& form) { return {{0, form.exact_count()}}; }

const LinearRound* RoundOf(const UpdateFormat& format) { return format.linear ? &*format.linear : nullptr; }

}  // namespace

Status CheckUpdateSize(const UploadSubject& subject, uint64_t parameter_count) {
  // A rotated vector is filled up to whole blocks.
  const uint64_t values = parameter_count + (IsLinear(subject.codec) ? kRotationBlock : 0);
  const uint64_t limit = values * sizeof(float) + kHeadBytes;
  if (subject.plaintext_size <= limit) return {};
  return Fail(Code::kTooLarge, "an update of {} bytes, the limit for {} values is {}", subject.plaintext_size,
              parameter_count, limit);
}

Result<Bytes> EncodeUpdate(const UpdateFormat& format, const UpdateMeta& meta, std::span<const float> delta,
                           Random* random) {
  RETURN_IF_ERROR(CheckFormat(format));
  if (meta.parameter_count != delta.size()) {
    return Fail(Code::kInvalidArgument, "meta says {} parameters, the delta has {}", meta.parameter_count,
                delta.size());
  }
  Bytes update = EncodeUpdateHead(meta);
  if (format.codec == Codec::kFloat32Dense) {
    update.reserve(update.size() + delta.size_bytes());
    Append(update, AsBytes(delta));
    return update;
  }
  if (random == nullptr) return Fail(Code::kInvalidArgument, "{} rounds by chance", CodecName(format.codec));
  auto codec = MakeBlockEncoder(format.codec, *random, RoundOf(format));
  if (!IsLinear(format.codec)) {
    RETURN_IF_ERROR(CodedEncoder(std::move(codec), delta.size(), format.exact).Add(delta, update));
    return update;
  }
  const LinearForm form(delta.size(), format.exact);
  // Rounding to 4 bits makes the norm 4 % larger, to more bits less.
  constexpr double kBelowBound = 0.95;
  const double reach = std::min(LinearReach(format.linear->step, form.coordinates(), LinearBits(format.codec)),
                                kBelowBound * format.linear->norm_bound);
  CodedEncoder encoder(std::move(codec), form.size(), ExactOf(form));
  RETURN_IF_ERROR(encoder.Add(form.Rotate(delta, format.linear->seed, reach), update));
  return update;
}

Result<std::unique_ptr<UpdateDecoder>> MakeUpdateDecoder(const UpdateFormat& format, UpdateDecoder::Sink& sink) {
  RETURN_IF_ERROR(CheckFormat(format));
  if (format.codec == Codec::kFloat32Dense) return std::make_unique<Float32DenseDecoder>(sink);
  auto codec = MakeBlockDecoder(format.codec, RoundOf(format));
  if (!IsLinear(format.codec))
    return std::make_unique<CodedDecoder>(
        std::move(codec), format.exact, [](uint64_t count) { return count; }, sink);
  // How many exact values there are follows from the task's table, which the sink compares with the count that came.
  const auto form = [exact = format.exact](uint64_t count) { return LinearForm(count, exact); };
  uint64_t exact = 0;
  for (const ValueRange& range : format.exact) exact += range.size;
  return std::make_unique<CodedDecoder>(
      std::move(codec), std::vector<ValueRange>{{0, exact}}, [form](uint64_t count) { return form(count).size(); },
      sink);
}

Result<std::vector<float>> DecodeUpdate(const UpdateFormat& format, ByteView plaintext) {
  class Keeper final : public UpdateDecoder::Sink {
   public:
    Status OnMeta(const UpdateMeta&) override { return {}; }
    Status OnValues(uint64_t, std::span<const float> values) override {
      kept.insert(kept.end(), values.begin(), values.end());
      return {};
    }
    std::vector<float> kept;
  } keeper;
  ASSIGN_OR_RETURN(const auto decoder, MakeUpdateDecoder(format, keeper));
  RETURN_IF_ERROR(decoder->Feed(plaintext));
  RETURN_IF_ERROR(decoder->Finish());
  return std::move(keeper.kept);
}

}  // namespace tributary
