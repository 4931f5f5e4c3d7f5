// Experiment: how good are the models that devices use for themselves, by strategy? Fashion-MNIST is dealt to devices by a
// Dirichlet draw; all devices are in every round; the code of the strategies, of the fits and of the evaluations is that
// of devices. Beside the strategies stand the averaged model, and each device alone, trained as long from the same start.
//
//   experiment_personal RESULTS.jsonl [ROUNDS_OF_20x600] [ROUNDS_OF_50x60]
//
// Appends a line of JSON for each method, fleet and seed, and leaves out what the file has already, so that it can be ended
// and started again. bench/experiments/personal_table makes the table. One thread.
//
// A quarter of a device's examples is held back; by it the device chooses, as in production. The score is taken on 200
// images of the test set that nobody has trained on or chosen by, drawn with the shares of the labels that the device has.

#include <algorithm>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <span>

#include <nlohmann/json.hpp>

#include "bench/claim.h"
#include "device/examples/idx.h"
#include "device/examples/partition.h"
#include "device/examples/repeatable_random.h"
#include "device/learn/strategies/fine_tuning.h"
#include "device/torch/model_tools.h"
#include "device/torch/torch_trainer.h"

namespace tributary::bench {
namespace {

constexpr size_t kScored = 200;

struct Fleet {
  std::string name;
  uint32_t devices;
  uint32_t images;  // of all devices
  uint32_t rounds;
  double alpha;
  uint64_t seed;
};

struct Site {
  DeviceId id;
  TaskExamples examples;
  TaskExamples scored;  // held_out only
  std::optional<PersonalModel> personal;
};

struct Data {
  std::shared_ptr<const ExampleSet> training = Must(LoadIdxFolder(kFashionMnistFolder, IdxPart::kTraining));
  std::shared_ptr<const ExampleSet> test = Must(LoadIdxFolder(kFashionMnistFolder, IdxPart::kTest));
};

std::vector<Site> Deal(const Data& data, const Fleet& fleet) {
  const auto labels = Must(LabelsOf(*data.training)), test_labels = Must(LabelsOf(*data.test));
  const auto shares = Must(Partition(labels, {.devices = fleet.devices,
                                              .total = fleet.images,
                                              .alpha = fleet.alpha,
                                              .minimum_examples = 8,
                                              .held_out_share = 0.25,
                                              .seed = fleet.seed}));
  std::map<uint32_t, std::vector<uint32_t>> of_label;
  for (uint32_t i = 0; i < test_labels.size(); ++i) of_label[test_labels[i]].push_back(i);
  RepeatableRandom random(DeriveSeed(fleet.seed, "scored"));
  std::vector<Site> sites;
  for (size_t i = 0; i < shares.size(); ++i) {
    Site site{Must(DeviceId::Parse("device-" + std::to_string(i))), {{data.training, shares[i].training}, {data.training, shares[i].held_out}}, {}, {}};
    std::vector<uint32_t> own = shares[i].training;
    own.insert(own.end(), shares[i].held_out.begin(), shares[i].held_out.end());
    site.scored = {{data.training, shares[i].training}, {data.test, {}}};
    for (size_t n = 0; n < kScored; ++n) {
      const auto& pool = of_label.at(labels[own[random.Below(own.size())]]);
      site.scored.held_out.indices.push_back(pool[random.Below(pool.size())]);
    }
    sites.push_back(std::move(site));
  }
  return sites;
}

// Notes the score of every model that is measured, in the order in which LearnBy does: the version, then the candidates.
class ScoringTrainer final : public Trainer {
 public:
  ScoringTrainer(Trainer& inner, Trainer& scorer) : inner_(inner), scorer_(scorer) {}
  const TensorTable& tensors() const override { return inner_.tensors(); }
  std::vector<bool> trained() const override { return inner_.trained(); }
  const Values& base() const override { return inner_.base(); }
  Result<UpdateMeta> Train(Values& values, const TrainingPass& pass) override { return inner_.Train(values, pass); }
  Result<double> Slope(const Values& values, const Values& direction) override { return inner_.Slope(values, direction); }
  Result<std::optional<EvaluationResult>> Measure(const Values& values) override {
    scores.push_back(Must(scorer_.Measure(values))->metrics);
    return inner_.Measure(values);
  }
  std::vector<TaskMetrics> scores;

 private:
  Trainer& inner_;
  Trainer& scorer_;
};

struct Scores {
  std::vector<double> accuracy;  // by device
  std::map<std::string, uint64_t> choices;
  uint64_t below_version = 0;  // devices whose model is clearly worse than the version
};

class Experiment {
 public:
  Experiment(const Data& data, const Fleet& fleet, Path results)
      : fleet_(fleet), results_(std::move(results)), sites_(Deal(data, fleet)), model_(Must(BuildFashionCnn(fleet.seed))) {
    start_ = model_->Weights();
    task_.id = Must(TaskId::Parse("fashion"));
    task_.table = model_->table();
    task_.plan.momentum = 0;
    task_.plan.epochs = 2;
  }

  // Each device alone.
  void RunLocal() {
    Scores scores;
    for (const Site& site : sites_) {
      Values own = start_;
      for (uint32_t round = 1; round <= fleet_.rounds + 1; ++round) {
        task_.latest = ModelVersion{round};
        const LearnOrder order = OrderFor(site, start_);
        TorchTrainer trainer(*model_, order, site.examples, hooks_);
        Must(trainer.Train(own, {.order = kOwnOrder}));
      }
      const LearnOrder order = OrderFor(site, start_);
      TorchTrainer scorer(*model_, order, site.scored, hooks_);
      scores.accuracy.push_back(Must(scorer.Measure(own))->metrics.at("accuracy").mean());
    }
    Write("local only", scores);
  }

  void Run(StrategyName strategy, const std::string& name, const std::vector<std::string>& candidates) {
    task_.plan.strategy = strategy;
    std::vector<float> weights = start_;
    for (Site& site : sites_) site.personal.reset();
    for (uint32_t round = 1; round <= fleet_.rounds; ++round) weights = Round(round, weights);
    // On the last version, as a device does: with everything that the plan can offer.
    task_.latest = ModelVersion{fleet_.rounds + 1};
    task_.plan.finetune = FineTuning::kBoth;
    std::map<std::string, Scores> all;
    for (Site& site : sites_) {
      const LearnOrder order = OrderFor(site, weights);
      TorchTrainer inner(*model_, order, site.examples, hooks_);
      TorchTrainer scorer(*model_, order, site.scored, hooks_);
      ScoringTrainer trainer(inner, scorer);
      const Learned learned = Must(LearnBy(trainer, order));
      TRIBUTARY_CHECK(trainer.scores.size() == candidates.size() + 1) << trainer.scores.size();
      const TaskMetrics& version = trainer.scores[0];
      const auto note = [&](const std::string& which, const TaskMetrics& metrics) {
        all[which].accuracy.push_back(metrics.at("accuracy").mean());
        if (IsClearlyBetter(version, metrics)) ++all[which].below_version;
      };
      note("global", version);
      const TaskMetrics* chosen = &version;
      for (size_t i = 0; i < candidates.size(); ++i) {
        note(candidates[i], trainer.scores[i + 1]);
        if (learned.personal->choice == candidates[i]) chosen = &trainer.scores[i + 1];
      }
      note("device's choice", *chosen);
      ++all["device's choice"].choices[learned.personal->choice];
    }
    for (const auto& [which, scores] : all) Write(name + ": " + which, scores);
  }

  bool Has(const std::string& method) const {
    std::ifstream lines(results_);
    for (std::string line; std::getline(lines, line);) {
      const auto read = nlohmann::json::parse(line, nullptr, false);
      if (!read.is_object()) continue;
      const auto same = [&](const char* key, const auto& value) { return read.value(key, nlohmann::json()) == value; };
      if (same("method", method) && same("fleet", fleet_.name) && same("alpha", fleet_.alpha) &&
          same("seed", fleet_.seed) && same("rounds", fleet_.rounds))
        return true;
    }
    return false;
  }

 private:
  // The work of a device on these weights, which are in the model then.
  LearnOrder OrderFor(const Site& site, const std::vector<float>& weights) {
    Must(model_->SetWeights(weights));
    return {task_, site.id, {}, weights, site.personal ? &*site.personal : nullptr};
  }

  std::vector<float> Round(uint32_t round, const std::vector<float>& weights) {
    task_.latest = ModelVersion{round};
    task_.plan.finetune = FineTuning::kNone;
    std::vector<double> sum(weights.size());
    double count = 0;
    for (Site& site : sites_) {
      // Nothing is compared yet: only the state of the strategy matters.
      const TaskExamples training{site.examples.training, {site.examples.held_out.set, {}}};
      const LearnOrder order = OrderFor(site, weights);
      TorchTrainer trainer(*model_, order, training, hooks_);
      Learned learned = Must(LearnBy(trainer, order));
      const auto weight = static_cast<double>(learned.meta.weight);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * double{learned.delta[i]};
      count += weight;
      site.personal = std::move(learned.personal);
    }
    std::vector<float> next = weights;
    for (size_t i = 0; i < next.size(); ++i) next[i] += static_cast<float>(sum[i] / count);
    return next;
  }

  void Write(const std::string& method, const Scores& scores) const {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < sites_.size(); ++i) {
      const auto size = static_cast<double>(sites_[i].examples.training.size() + sites_[i].examples.held_out.size());
      sum += size * scores.accuracy[i];
      weight += size;
    }
    std::vector<double> sorted = scores.accuracy;
    std::ranges::sort(sorted);
    const size_t tenth = std::max<size_t>(1, sorted.size() / 10);
    const double worst = std::accumulate(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(tenth), 0.0);
    const double mean = std::accumulate(sorted.begin(), sorted.end(), 0.0);
    const nlohmann::ordered_json line = {{"fleet", fleet_.name},
                                         {"alpha", fleet_.alpha},
                                         {"seed", fleet_.seed},
                                         {"rounds", fleet_.rounds},
                                         {"method", method},
                                         {"weighted", 100 * sum / weight},
                                         {"mean", 100 * mean / static_cast<double>(sorted.size())},
                                         {"worst_decile", 100 * worst / static_cast<double>(tenth)},
                                         {"choices", scores.choices},
                                         {"below_version", scores.below_version},
                                         {"by_device", scores.accuracy}};
    std::ofstream(results_, std::ios::app) << line.dump() << std::endl;
  }

  const Fleet& fleet_;
  Path results_;
  std::vector<Site> sites_;
  std::unique_ptr<Model> model_;
  std::vector<float> start_;
  PublishedTask task_;
  LearnHooks hooks_;
};

struct Method {
  StrategyName strategy;
  const char* name;
  std::vector<std::string> candidates;  // in the order in which the strategy offers them
};

void RunAll(const Path& results, uint32_t rounds_of_20, uint32_t rounds_of_50) {
  const std::vector<Method> methods = {{StrategyName::kFedAvg, "fedavg", {"head", "all", "fit"}},
                                       {StrategyName::kFedPer, "fedper", {"kept", "fit"}},
                                       {StrategyName::kDitto, "ditto", {"own"}},
                                       {StrategyName::kApfl, "apfl", {"mixed"}},
                                       {StrategyName::kFedRep, "fedrep", {"kept", "fit"}},
                                       {StrategyName::kFedProx, "fedprox", {"head", "all", "fit"}}};
  const Data data;
  const auto run = [&](const Fleet& fleet, std::span<const Method> some) {
    if (fleet.rounds == 0) return;
    Experiment experiment(data, fleet, results);
    if (!experiment.Has("local only")) experiment.RunLocal();
    for (const Method& method : some) {
      if (!experiment.Has(std::string(method.name) + ": global"))
        experiment.Run(method.strategy, method.name, method.candidates);
    }
  };
  // The default strategy first: that is what devices do unless a plan says otherwise.
  for (const auto some : {std::span(methods).first(1), std::span(methods).subspan(1)}) {
    for (const bool large : {false, true}) {
      for (const double alpha : {0.1, 5.0}) {
        for (const uint64_t seed : {1, 2, 3}) {
          run(large ? Fleet{"20 x 600", 20, 12'000, rounds_of_20, alpha, seed}
                    : Fleet{"50 x 60", 50, 3'000, rounds_of_50, alpha, seed},
              some);
        }
      }
    }
  }
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const auto rounds = [&](int at, uint32_t otherwise) {
    return argc > at ? static_cast<uint32_t>(std::stoul(argv[at])) : otherwise;
  };
  tributary::bench::RunAll(argv[1], rounds(2, 20), rounds(3, 30));
  return 0;
}
