#include "protocol/payload/codec/scaled_block.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "protocol/payload/codec/half.h"

namespace tributary {
namespace {

constexpr size_t kScaledValues = 64;

// The smallest bfloat16 that is at least `scale`, which is not negative and far below the largest.
uint16_t UpToBfloat16(double scale) {
  const auto nearest = static_cast<float>(scale);
  auto half = static_cast<uint16_t>(std::bit_cast<uint32_t>(nearest) >> 16);
  while (static_cast<double>(FromBfloat16(half)) < scale) ++half;
  return half;
}

class ScaledBlock final : public BlockCodec {
 public:
  ScaledBlock(int bits, std::unique_ptr<RoundingBits> rounding)
      : bits_(bits), most_(bits == 8 ? 127 : 7), rounding_(std::move(rounding)) {}

  size_t block() const override { return kScaledValues; }
  size_t BytesFor(size_t count) const override { return sizeof(uint16_t) + (bits_ == 8 ? count : (count + 1) / 2); }

  Status Encode(std::span<const float> values, MutableByteView out) override {
    float largest = 0;
    for (const float value : values) largest = std::max(largest, std::abs(value));
    const uint16_t half = UpToBfloat16(static_cast<double>(largest) / most_);
    std::memcpy(out.data(), &half, sizeof(half));
    if (half == 0) return {};
    const double steps = 1 / static_cast<double>(FromBfloat16(half));
    const MutableByteView levels = out.subspan(sizeof(half));
    for (size_t i = 0; i < values.size(); ++i) {
      // Rounding of the product may lift the largest a sliver over the most.
      const double level = std::clamp<double>(std::floor(values[i] * steps + rounding_->NextUnit()), -most_, most_);
      Put(levels, i, static_cast<int>(level));
    }
    return {};
  }

  Status Decode(ByteView bytes, std::span<float> values) override {
    uint16_t half = 0;
    std::memcpy(&half, bytes.data(), sizeof(half));
    // Infinity, no number, or a sign.
    if (half >= 0x7f80) return Fail(Code::kNotFinite, "the scale of a block is {}", FromBfloat16(half));
    const float scale = FromBfloat16(half);
    const ByteView levels = bytes.subspan(sizeof(half));
    for (size_t i = 0; i < values.size(); ++i) {
      const int level = Take(levels, i);
      if (level < -most_) return Fail(Code::kMalformed, "a level of {}, the least is {}", level, -most_);
      values[i] = scale * static_cast<float>(level);
    }
    if (bits_ == 4 && values.size() % 2 == 1 && levels.back() >> 4 != 0)
      return Fail(Code::kMalformed, "there is a level behind the last of a block");
    return {};
  }

 private:
  void Put(MutableByteView levels, size_t i, int level) const {
    if (bits_ == 8)
      levels[i] = static_cast<uint8_t>(level);
    else
      levels[i / 2] = static_cast<uint8_t>(levels[i / 2] | (level & 0xf) << (i % 2 * 4));
  }

  int Take(ByteView levels, size_t i) const {
    if (bits_ == 8) return static_cast<int8_t>(levels[i]);
    const int nibble = levels[i / 2] >> (i % 2 * 4) & 0xf;
    return nibble >= 8 ? nibble - 16 : nibble;
  }

  int bits_;
  int most_;
  std::unique_ptr<RoundingBits> rounding_;
};

}  // namespace

std::unique_ptr<BlockCodec> MakeScaledBlock(int bits, std::unique_ptr<RoundingBits> rounding) {
  return std::make_unique<ScaledBlock>(bits, std::move(rounding));
}

}  // namespace tributary
