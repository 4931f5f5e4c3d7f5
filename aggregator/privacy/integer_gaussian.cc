#include "aggregator/privacy/integer_gaussian.h"

#include <numeric>

namespace tributary {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr uint64_t kFarthest = 64;  // in t

// 2^32 / k!, rounded down.
constexpr uint32_t kHalf = 0x80000000, kThird = 0x2AAAAAAA, kFourth = 0x0AAAAAAA, kFifth = 0x02222222,
                   kSixth = 0x005B05B0;

KeyStream KeyedBy(Random& random) {
  std::array<uint8_t, KeyStream::kSeedBytes> seed;
  random.Fill(seed);
  return KeyStream(seed);
}

// The largest e with 4^e <= 2 sigma^2, at least 0: t = 2^e lies within a factor of sqrt 2 of sigma.
int LogScale(Variance sigma_squared) {
  int log = 0;
  while (Wide{sigma_squared.denominator} << (2 * log + 2) <= Wide{sigma_squared.numerator} * 2) ++log;
  return log;
}

// A number of 192 bits.
struct Long {
  Wide high;
  uint64_t low;
};
Long Product(uint64_t factor, Wide other) {
  const Wide low = Wide{factor} * static_cast<uint64_t>(other);
  return {Wide{factor} * static_cast<uint64_t>(other >> 64) + (low >> 64), static_cast<uint64_t>(low)};
}

}  // namespace

Result<IntegerGaussian> IntegerGaussian::Create(Variance sigma_squared, Random& random) {
  const uint64_t common = std::gcd(sigma_squared.numerator, sigma_squared.denominator);
  if (common > 0) sigma_squared = {sigma_squared.numerator / common, sigma_squared.denominator / common};
  const auto [numerator, denominator] = sigma_squared;
  const bool parts = numerator > 0 && denominator > 0 && numerator <= kLargestPart && denominator <= kLargestPart;
  if (!parts || Wide{numerator} * 64 < denominator) {
    return Fail(Code::kInvalidArgument, "no noise has the variance {}/{}: it lies between 2^-6 and 2^56", numerator,
                denominator);
  }
  return IntegerGaussian(sigma_squared, random);
}

// With parts of at most 2^56, denominator * 4^e is at most 2^57: magnitude * t * denominator stays below
// 2^6 * 2^57 = 2^63, and divisor_ at or below 2 * 2^56 * 2^57 = 2^114.
IntegerGaussian::IntegerGaussian(Variance sigma_squared, Random& random)
    : stream_(KeyedBy(random)),
      sigma_squared_(sigma_squared),
      log_scale_(LogScale(sigma_squared)),
      divisor_((Wide{sigma_squared.numerator} * sigma_squared.denominator) << (2 * log_scale_ + 1)) {}

inline const uint32_t* IntegerGaussian::Take(size_t count) {
  if (words_.size() - at_ < count) [[unlikely]] {
    stream_.Fill({reinterpret_cast<uint8_t*>(words_.data()), sizeof(words_)});
    at_ = 0;
  }
  at_ += count;
  return &words_[at_ - count];
}

// Compares a uniform number of ever more bits with part / whole: 32 bits decide unless the fraction lies between their
// number and the next, which leaves a smaller fraction to decide.
bool IntegerGaussian::Coin(uint32_t part, uint32_t whole) {
  for (;;) {
    const uint64_t drawn = uint64_t{*Take(1)} * whole;
    const uint64_t wanted = uint64_t{part} << 32;
    if (drawn >= wanted) return false;
    if (wanted - drawn >= whole) return true;
    part = static_cast<uint32_t>(wanted - drawn);
  }
}

// The same with 64 bits at a time.
bool IntegerGaussian::WideCoin(Wide part, Wide whole) {
  for (;;) {
    const uint32_t* words = Take(2);
    const Long drawn = Product(uint64_t{words[0]} << 32 | words[1], whole);
    if (drawn.high >= part) return false;  // part * 2^64 has the high half `part` and the low half 0
    // What is missing: below 2^64 * whole.
    const Wide high = part - drawn.high - (drawn.low > 0 ? 1 : 0);
    if (high >> 64 != 0) return true;
    const Wide rest = (high << 64) | (0 - drawn.low);
    if (rest >= whole) return true;
    part = rest;
  }
}

// One word decides nearly always, and without a branch to guess.
inline uint32_t IntegerGaussian::FirstFailure(uint32_t word) {
  const bool close = (word == kThird) | (word == kFourth) | (word == kFifth) | (word <= kSixth);
  if (close) [[unlikely]]
    return CloseFirstFailure(word);
  return 2 + (word < kHalf) + (word < kThird) + (word < kFourth) + (word < kFifth);
}

// `word` is the front of a uniform number below 1, which is compared with 1/2!, 1/3!, 1/4! …
uint32_t IntegerGaussian::CloseFirstFailure(uint32_t word) {
  uint32_t factorial = 1;
  for (uint32_t count = 2; count <= 12; ++count) {  // 12! < 2^29
    factorial *= count;
    const uint64_t drawn = uint64_t{word} * factorial;
    if (drawn >> 32 != 0) return count;
    const uint64_t rest = (uint64_t{1} << 32) - drawn;
    if (rest < factorial && !Coin(static_cast<uint32_t>(rest), factorial)) return count;
  }
  uint32_t count = 13;
  while (Coin(1, count)) ++count;
  return count;
}

// Algorithm 1: the number of coins of p, p/2, p/3 … up to the first that fails is odd with probability exp(-p). A coin
// of p/k is one of p and one of 1/k. Here the first three are drawn whether they are needed or not, which leaves no
// branch to guess.
inline bool IntegerGaussian::LaplaceStays(const uint32_t* words, uint32_t below) {
  const uint32_t edge = below << (32 - log_scale_);
  const bool ends_1 = words[0] >= edge;
  const uint32_t last = FirstFailure(words[3]);
  const bool ends_2 = (last == 2) | (words[1] >= edge), ends_3 = (last == 3) | (words[2] >= edge);
  if (!(ends_1 | ends_2 | ends_3)) [[unlikely]] {
    uint32_t count = 4;
    while (count < last && *Take(1) < edge) ++count;
    return count % 2 == 1;
  }
  return ends_1 | (!ends_2 & ends_3);
}

// exp(-gamma) with gamma = (magnitude - sigma^2 / t)^2 / (2 sigma^2)
//                        = (magnitude t denominator - numerator)^2 / (2 numerator denominator t^2).
bool IntegerGaussian::Stays(uint64_t magnitude) {
  const uint64_t scaled = (magnitude << log_scale_) * sigma_squared_.denominator;
  const uint64_t root = scaled > sigma_squared_.numerator ? scaled - sigma_squared_.numerator  //
                                                          : sigma_squared_.numerator - scaled;
  Wide part = Wide{root} * root;
  while (part >= divisor_) {  // exp(-gamma) = exp(-1) exp(-(gamma - 1))
    if (!OneOverE()) return false;
    part -= divisor_;
  }
  if (!WideCoin(part, divisor_)) return true;
  const uint32_t last = FirstFailure(*Take(1));
  uint32_t count = 2;
  while (count < last && WideCoin(part, divisor_)) ++count;
  return count % 2 == 1;
}

int64_t IntegerGaussian::Draw() {
  const uint32_t mask = (uint32_t{1} << log_scale_) - 1;
  for (;;) {
    // The sign is the highest bit; t is at most 2^28, so the number below it has others.
    const uint32_t* words = Take(5);
    const bool negative = words[4] >> 31 != 0;
    const uint32_t below = words[4] & mask;
    if (log_scale_ > 0 && !LaplaceStays(words, below)) continue;
    uint64_t times = 0;
    while (times < kFarthest && OneOverE()) ++times;
    if (times == kFarthest) continue;
    const uint64_t magnitude = (times << log_scale_) + below;
    if (negative && magnitude == 0) continue;  // zero would be drawn twice as often
    if (!Stays(magnitude)) continue;
    return negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
  }
}

void IntegerGaussian::Draw(std::span<int64_t> out) {
  for (int64_t& value : out) value = Draw();
}

}  // namespace tributary
