#include "protocol/payload/codec/linear.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "protocol/payload/codec/rotation.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// Of a normal variable one in 150,000 is further out.
constexpr double kDeviations = 4.5;

double Levels(int bits) { return std::ldexp(1.0, bits - 1) - 1; }

class Linear final : public BlockCodec {
 public:
  Linear(int bits, const LinearRound& round, std::unique_ptr<RoundingBits> rounding)
      : bits_(bits),
        step_(round.step),
        most_(std::min(Levels(bits), std::floor(round.value_bound / round.step))),
        rounding_(std::move(rounding)) {}

  size_t block() const override { return kRotationBlock; }
  size_t BytesFor(size_t count) const override { return (count * static_cast<size_t>(bits_) + 7) / 8; }

  Status Encode(std::span<const float> values, MutableByteView out) override {
    for (size_t i = 0; i < values.size(); ++i) {
      const double level = std::floor(values[i] / step_ + rounding_->NextUnit());
      Put(out, i, static_cast<int32_t>(std::clamp(level, -most_, most_)));
    }
    return {};
  }

  Status Decode(ByteView bytes, std::span<float> values) override {
    const auto lowest = -(int32_t{1} << (bits_ - 1));
    for (size_t i = 0; i < values.size(); ++i) {
      const int32_t level = Take(bytes, i);
      if (level == lowest) return Fail(Code::kMalformed, "a level of {}, the least is {}", level, lowest + 1);
      values[i] = static_cast<float>(level * step_);
    }
    const size_t used = values.size() * static_cast<size_t>(bits_) % 8;
    if (used != 0 && bytes.back() >> used != 0)
      return Fail(Code::kMalformed, "there are bits behind the last of a block");
    return {};
  }

 private:
  // A level lies in five bytes at most: 24 bits and up to 7 before them.
  void Put(MutableByteView out, size_t i, int32_t level) const {
    const size_t bit = i * static_cast<size_t>(bits_);
    uint64_t shifted = (static_cast<uint64_t>(level) & Mask()) << (bit % 8);
    for (size_t at = bit / 8; shifted != 0; ++at, shifted >>= 8) out[at] |= static_cast<uint8_t>(shifted);
  }
  int32_t Take(ByteView bytes, size_t i) const {
    const size_t bit = i * static_cast<size_t>(bits_);
    const size_t end = (bit + static_cast<size_t>(bits_) + 7) / 8;
    uint64_t word = 0;
    for (size_t at = end; at > bit / 8; --at) word = word << 8 | bytes[at - 1];
    const auto level = static_cast<int64_t>(word >> (bit % 8) & Mask());
    return static_cast<int32_t>(level >> (bits_ - 1) != 0 ? level - (int64_t{1} << bits_) : level);
  }
  uint64_t Mask() const { return (uint64_t{1} << bits_) - 1; }

  int bits_;
  double step_;
  double most_;
  std::unique_ptr<RoundingBits> rounding_;
};

}  // namespace

Digest LinearSeed(const TaskId& task, ModelVersion base) {
  return Sha256(AsBytes(fmt::format("tributary linear codec v1/{}/{}", task.text(), Number(base))));
}

double LinearStep(double norm_bound, uint64_t coordinates, int bits, int fraction_bits) {
  const double reach = kDeviations * norm_bound / std::sqrt(static_cast<double>(std::max<uint64_t>(coordinates, 1)));
  int exponent = 0;
  // step = mantissa * 2^exponent, mantissa in [0.5, 1).
  const double mantissa = std::frexp(reach / Levels(bits), &exponent);
  return std::ldexp(1.0, std::max(mantissa == 0.5 ? exponent - 1 : exponent, -fraction_bits));
}

double LinearReach(double step, uint64_t coordinates, int bits) {
  return step * Levels(bits) * std::sqrt(static_cast<double>(coordinates)) / kDeviations;
}

LinearForm::LinearForm(uint64_t parameter_count, std::span<const ValueRange> exact)
    : parameter_count_(parameter_count) {
  for (const ValueRange& range : exact) {
    const uint64_t first = std::min(range.first, parameter_count);
    const uint64_t end = std::min(range.first + range.size, parameter_count);
    if (end == first) continue;
    exact_.push_back({first, end - first});
    exact_count_ += end - first;
  }
  const uint64_t rest = parameter_count - exact_count_;
  blocks_ = (rest + kRotationBlock - 1) / kRotationBlock;
  block_ = blocks_ == 1 ? std::bit_ceil(rest) : kRotationBlock;
}

std::vector<float> LinearForm::Rotate(std::span<const float> values, const Digest& seed, double most) const {
  TRIBUTARY_CHECK(values.size() == parameter_count_) << values.size() << " of " << parameter_count_;
  std::vector<float> vector(size());
  const auto coordinates = std::span(vector).subspan(exact_count_);
  uint64_t exact = 0, dealt = 0, next = 0;
  double squares = 0;
  for (uint64_t i = 0; i < values.size(); ++i) {
    while (next < exact_.size() && i >= exact_[next].first + exact_[next].size) ++next;
    if (next < exact_.size() && i >= exact_[next].first) {
      vector[exact++] = values[i];
      continue;
    }
    coordinates[dealt % blocks_ * block_ + dealt / blocks_] = values[i];
    squares += double{values[i]} * double{values[i]};
    ++dealt;
  }
  if (const double norm = std::sqrt(squares); norm > most) {
    for (float& value : coordinates) value = static_cast<float>(value * (most / norm));
  }
  KeyStream stream(seed.view());
  for (uint64_t block = 0; block < blocks_; ++block) {
    const auto part = coordinates.subspan(block * block_, block_);
    FlipSigns(part, stream);
    Hadamard(part);
  }
  return vector;
}

std::vector<double> LinearForm::RotateBack(std::span<const double> vector, const Digest& seed) const {
  TRIBUTARY_CHECK(vector.size() == size()) << vector.size() << " of " << size();
  std::vector<double> back(parameter_count_);
  const auto read = [&](uint64_t first, std::span<double> values) -> Status {
    std::ranges::copy(vector.subspan(first, values.size()), values.begin());
    return {};
  };
  const auto take = [&](std::span<const uint64_t> positions, std::span<const double> values) -> Status {
    for (size_t i = 0; i < values.size(); ++i) back[positions[i]] = values[i];
    return {};
  };
  TRIBUTARY_CHECK(VisitRotatedBack(read, seed, take).has_value()) << "neither of the two fails";
  return back;
}

Status LinearForm::VisitRotatedBack(const ReadVector& read, const Digest& seed, const TakeValues& take) const {
  RETURN_IF_ERROR(VisitExact(read, take));
  KeyStream stream(seed.view());
  std::vector<double> values(block_);
  std::vector<uint64_t> positions;
  for (uint64_t block = 0; block < blocks_; ++block) {
    RETURN_IF_ERROR(read(exact_count_ + block * block_, values));
    Hadamard(values);
    FlipSigns(values, stream);
    positions.clear();
    // Value `dealt` of those that are rotated lies behind the exact ranges that were passed.
    uint64_t passed = 0;
    size_t next = 0;
    for (uint64_t dealt = block; dealt < parameter_count_ - exact_count_; dealt += blocks_) {
      for (; next < exact_.size() && exact_[next].first <= dealt + passed; ++next) passed += exact_[next].size;
      positions.push_back(dealt + passed);
    }
    RETURN_IF_ERROR(take(positions, std::span(values).first(positions.size())));
  }
  return {};
}

Status LinearForm::VisitExact(const ReadVector& read, const TakeValues& take) const {
  std::vector<double> values;
  std::vector<uint64_t> positions;
  uint64_t exact = 0;
  for (const ValueRange& range : exact_) {
    for (uint64_t first = 0; first < range.size; first += kRotationBlock) {
      values.resize(std::min<uint64_t>(kRotationBlock, range.size - first));
      positions.resize(values.size());
      std::iota(positions.begin(), positions.end(), range.first + first);
      RETURN_IF_ERROR(read(exact, values));
      RETURN_IF_ERROR(take(positions, values));
      exact += values.size();
    }
  }
  return {};
}

std::unique_ptr<BlockCodec> MakeLinear(int bits, const LinearRound& round, std::unique_ptr<RoundingBits> rounding) {
  return std::make_unique<Linear>(bits, round, std::move(rounding));
}

}  // namespace tributary
