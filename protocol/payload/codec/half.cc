#include "protocol/payload/codec/half.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

namespace tributary {
namespace {

constexpr float kLargestFloat16 = 65504;
constexpr float kLargestBfloat16 = 0x1.fep127F;
// The bits of 2^-14, the smallest normal float16, as a float32; and what lies between the exponents of both.
constexpr uint32_t kSmallestNormal = 0x38800000;
constexpr uint32_t kRebias = 112U << 10;

uint16_t ToFloat16(float value, uint32_t random) {
  const auto whole = std::bit_cast<uint32_t>(value);
  const uint32_t sign = whole >> 31 << 15;
  const uint32_t magnitude = whole & 0x7fffffff;
  // A float16 has 10 of the 23 bits: a carry out of the random sum is a step up, into the next exponent if need be.
  if (magnitude >= kSmallestNormal)
    return static_cast<uint16_t>(sign | (((magnitude + (random & 0x1fff)) >> 13) - kRebias));
  const double steps = std::ldexp(std::abs(static_cast<double>(value)), 24);
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(steps + static_cast<double>(random) * 0x1p-32));
}

uint16_t ToBfloat16(float value, uint32_t random) {
  return static_cast<uint16_t>((std::bit_cast<uint32_t>(value) + (random & 0xffff)) >> 16);
}

struct Float16 {
  static constexpr float kLargest = kLargestFloat16;
  static constexpr const char* kName = "float16";
  static uint16_t To(float value, uint32_t random) { return ToFloat16(value, random); }
  static float From(uint16_t half) { return FromFloat16(half); }
};

struct Bfloat16 {
  static constexpr float kLargest = kLargestBfloat16;
  static constexpr const char* kName = "bfloat16";
  static uint16_t To(float value, uint32_t random) { return ToBfloat16(value, random); }
  static float From(uint16_t half) { return FromBfloat16(half); }
};

template <class Half>
class HalfCodec final : public BlockCodec {
 public:
  explicit HalfCodec(std::unique_ptr<RoundingBits> bits) : bits_(std::move(bits)) {}
  size_t block() const override { return 4096; }
  size_t BytesFor(size_t count) const override { return count * sizeof(uint16_t); }

  Status Encode(std::span<const float> values, MutableByteView out) override {
    for (size_t i = 0; i < values.size(); ++i) {
      if (!(std::abs(values[i]) <= Half::kLargest))
        return Fail(Code::kNormExceeded, "{} is too large for {}, which goes up to {}", values[i], Half::kName,
                    Half::kLargest);
      const uint16_t half = Half::To(values[i], bits_->Next());
      std::memcpy(&out[i * sizeof(half)], &half, sizeof(half));
    }
    return {};
  }

  Status Decode(ByteView bytes, std::span<float> values) override {
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t half = 0;
      std::memcpy(&half, &bytes[i * sizeof(half)], sizeof(half));
      values[i] = Half::From(half);
    }
    return {};
  }

 private:
  std::unique_ptr<RoundingBits> bits_;
};

}  // namespace

float FromFloat16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400) return std::bit_cast<float>(sign | ((magnitude + kRebias) << 13));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24F;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(subnormal));
}

float FromBfloat16(uint16_t half) { return std::bit_cast<float>(static_cast<uint32_t>(half) << 16); }

std::unique_ptr<BlockCodec> MakeFloat16(std::unique_ptr<RoundingBits> bits) {
  return std::make_unique<HalfCodec<Float16>>(std::move(bits));
}

std::unique_ptr<BlockCodec> MakeBfloat16(std::unique_ptr<RoundingBits> bits) {
  return std::make_unique<HalfCodec<Bfloat16>>(std::move(bits));
}

}  // namespace tributary
