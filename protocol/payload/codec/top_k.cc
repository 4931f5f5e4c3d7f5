#include "protocol/payload/codec/top_k.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "protocol/payload/codec/half.h"

namespace tributary {
namespace {

constexpr size_t kTopKBlock = 4096;
constexpr size_t kPositionBits = 12;

uint16_t NearestBfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

class TopK final : public BlockCodec {
 public:
  explicit TopK(int percent) : percent_(static_cast<size_t>(percent)) {}
  size_t block() const override { return kTopKBlock; }
  size_t BytesFor(size_t count) const override { return PositionBytes(Kept(count)) + Kept(count) * sizeof(uint16_t); }

  Status Encode(std::span<const float> values, MutableByteView out) override {
    const auto order = std::span(order_).first(values.size());
    std::iota(order.begin(), order.end(), uint16_t{0});
    const auto kept = order.first(Kept(values.size()));
    std::ranges::nth_element(order, kept.end() - 1, [&](uint16_t one, uint16_t other) {
      const float a = std::abs(values[one]), b = std::abs(values[other]);
      return a != b ? a > b : one < other;
    });
    std::ranges::sort(kept);
    const MutableByteView levels = out.subspan(PositionBytes(kept.size()));
    for (size_t i = 0; i < kept.size(); ++i) {
      const uint16_t half = NearestBfloat16(values[kept[i]]);
      if (!std::isfinite(FromBfloat16(half))) return Fail(Code::kNormExceeded, "{} is too large", values[kept[i]]);
      PutPosition(out, i, kept[i]);
      std::memcpy(&levels[i * sizeof(half)], &half, sizeof(half));
    }
    return {};
  }

  Status Decode(ByteView bytes, std::span<float> values) override {
    std::ranges::fill(values, 0.0F);
    const size_t kept = Kept(values.size());
    const ByteView levels = bytes.subspan(PositionBytes(kept));
    size_t least = 0;
    for (size_t i = 0; i < kept; ++i) {
      const size_t position = TakePosition(bytes, i);
      if (position < least || position >= values.size())
        return Fail(Code::kMalformed, "position {} in a block of {} values, behind {}", position, values.size(), least);
      least = position + 1;
      uint16_t half = 0;
      std::memcpy(&half, &levels[i * sizeof(half)], sizeof(half));
      values[position] = FromBfloat16(half);
    }
    if (kept % 2 == 1 && bytes[PositionBytes(kept) - 1] >> 4 != 0)
      return Fail(Code::kMalformed, "there are bits behind the last position of a block");
    return {};
  }

 private:
  size_t Kept(size_t count) const { return (count * percent_ + 99) / 100; }
  static size_t PositionBytes(size_t kept) { return (kept * kPositionBits + 7) / 8; }
  // Two positions lie in three bytes.
  static void PutPosition(MutableByteView out, size_t i, uint16_t position) {
    uint8_t* const at = &out[i / 2 * 3 + i % 2];
    const auto shifted = static_cast<uint32_t>(position) << (i % 2 * 4);
    at[0] = static_cast<uint8_t>(at[0] | (shifted & 0xff));
    at[1] = static_cast<uint8_t>(at[1] | shifted >> 8);
  }
  static uint16_t TakePosition(ByteView bytes, size_t i) {
    const uint8_t* const at = &bytes[i / 2 * 3 + i % 2];
    return static_cast<uint16_t>((at[0] | at[1] << 8) >> (i % 2 * 4) & 0xfff);
  }

  size_t percent_;
  std::array<uint16_t, kTopKBlock> order_;
};

}  // namespace

std::unique_ptr<BlockCodec> MakeTopK(int percent) { return std::make_unique<TopK>(percent); }

}  // namespace tributary
