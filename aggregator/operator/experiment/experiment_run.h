#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aggregator/operator/demo/federation.h"
#include "aggregator/operator/experiment/experiment_plan.h"
#include "aggregator/operator/experiment/results.h"

namespace tributary {

// Runs one experiment in a folder of its own: sets up a private federation, runs the rounds, one after the other, and
// writes what came of them. Below the folder lie
//   experiment.toml              the plan with every key, and the digests of the files that it names
//   metrics.csv  metrics.jsonl   a record for each round (results.h); the same plan gives the same bytes
//   times.csv    times.jsonl     what time decides
//   model.tpkg                   the package that the task was made of
//   model.pt (or .npz), weights.f32   the last version; the same as raw numbers, whose SHA-256 is its digest
//   manifests/VERSION.json       what each version was made of, as the aggregator signed it
//   versions.json  summary.json  report.html
//   site/                        the federation; removed at the end unless it is to be kept
// A folder in which the same plan was begun goes on where it ended, also after a kill; the results are those of a run that
// was not interrupted. Resource type; Interrupt may be called from any thread.
class ExperimentRun {
 public:
  // Takes a line for people after each round. Empty: nobody reads along.
  using Say = std::function<void(const std::string& line)>;

  ExperimentRun(ExperimentPlan plan, Path folder, Say say, const std::atomic<bool>& interrupted)
      : plan_(std::move(plan)), folder_(std::move(folder)), say_(std::move(say)), interrupted_(interrupted) {}

  // Returns when all rounds are over and everything is written; all that it started has ended then, whatever happened.
  // Errors: kAlreadyExists: the folder holds something else; kLocked: another run is under way in it; kChildFailed: a
  // process ended, or a round failed, with the reason; kShuttingDown: interrupted; those of the programs and files.
  Result<ExperimentResults> Run(bool keep_site);

 private:
  Status OpenFolder();
  Status Learn();
  Status MakePackage();
  Status ImportExamples();
  Federation::Options FederationOptions() const;
  Status CreateTaskUnlessThere(ApiClient& client);
  Status RunRounds();
  Status CheckDevices(const Json& round);
  Status FailureOf(const std::string& prefix, uint64_t round);
  // Somebody measures every version.
  bool measures() const { return !plan_.has_files() || !plan_.test_files.empty(); }
  Result<bool> Look();
  Result<bool> IsEvaluated(const Json& round);
  Status WriteRecords(const Json& rounds);
  Status WriteManifests();
  Status WriteEnd();
  Status Write(const std::string& name, const std::string& text) const;

  ExperimentPlan plan_;
  Path folder_;
  const Say say_;
  const std::atomic<bool>& interrupted_;
  std::unique_ptr<Federation> federation_;
  bool has_module_ = true;
  std::vector<Json> records_, times_;
  std::map<uint64_t, Json> spreads_;  // by the round's number, of rounds that are evaluated
  MainMetric metric_;
  uint64_t failed_before_ = 0;  // rounds that failed in an earlier life
  // Of a round that waits for its evaluations: how many have come, and since when it is so.
  uint64_t waits_for_ = 0, evaluations_ = 0;
  Millis since_{0};
  uint64_t never_came_ = 0;  // evaluations of the rounds before: devices that hold nothing back
};

}  // namespace tributary
