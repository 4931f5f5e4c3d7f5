#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/classified.h"
#include "tests/support/must.h"

namespace tributary {

// A task with many versions, each made by a round of one device, and an aggregator that keeps the newest ten.
class PruneFixture : public RoundFixture {
 public:
  static constexpr uint64_t kKept = 10;

  PruneFixture() : RoundFixture(kClosed) { retention = {.versions = kKept, .evaluation_days = 30, .round_days = 730}; }

  // Up to the version `last`. Device and evaluator measure each version.
  void MakeVersions(uint64_t last) {
    if (Must(core().tasks().All()).empty()) {
      TaskRecord task = NewTask({.report_goal = 1});
      task.server_optimizer.name = ServerOptimizerName::kFedAvgM;  // which keeps something with each version
      Must(core().tasks().Create(task, PutInitialWeights()));
    }
    const uint64_t first = Latest();
    if (last <= first) return;
    Must(core().rounds().Start(task_id, last - first));
    for (uint64_t version = first; version < last; ++version) {
      const ModelVersion base{version};
      Must(Give(Evaluation("d1", base, {Classified(EvaluatedModel::kPersonal, 10, 1, 0.5, 5)})));
      Must(Give(Update(1, base)));
      Must(Give(Evaluation("e1", Next(base), {Classified(EvaluatedModel::kGlobal, 10, 1, 0.75, 5)}), Role::kEvaluator));
    }
  }
  uint64_t Latest() { return Number(Must(core().tasks().Get(task_id)).latest); }

  // Passes until nothing more goes.
  void PruneAll() {
    for (int turn = 0; turn < 300; ++turn) Pass(Millis(1'000));
  }

  std::vector<VersionRecord> All() { return Must(core().tasks().Versions(task_id, {.after = {}, .most = 100'000})); }
  // The numbers of the versions that have their weights, by the rows: "1 5 6 7 ".
  std::string Kept() {
    std::string kept;
    for (const VersionRecord& version : All()) {
      if (version.pruned == WallTime{}) kept += std::to_string(Number(version.version)) + " ";
    }
    return kept;
  }
  // Dies unless exactly the blobs that something names are there.
  void CheckBlobs() {
    std::set<std::string> named = {Must(core().tasks().Get(task_id)).module.digest.hex()};
    for (const VersionRecord& version : All()) {
      if (version.pruned != WallTime{}) continue;
      named.insert(version.weights.digest.hex());
      if (version.optimizer_state) named.insert(version.optimizer_state->digest.hex());
    }
    const auto present = Must(RealFileSystem().List(elsewhere.value_or(folder.path()) / "blobs"));
    TRIBUTARY_CHECK(std::set<std::string>(present.begin(), present.end()) == named)
        << present.size() << " blobs are here, " << named.size() << " are named";
  }

  // ---- a data folder that nobody has pruned yet, and what becomes of it after years

  static constexpr uint64_t kVersions = 125;

  void MakeFormer() {
    retention.versions = 1'000;
    Reopen();
    MakeVersions(kVersions);
    Must(core().tasks().Pin(task_id, ModelVersion{3}, "shipped"));
    Close();
  }
  void Forget() {
    retention.versions = kKept;
    clock.Advance(std::chrono::hours(24 * 800));
    Reopen();
    PruneAll();
  }
  // Dies unless everything is where it belongs.
  void CheckTheEnd() {
    CheckBlobs();
    std::string expected = "3 ";
    for (uint64_t version = kVersions - kKept + 1; version <= kVersions; ++version)
      expected += std::to_string(version) + " ";
    TRIBUTARY_CHECK(Kept() == expected) << Kept();
    TRIBUTARY_CHECK(All().size() == kKept + 1) << All().size();
    TRIBUTARY_CHECK(!core().rounds().Get(task_id, 1));
    TRIBUTARY_CHECK(core().rounds().Get(task_id, kVersions - 1));
  }
};

}  // namespace tributary
