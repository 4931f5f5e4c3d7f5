#include "protocol/payload/codec/eden.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <ranges>

#include "protocol/payload/codec/rotation.h"

namespace tributary {
namespace {

constexpr float kLevels1[] = {0.7978845608F};
constexpr float kLevels2[] = {0.4527800399F, 1.5104176087F};
constexpr float kLevels4[] = {0.1283950167F, 0.3880482345F, 0.6567589958F, 0.9423402690F,
                              1.2562309480F, 1.6180460517F, 2.0690167302F, 2.7325888041F};

class Eden final : public BlockCodec {
 public:
  Eden(int bits, Random* random) : bits_(bits), levels_(EdenLevels(bits)) {
    if (random == nullptr) return;
    random->Fill(seed_);
    stream_.emplace(seed_);
    for (size_t i = 0; i + 1 < levels_.size(); ++i) borders_[i] = (levels_[i] + levels_[i + 1]) / 2;
  }

  size_t head_bytes() const override { return seed_.size(); }
  void WriteHead(MutableByteView out) override { std::ranges::copy(seed_, out.begin()); }
  void ReadHead(ByteView bytes) override { stream_.emplace(bytes); }
  size_t block() const override { return kRotationBlock; }
  size_t BytesFor(size_t count) const override {
    return sizeof(float) + (std::bit_ceil(count) * static_cast<size_t>(bits_) + 7) / 8;
  }

  Status Encode(std::span<const float> values, MutableByteView out) override {
    const auto rotated = std::span(rotated_).first(std::bit_ceil(values.size()));
    std::ranges::fill(std::ranges::copy(values, rotated.begin()).out, rotated.end(), 0.0F);
    DrawSigns(rotated.size());
    for (const auto& signs : signs_) {
      Change(rotated, signs);
      Hadamard(rotated);
    }
    double squares = 0;
    for (const float value : rotated) squares += double{value} * double{value};
    if (squares == 0) return {};
    const auto to_normal = static_cast<float>(std::sqrt(static_cast<double>(rotated.size()) / squares));
    const auto level_of = std::span(level_of_).first(rotated.size());
    for (size_t i = 0; i < rotated.size(); ++i) {
      const uint32_t index = IndexOf(std::abs(rotated[i]) * to_normal);
      const bool minus = std::signbit(rotated[i]);
      level_of[i] = minus ? -levels_[index] : levels_[index];
      Put(out.subspan(sizeof(float)), i, index | (minus ? uint32_t{1} << (bits_ - 1) : 0));
    }
    const auto scale = static_cast<float>(UnbiasedScale(rotated, level_of));
    if (!std::isfinite(scale)) return Fail(Code::kNormExceeded, "a block has a scale beyond float32");
    std::memcpy(out.data(), &scale, sizeof(scale));
    return {};
  }

  Status Decode(ByteView bytes, std::span<float> values) override {
    float scale = 0;
    std::memcpy(&scale, bytes.data(), sizeof(scale));
    if (!std::isfinite(scale) || std::signbit(scale))
      return Fail(Code::kNotFinite, "the scale of a block is {}", scale);
    const auto rotated = std::span(rotated_).first(std::bit_ceil(values.size()));
    const ByteView packed = bytes.subspan(sizeof(scale));
    for (size_t i = 0; i < rotated.size(); ++i) {
      const uint32_t level = Take(packed, i);
      const float magnitude = scale * levels_[level & (levels_.size() - 1)];
      rotated[i] = level >> (bits_ - 1) != 0 ? -magnitude : magnitude;
    }
    const size_t used = rotated.size() * static_cast<size_t>(bits_);
    if (used < 8 && packed[0] >> used != 0) return Fail(Code::kMalformed, "there are bits behind the last of a block");
    DrawSigns(rotated.size());
    for (const auto& signs : std::views::reverse(signs_)) {
      Hadamard(rotated);
      Change(rotated, signs);
    }
    std::ranges::copy(rotated.first(values.size()), values.begin());
    return {};
  }

 private:
  using Signs = std::array<float, kRotationBlock>;  // 1 and -1

  void DrawSigns(size_t count) {
    for (Signs& signs : signs_) {
      const auto drawn = std::span(signs).first(count);
      std::ranges::fill(drawn, 1.0F);
      FlipSigns(drawn, *stream_);
    }
  }
  static void Change(std::span<float> values, const Signs& signs) {
    for (size_t i = 0; i < values.size(); ++i) values[i] *= signs[i];
  }
  uint32_t IndexOf(float magnitude) const {
    uint32_t index = 0;
    for (size_t i = 0; i + 1 < levels_.size(); ++i) index += magnitude > borders_[i] ? 1 : 0;
    return index;
  }
  void Put(MutableByteView packed, size_t i, uint32_t level) const {
    const size_t bit = i * static_cast<size_t>(bits_);
    packed[bit / 8] = static_cast<uint8_t>(packed[bit / 8] | level << (bit % 8));
  }
  uint32_t Take(ByteView packed, size_t i) const {
    const size_t bit = i * static_cast<size_t>(bits_);
    return packed[bit / 8] >> (bit % 8) & ((uint32_t{1} << bits_) - 1);
  }

  int bits_;
  std::span<const float> levels_;
  std::array<float, 7> borders_{};  // between the levels
  std::array<uint8_t, KeyStream::kSeedBytes> seed_{};
  std::optional<KeyStream> stream_;
  std::array<Signs, 2> signs_;
  std::array<float, kRotationBlock> rotated_;
  std::array<float, kRotationBlock> level_of_;
};

}  // namespace

std::unique_ptr<BlockCodec> MakeEden(int bits, Random* random) { return std::make_unique<Eden>(bits, random); }

std::span<const float> EdenLevels(int bits) {
  if (bits == 1) return kLevels1;
  if (bits == 2) return kLevels2;
  return kLevels4;
}

double UnbiasedScale(std::span<const float> x, std::span<const float> q) {
  double squares = 0, dot = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    squares += double{x[i]} * double{x[i]};
    dot += double{x[i]} * double{q[i]};
  }
  return squares == 0 ? 0 : squares / dot;
}

}  // namespace tributary
