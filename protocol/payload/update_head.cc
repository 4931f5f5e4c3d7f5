#include "protocol/payload/update_head.h"

#include <algorithm>
#include <cstring>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/envelope.capnp.h"

namespace tributary {
namespace {

// Values begin at a multiple of a cache line, so that kernels may load them aligned.
constexpr size_t kValueAlignment = 64;
// The meta of this version has 48 bytes; a longer one than this cannot be a meta.
constexpr size_t kMostMetaBytes = 1024;

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

}  // namespace

Bytes EncodeUpdateHead(const UpdateMeta& meta) {
  const Bytes encoded = EncodeMeta(meta);
  Bytes head;
  AppendU32(head, static_cast<uint32_t>(encoded.size()));
  Append(head, encoded);
  head.resize(HeadSize(encoded.size()));
  return head;
}

Result<std::optional<UpdateMeta>> UpdateHeadReader::Feed(ByteView& part) {
  if (!TakeUntil(part, sizeof(uint32_t))) return std::nullopt;
  uint32_t meta_size = 0;
  std::memcpy(&meta_size, head_.data(), sizeof(meta_size));
  if (meta_size > kMostMetaBytes) return Fail(Code::kMalformed, "update meta of {} bytes is over the limit", meta_size);
  if (!TakeUntil(part, HeadSize(meta_size))) return std::nullopt;
  const ByteView rest = ByteView(head_).subspan(sizeof(uint32_t));
  if (std::ranges::any_of(rest.subspan(meta_size), [](uint8_t byte) { return byte != 0; }))
    return Fail(Code::kMalformed, "the padding behind the update's meta is not zero");
  return DecodeMeta(rest.first(meta_size));
}

bool UpdateHeadReader::TakeUntil(ByteView& part, size_t size) {
  if (head_.size() < size) {
    const size_t count = std::min(part.size(), size - head_.size());
    Append(head_, part.first(count));
    part = part.subspan(count);
  }
  return head_.size() >= size;
}

}  // namespace tributary
