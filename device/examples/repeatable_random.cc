#include "device/examples/repeatable_random.h"

#include <bit>
#include <cmath>
#include <utility>

#include "protocol/base/result.h"

namespace tributary {
namespace {

uint64_t Finalise(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t SplitMix64(uint64_t& state) { return Finalise(state += 0x9e3779b97f4a7c15); }

}  // namespace

RepeatableRandom::RepeatableRandom(uint64_t seed) {
  for (uint64_t& word : state_) word = SplitMix64(seed);
}

uint64_t RepeatableRandom::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t RepeatableRandom::Below(uint64_t bound) {
  TRIBUTARY_CHECK(bound > 0) << " bound " << bound;
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(Next()) * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = -bound % bound;
    while (static_cast<uint64_t>(product) < threshold) product = static_cast<Wide>(Next()) * bound;
  }
  return static_cast<uint64_t>(product >> 64);
}

double RepeatableRandom::Normal() {
  while (true) {
    const double x = 2 * Unit() - 1;
    const double y = 2 * Unit() - 1;
    const double square = x * x + y * y;
    // The pair's second value is dropped: keeping it would be state that a seed does not show.
    if (square > 0 && square < 1) return x * std::sqrt(-2 * std::log(square) / square);
  }
}

double RepeatableRandom::LogGamma(double shape) {
  TRIBUTARY_CHECK(shape > 0) << " shape " << shape;
  if (shape < 1) {
    // 1 - Unit() lies in (0, 1], so the logarithm is finite.
    const double boost = std::log(1 - Unit()) / shape;
    return LogGamma(shape + 1) + boost;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = Normal();
    const double root = 1 + c * x;
    if (!(root > 0)) continue;
    const double v = root * root * root;
    if (std::log(1 - Unit()) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d) + std::log(v);
  }
}

void RepeatableRandom::Shuffle(std::span<uint32_t> values) {
  for (size_t left = values.size(); left > 1; --left) std::swap(values[left - 1], values[Below(left)]);
}

uint64_t DeriveSeed(uint64_t seed, std::string_view purpose, uint64_t number) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (int shift = 0; shift < 64; shift += 8) add(static_cast<uint8_t>(seed >> shift));
  for (const char c : purpose) add(static_cast<uint8_t>(c));
  for (int shift = 0; shift < 64; shift += 8) add(static_cast<uint8_t>(number >> shift));
  return Finalise(hash);
}

}  // namespace tributary
