#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/payload/bounds.h"
#include "protocol/payload/codec/block_codec.h"
#include "protocol/payload/codec/rounding.h"

// The linear codec: all devices of a round rotate alike and write whole multiples of one step, so a sum of their
// updates is a sum of whole numbers, exact, and is rotated back once. An aggregator adds what it decodes and
// rotates no single update back.
namespace tributary {

// The form that all devices on one base version of a task share.
struct LinearRound {
  Digest seed;             // of the signs
  double step = 0;         // a power of two
  double value_bound = 0;  // no coordinate is larger
  double norm_bound = 0;   // a larger update is refused
};
// SHA-256 of "tributary linear codec v1/TASK/VERSION".
Digest LinearSeed(const TaskId& task, ModelVersion base);

// The smallest power of two, at least 2^-fraction_bits, with which the levels of `bits` bits reach 4.5 deviations of
// the coordinates of an update of norm `norm_bound` in `coordinates` coordinates.
double LinearStep(double norm_bound, uint64_t coordinates, int bits, int fraction_bits);

// The vector of an update that is rotated:
//   vector      = exact value … coordinate coordinate …
// First the values of the exact ranges, in order, as they are. The other n values are dealt out: value p of them goes
// to block p mod b as its value p / b, where b = ceil(n / 4096) blocks have 4096 places each (one block of the next
// power of two when n is smaller), and places that stay empty are 0. So every block has a share of every tensor, and
// the blocks' norms are alike. Then each block has its signs changed by the key stream of the seed, one stream over all
// blocks in order, and is transformed (rotation.h). Value type.
class LinearForm {
 public:
  // Ranges beyond `parameter_count` are cut off.
  LinearForm(uint64_t parameter_count, std::span<const ValueRange> exact);

  uint64_t exact_count() const { return exact_count_; }
  uint64_t coordinates() const { return blocks_ * block_; }
  uint64_t size() const { return exact_count_ + coordinates(); }  // of the vector

  // `values` has parameter_count values. Shrinks what is rotated to the norm `most` when its own is larger.
  std::vector<float> Rotate(std::span<const float> values, const Digest& seed, double most) const;
  // The other way, of a mean: `vector` has size() values.
  std::vector<double> RotateBack(std::span<const double> vector, const Digest& seed) const;
  // The same of a vector that is not held: `read` fills in its values from `first` on, and `take` gets values with
  // their positions among the parameters, each once, at most 4096 at a time. Their first error ends it.
  using ReadVector = std::function<Status(uint64_t first, std::span<double> values)>;
  using TakeValues = std::function<Status(std::span<const uint64_t> positions, std::span<const double> values)>;
  Status VisitRotatedBack(const ReadVector& read, const Digest& seed, const TakeValues& take) const;

 private:
  Status VisitExact(const ReadVector& read, const TakeValues& take) const;

  std::vector<ValueRange> exact_;
  uint64_t parameter_count_;
  uint64_t exact_count_ = 0;
  uint64_t blocks_ = 0;
  uint64_t block_ = 0;
};
// The norm that an update may have before coordinates of 4.5 deviations are out of reach: what Rotate is given.
double LinearReach(double step, uint64_t coordinates, int bits);

// The coordinates: each a level of `bits` bits in two's complement, the least bit of the first byte first, -L to L with
// L = 2^(bits - 1) - 1; its value is level * step. Rounded by chance, so unbiased as far as the levels reach. Bits
// behind the last level are 0. `bits` is 4 to 24. An encoder needs `rounding`; a decoder null.
std::unique_ptr<BlockCodec> MakeLinear(int bits, const LinearRound& round, std::unique_ptr<RoundingBits> rounding);

}  // namespace tributary
