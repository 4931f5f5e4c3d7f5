#include "protocol/payload/update_codec.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "protocol/base/limits.h"
#include "protocol/payload/codec/codec_list.h"
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

Status CheckCarries(Codec codec) {
  if (CarriesUpdates(codec)) return {};
  return Fail(Code::kUnknownCodec, "codec {} does not carry updates", static_cast<uint16_t>(codec));
}

}  // namespace

Status CheckUpdateSize(const UploadSubject& subject, uint64_t parameter_count) {
  const uint64_t limit = parameter_count * sizeof(float) + kHeadBytes;
  if (subject.plaintext_size <= limit) return {};
  return Fail(Code::kTooLarge, "an update of {} bytes, the limit for {} values is {}", subject.plaintext_size,
              parameter_count, limit);
}

Result<Bytes> EncodeUpdate(const UpdateFormat& format, const UpdateMeta& meta, std::span<const float> delta,
                           Random* random) {
  RETURN_IF_ERROR(CheckCarries(format.codec));
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
  RETURN_IF_ERROR(AppendCoded(*MakeBlockEncoder(format.codec, *random), format.exact, delta, update));
  return update;
}

Result<std::unique_ptr<UpdateDecoder>> MakeUpdateDecoder(const UpdateFormat& format, UpdateDecoder::Sink& sink) {
  RETURN_IF_ERROR(CheckCarries(format.codec));
  if (format.codec == Codec::kFloat32Dense) return std::make_unique<Float32DenseDecoder>(sink);
  return std::make_unique<CodedDecoder>(MakeBlockDecoder(format.codec), format.exact, sink);
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
