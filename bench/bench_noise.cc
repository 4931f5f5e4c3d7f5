// Claim: exact discrete Gaussian noise for a model of 215,370 parameters costs at most 100 ns a parameter on one core,
// whatever its deviation.

#include "aggregator/privacy/integer_gaussian.h"
#include "bench/claim.h"

namespace tributary::bench {
namespace {

constexpr size_t kParameters = 215'370;
constexpr double kLimit = 100;  // ns

void Measure() {
  SystemRandom random;
  std::vector<int64_t> noise(kParameters);
  for (const uint64_t sigma : {1, 4, 32, 1024, 65'536, 1 << 20, 1 << 28}) {
    IntegerGaussian gaussian = Must(IntegerGaussian::Create({sigma * sigma}, random));
    std::vector<double> seconds;
    for (int turn = 0; turn < 25; ++turn) {
      seconds.push_back(Seconds(Measured::kThreadTime, [&] { gaussian.Draw(noise); }));
    }
    // The limit is a time, not something measured beside it: the least is what other processes added least to.
    Print({"noise of deviation " + std::to_string(sigma) + ", a parameter",
           std::ranges::min(seconds) / kParameters * 1e9, "ns", kLimit, 1, Wanted::kAtMost});
  }
}

}  // namespace
}  // namespace tributary::bench

int main() { tributary::bench::Measure(); }
