#include "protocol/payload/update_codec.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/envelope.capnp.h"

namespace tributary {
namespace {

// Values begin at a multiple of a cache line, so that kernels may load them aligned.
constexpr size_t kValueAlignment = 64;
// The meta of this version has 48 bytes; a longer one than this cannot be a meta.
constexpr size_t kMostMetaBytes = 1024;
// An update's plaintext may have so much beside 4 bytes per value. Its head with the padding is under 100 bytes.
constexpr uint64_t kHeadBytes = 4 * limits::kKiB;

size_t HeadSize(size_t meta_size) {
  return (sizeof(uint32_t) + meta_size + kValueAlignment - 1) / kValueAlignment * kValueAlignment;
}

Bytes EncodeMeta(const UpdateMeta& meta) {
  return wire::EncodeCanonical<schema::UpdateMeta>([&](schema::UpdateMeta::Builder to) {
    to.setWeight(meta.weight);
    to.setParameterCount(meta.parameter_count);
    to.setTrainingLoss(meta.training_loss);
    to.setTrainingMillis(meta.training_millis);
    to.setPeakMemoryBytes(meta.peak_memory_bytes);
  });
}

Result<UpdateMeta> DecodeMeta(ByteView bytes) {
  return wire::DecodeCanonical<schema::UpdateMeta>(
      bytes, "update meta", [](schema::UpdateMeta::Reader from) -> Result<UpdateMeta> {
        if (from.getParameterCount() > limits::kParameters)
          return Fail(Code::kTooLarge, "{} parameters are over the limit", from.getParameterCount());
        if (from.getTrainingMillis() > limits::kCounter || from.getPeakMemoryBytes() > limits::kCounter)
          return Fail(Code::kMalformed, "an update took {} ms and {} bytes", from.getTrainingMillis(),
                      from.getPeakMemoryBytes());
        return UpdateMeta{from.getWeight(), from.getParameterCount(), from.getTrainingLoss(), from.getTrainingMillis(),
                          from.getPeakMemoryBytes()};
      });
}

// Gathers the head, which may come in pieces of any size.
class HeadReader {
 public:
  // Takes from the front of `part` what belongs to the head.
  Result<std::optional<UpdateMeta>> Feed(ByteView& part) {
    if (!TakeUntil(part, sizeof(uint32_t))) return std::nullopt;
    uint32_t meta_size = 0;
    std::memcpy(&meta_size, head_.data(), sizeof(meta_size));
    if (meta_size > kMostMetaBytes)
      return Fail(Code::kMalformed, "update meta of {} bytes is over the limit", meta_size);
    if (!TakeUntil(part, HeadSize(meta_size))) return std::nullopt;
    const ByteView rest = ByteView(head_).subspan(sizeof(uint32_t));
    if (std::ranges::any_of(rest.subspan(meta_size), [](uint8_t byte) { return byte != 0; }))
      return Fail(Code::kMalformed, "the padding behind the update's meta is not zero");
    return DecodeMeta(rest.first(meta_size));
  }

 private:
  bool TakeUntil(ByteView& part, size_t size) {
    if (head_.size() < size) {
      const size_t count = std::min(part.size(), size - head_.size());
      Append(head_, part.first(count));
      part = part.subspan(count);
    }
    return head_.size() >= size;
  }
  Bytes head_;
};

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
  HeadReader head_;
  std::optional<UpdateMeta> meta_;
  uint64_t next_ = 0;  // index of the next value to be handed on
  std::array<uint8_t, sizeof(float)> split_{};
  size_t split_size_ = 0;
  Status status_;
};

}  // namespace

Status CheckUpdateSize(const UploadSubject& subject, uint64_t parameter_count) {
  const uint64_t limit = parameter_count * sizeof(float) + kHeadBytes;
  if (subject.plaintext_size <= limit) return {};
  return Fail(Code::kTooLarge, "an update of {} bytes, the limit for {} values is {}", subject.plaintext_size,
              parameter_count, limit);
}

Result<Bytes> EncodeUpdate(Codec codec, const UpdateMeta& meta, std::span<const float> delta) {
  if (codec != Codec::kFloat32Dense)
    return Fail(Code::kUnknownCodec, "codec {} does not carry updates", static_cast<uint16_t>(codec));
  if (meta.parameter_count != delta.size()) {
    return Fail(Code::kInvalidArgument, "meta says {} parameters, the delta has {}", meta.parameter_count,
                delta.size());
  }
  const Bytes encoded_meta = EncodeMeta(meta);
  Bytes update;
  update.reserve(HeadSize(encoded_meta.size()) + delta.size_bytes());
  AppendU32(update, static_cast<uint32_t>(encoded_meta.size()));
  Append(update, encoded_meta);
  update.resize(HeadSize(encoded_meta.size()));
  Append(update, AsBytes(delta));
  return update;
}

Result<std::unique_ptr<UpdateDecoder>> MakeUpdateDecoder(Codec codec, UpdateDecoder::Sink& sink) {
  if (codec != Codec::kFloat32Dense)
    return Fail(Code::kUnknownCodec, "codec {} does not carry updates", static_cast<uint16_t>(codec));
  return std::make_unique<Float32DenseDecoder>(sink);
}

}  // namespace tributary
