// Claims: a rule that keeps a round's updates on disk makes one of 64 updates of 1,000,000 parameters in 10 s, in less memory
// than a third of them takes; FedAvg with all checks is twice as fast as the plain loop of NumPy over the same arrays, on one
// core. NumPy is asked in a process of its own, /usr/bin/python3, which measures only its loop.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "aggregator/robust/kept_updates.h"
#include "aggregator/robust/robust_rule.h"
#include "aggregator/sum/weighted_sum.h"
#include "bench/core_bench.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"
#include "tests/aggregator/sum/accumulate.h"

namespace tributary::bench {
namespace {

constexpr uint64_t kUpdates = 64;
constexpr uint64_t kParameters = 1'000'000;
constexpr uint64_t kMaxWeight = 1 << 22;

std::vector<Path> WriteUpdates(const ScratchFolder& folder) {
  std::vector<Path> paths;
  for (uint64_t i = 0; i < kUpdates; ++i) {
    const std::vector<float> values = SomeUpdate(kParameters, i + 1);
    const DeviceId device = Must(DeviceId::Parse("d" + std::to_string(i)));
    paths.push_back(folder / (std::to_string(i) + ".update"));
    Must(WriteKeptUpdate(RealFileSystem(), paths.back(), {device, device, 10}, kParameters,
                         [&](const TakePart& take) { return take(values); }));
  }
  return paths;
}

// In a child: the whole work at a round's end, with its time and the memory that it took.
void MeasureRule(RobustRuleName rule, const std::vector<Path>& paths) {
  const FixedPointScale scale = Must(FixedPointScale::For(1, kMaxWeight));
  WeightedSum sum(kParameters, scale, 1, kMaxWeight);
  for (uint64_t i = 0; i < kUpdates; ++i) Must(Accumulate(sum, std::vector<float>(kParameters, 0.001F), 10));
  const double before = ProcessMemory("VmRSS:");
  const double seconds = Seconds(Measured::kThreadTime, [&] {
    const KeptUpdates updates = Must(KeptUpdates::Open(RealFileSystem(), paths, kParameters, scale, 1));
    const RobustPolicy policy{.rule = rule};
    Must(RobustRuleOf(rule).Combine({.updates = updates, .policy = policy}, sum));
  });
  const std::string name = fmt::format("{}, 64 updates of 1,000,000 parameters", RobustRuleText(rule));
  Print({name + ", processor time", seconds, "s", 10, 1, Wanted::kAtMost});
  const double kept = static_cast<double>(kUpdates * kParameters * sizeof(float)) / 1e6;
  Print(
      {name + ", memory, of the updates", (ProcessMemory("VmHWM:") - before) / 1e6, "MB", kept, 0.34, Wanted::kAtMost});
}

int MeasureRules() {
  const ScratchFolder folder;
  const std::vector<Path> paths = WriteUpdates(folder);
  for (const auto rule :
       {RobustRuleName::kMedian, RobustRuleName::kTrimmedMean, RobustRuleName::kGeometricMedian,
        RobustRuleName::kCentredClip, RobustRuleName::kKrum, RobustRuleName::kMultiKrum, RobustRuleName::kBulyan}) {
    const pid_t child = fork();
    if (child == 0) {
      MeasureRule(rule, paths);
      std::_Exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 1;
  }
  return 0;
}

// Seconds of the fastest of five turns of `total += weight * update` over 32 arrays.
constexpr const char* kNumpyLoop = R"(OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 /usr/bin/python3 -c '
import numpy, time
updates = [numpy.full(10_000_000, 0.001 * i, numpy.float32) for i in range(32)]
best = 1e9
for turn in range(5):
    start = time.thread_time()
    total = numpy.zeros(10_000_000, numpy.float32)
    for update in updates:
        total += 10 * update
    total /= 320
    best = min(best, time.thread_time() - start)
print(best)
' 2>/dev/null)";

void MeasureMean() {
  constexpr uint64_t kMany = 10'000'000;
  constexpr int kArrays = 32;
  double numpy = 0;
  if (FILE* pipe = popen(kNumpyLoop, "r")) {
    if (fscanf(pipe, "%lf", &numpy) != 1) numpy = 0;
    pclose(pipe);
  }
  if (numpy <= 0) {
    std::cerr << "no NumPy here: FedAvg is not compared\n";
    return;
  }
  std::vector<CacheAligned<float>> updates;
  for (int i = 0; i < kArrays; ++i) updates.emplace_back(kMany, 0.001F * static_cast<float>(i));
  const FixedPointScale scale = Must(FixedPointScale::For(1, kMaxWeight));
  std::vector<double> piece(65'536);
  WeightedSum sum(kMany, scale, 1, kMaxWeight);  // the aggregator's is used from round to round
  double best = 1e9;
  for (int turn = 0; turn < 5; ++turn) {
    best = std::min(best, Seconds(Measured::kThreadTime, [&] {
                      sum.Restart(scale, kMaxWeight);
                      for (const auto& update : updates) Must(Accumulate(sum, update, 10, 1e6));
                      for (uint64_t first = 0; first < kMany; first += piece.size()) {
                        const auto part = std::span(piece).first(std::min<uint64_t>(piece.size(), kMany - first));
                        Must(sum.ReportPart(first, part));
                        asm volatile("" : : "r"(part.data()) : "memory");  // the mean is looked at
                      }
                    }));
  }
  Print({"FedAvg of 32 updates of 10,000,000 parameters, of NumPy's loop", 1 / best, "/s", 1 / numpy, 2});
}

// One update of 10,000,000 parameters that is far from the last aggregate, against one that is only added.
void MeasureCentredClip() {
  constexpr uint64_t kMany = 10'000'000;
  const std::vector<float> values = SomeUpdate(kMany), reference = SomeUpdate(kMany, 2);
  const FixedPointScale scale = Must(FixedPointScale::For(1, kMaxWeight));
  WeightedSum sum(kMany, scale, 1, kMaxWeight);
  const Rates rates = Compare(
      Measured::kThreadTime, 7, 1,
      [&] {
        auto addition = Must(sum.Begin({.norm_clip = 1, .reference = reference}, 10, Again(values)));
        Must(addition.Add(values));
        Must(addition.Commit());
      },
      [&] { Must(Accumulate(sum, values, 10)); });
  Print({"an update of 10,000,000 parameters pulled to a reference, of one that is added", rates.ours, "/s",
         rates.limit, 0.02});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  tributary::bench::MeasureMean();
  tributary::bench::MeasureCentredClip();
  return tributary::bench::MeasureRules();
}
