// Claim: check + norm + fixed point + sum of an update reach 0.35 of the bandwidth at which memcpy copies the same
// bytes, on one core. The sum is 8 bytes per parameter, read and written, so beside the update's 4 bytes (8 for memcpy,
// which also writes them) 0.4 is what a memory that cannot be overlapped would allow.

#include <cstring>

#include "aggregator/sum/sum_kernel.h"
#include "aggregator/sum/weighted_sum.h"
#include "bench/claim.h"
#include "bench/sealed_update.h"
#include "tests/aggregator/sum/accumulate.h"

namespace tributary::bench {
namespace {

void Measure(uint64_t parameters) {
  constexpr uint64_t kMaxWeight = 1 << 22;
  const std::vector<float> values = SomeUpdate(parameters);
  const CacheAligned<float> update(values.begin(), values.end());
  CacheAligned<float> copy(parameters);
  WeightedSum sum(parameters, Must(FixedPointScale::For(1, kMaxWeight)), 1, kMaxWeight);
  const double norm_bound = static_cast<double>(parameters);
  // About 80 MB a turn, so that a turn is long against the clock and short against the machine's moods.
  const auto repeats = static_cast<int>(std::max<uint64_t>(1, 20'000'000 / parameters));
  const auto bytes = static_cast<double>(repeats) * static_cast<double>(parameters) * sizeof(float);
  const Rates rates = Compare(
      Measured::kThreadTime, 21, bytes / 1e9,
      [&] {
        for (int i = 0; i < repeats; ++i) Must(Accumulate(sum, update, 7, norm_bound));
      },
      [&] {
        for (int i = 0; i < repeats; ++i) {
          std::memcpy(copy.data(), update.data(), parameters * sizeof(float));
          asm volatile("" : : "r"(copy.data()) : "memory");  // the copy is looked at
        }
      });
  Print({"accumulate " + std::to_string(parameters) + " parameters, of memcpy", rates.ours, "GB/s", rates.limit, 0.35});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  for (const uint64_t parameters : tributary::bench::kParameterCounts) tributary::bench::Measure(parameters);
}
