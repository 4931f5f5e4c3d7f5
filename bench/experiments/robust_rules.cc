// Experiment: what do robust rules cost without an attacker, and what do they save with a fifth of hostile devices?
// Fashion-MNIST is dealt to 20 devices by a Dirichlet draw with parameter 0.5, 4,000 images in all; all are in every round of one
// epoch (SGD, learning rate 0.05, batches of 32), eight rounds. Fits, sums, rules, bounds and the step to the next version are
// those of devices and of the aggregator. The four attackers know all benign updates of the round.
//
//   experiment_robust RESULTS.jsonl [SEEDS] [RULE…]
//
// Appends a line of JSON for each rule, attack and seed, and leaves out what the file has already, so that it can be ended
// and started again. bench/experiments/robust_table makes the table. One thread.

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>

#include <nlohmann/json.hpp>

#include "aggregator/optimise/optimizers.h"
#include "aggregator/release/task_book.h"
#include "aggregator/robust/robust_rule.h"
#include "bench/claim.h"
#include "device/examples/idx.h"
#include "device/examples/partition.h"
#include "device/torch/evaluate.h"
#include "device/torch/fit.h"
#include "device/torch/model_tools.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/attacks.h"
#include "tests/support/memory_updates.h"
#include "tests/support/seeded_random.h"

namespace tributary::bench {
namespace {

constexpr uint32_t kDevices = 20;
constexpr uint32_t kHostile = 4;
constexpr uint32_t kImages = 4'000;
constexpr uint32_t kRounds = 8;
constexpr size_t kScoredEachRound = 2'000;
constexpr uint32_t kPerGateway = 5;

struct Method {
  std::string name;
  RobustPolicy policy = {};
  bool bounded = true;  // false: a plain mean
  // Which devices are hostile and, with groups = gateways, who is behind which: `spread`: one hostile behind each.
  bool spread = false;
};

std::vector<Method> Methods() {
  const auto kept = [](RobustRuleName rule) { return RobustPolicy{.rule = rule}; };
  RobustPolicy clip_pairs = kept(RobustRuleName::kCentredClip), median_pairs = kept(RobustRuleName::kGeometricMedian);
  clip_pairs.bucket = median_pairs.bucket = 2;
  RobustPolicy gateways = kept(RobustRuleName::kGeometricMedian);
  gateways.groups = RobustGroups::kGateways;
  return {{"mean", {}, false},
          {"clip"},
          {"centred-clip", kept(RobustRuleName::kCentredClip)},
          {"geometric-median", kept(RobustRuleName::kGeometricMedian)},
          {"median", kept(RobustRuleName::kMedian)},
          {"trimmed-mean", kept(RobustRuleName::kTrimmedMean)},
          {"krum", kept(RobustRuleName::kKrum)},
          {"multi-krum", kept(RobustRuleName::kMultiKrum)},
          {"bulyan", kept(RobustRuleName::kBulyan)},
          {"centred-clip, buckets of 2", clip_pairs},
          {"geometric-median, buckets of 2", median_pairs},
          {"geometric-median of 4 gateways, all hostile behind one", gateways},
          {"geometric-median of 4 gateways, one hostile behind each", gateways, true, true}};
}

// From the benign updates of a round, and what the attacker honestly learned, to what he says.
struct Attack {
  std::string name;
  std::function<Delta(std::span<const Delta> benign, const Delta& own, Random& random)> make = nullptr;
  bool colludes = false;  // all hostile devices say the same
};
const std::vector<Attack>& Attacks() {
  static const std::vector<Attack> attacks = {
      {"none"},
      {"sign flip x3", [](auto, const Delta& own, Random&) { return SignFlip(own, 3); }},
      {"MinMax", [](auto benign, const Delta&, Random&) { return MinMax(benign); }, true},
      {"ALIE",
       [](auto benign, const Delta&, Random&) { return LittleIsEnough(benign, LittleIsEnoughZ(kDevices, kHostile)); },
       true},
      {"label flip", [](auto, const Delta& own, Random&) { return own; }},  // of examples with other labels
      {"IPM 0.5", [](auto benign, const Delta&, Random&) { return InnerProductManipulation(benign, 0.5); }, true},
      {"noise", [](auto benign, const Delta&, Random& random) { return Noise(benign.front().size(), 0.1, random); }},
      {"mimic", [](auto benign, const Delta&, Random&) { return Mimic(benign); }, true},
  };
  return attacks;
}

// 9 - y in place of every label.
std::shared_ptr<const ExampleSet> WithFlippedLabels(const ExampleSet& set) {
  auto flipped = std::make_shared<ExampleSet>(set);
  for (ExampleColumn& column : flipped->columns) {
    if (column.field.name != "label") continue;
    for (uint8_t& label : column.values) label = static_cast<uint8_t>(9 - label);
  }
  return flipped;
}

class RobustRun {
 public:
  RobustRun(const Method& method, const Attack& attack, uint64_t seed)
      : method_(method),
        attack_(attack),
        random_(seed),
        model_(Must(BuildFashionCnn(seed))),
        weights_(model_->Weights()) {
    static const auto training = Must(LoadIdxFolder(kFashionMnistFolder, IdxPart::kTraining));
    static const auto flipped = WithFlippedLabels(*training);
    const auto shares =
        Must(Partition(Must(LabelsOf(*training)), {.devices = kDevices, .total = kImages, .seed = seed}));
    for (uint32_t device = 0; device < kDevices; ++device) {
      const bool flips = IsHostile(device) && attack.name == "label flip";
      examples_.push_back({flips ? flipped : training, shares[device].training});
    }
    task_.id = Must(TaskId::Parse("fashion"));
    task_.table = model_->table();
    task_.robust = method.policy;
    task_.policy.report_goal = task_.policy.minimum = kDevices;
    if (!method.bounded) task_.first_norm = task_.norm_medians = 0;
    task_.scale = Must(ChooseScale(task_));
    bounds_ = FirstBounds(task_);
    reference_.resize(weights_.size());
  }

  // The share of test images that the version after each round gets right; of all images after the last.
  std::vector<double> Run() {
    std::vector<double> accuracies;
    for (uint32_t round = 1; round <= kRounds; ++round) {
      Round(ModelVersion{round});
      accuracies.push_back(Accuracy(round < kRounds ? kScoredEachRound : 0));
    }
    return accuracies;
  }

 private:
  bool IsHostile(uint32_t device) const {
    return attack_.make && (method_.spread ? device % kPerGateway == 0 : device < kHostile);
  }

  double Accuracy(size_t images) {
    static const auto test = Must(LoadIdxFolder(kFashionMnistFolder, IdxPart::kTest));
    Must(model_->SetWeights(weights_));
    Examples all = Examples::All(test);
    if (images > 0) all.indices.resize(images);
    return Must(Evaluate(*model_, all)).metrics.at("accuracy").mean();
  }

  struct Taken {
    uint32_t device;
    uint64_t examples;
    Delta delta;
  };

  void Round(ModelVersion base) {
    std::vector<Delta> updates(kDevices), benign;
    std::vector<uint64_t> examples;
    for (uint32_t device = 0; device < kDevices; ++device) {
      Must(model_->SetWeights(weights_));
      const Fitted fitted = Must(Fit(*model_, examples_[device], task_.plan, {Name(device), base}));
      examples.push_back(fitted.examples);
      updates[device] = model_->Weights();
      std::ranges::transform(updates[device], weights_, updates[device].begin(), std::minus());
      if (!IsHostile(device)) benign.push_back(updates[device]);
    }
    // As the aggregator refuses what is beyond the task's bounds: a model that has gone wrong makes such updates too.
    std::vector<Taken> taken;
    std::optional<Delta> agreed;  // those who know all benign updates say the same
    for (uint32_t device = 0; device < kDevices; ++device) {
      if (IsHostile(device) && attack_.colludes) {
        if (!agreed) agreed = attack_.make(benign, updates[device], random_);
        updates[device] = *agreed;
      } else if (IsHostile(device)) {
        updates[device] = attack_.make(benign, updates[device], random_);
      }
      if (CheckDelta(updates[device], task_.value_bound, task_.norm_bound))
        taken.push_back({device, examples[device], std::move(updates[device])});
    }
    if (taken.empty()) return;
    auto made = KeepsUpdates(task_.robust) ? Combine(taken) : Add(taken);
    if (!made) return;  // too few for the rule: the round ends without a version
    const WeightedSum& sum = *made;
    const std::vector<double> mean = Must(sum.Report());
    weights_ = MakeServerOptimizer({})->Step(weights_, mean, 1, {});
    reference_.assign(mean.begin(), mean.end());
    bounds_ = NextBounds(task_, bounds_, medians_);
  }

  uint64_t Counts(uint64_t examples) const { return std::min({examples, bounds_.weight, task_.max_weight}); }

  // As the aggregator takes updates one by one.
  Result<WeightedSum> Add(const std::vector<Taken>& taken) {
    WeightedSum sum = EmptySum();
    std::vector<UpdateSize> sizes;
    for (const Taken& one : taken) {
      UpdateLimits limits;
      if (bounds_.norm > 0) limits.norm_clip = bounds_.norm;
      if (HasReference(task_.robust)) limits.reference = reference_;
      auto addition = Must(sum.Begin(std::move(limits), Counts(one.examples), Again(one.delta)));
      Must(addition.Add(one.delta));
      sizes.push_back({.norm = Must(addition.Commit()).distance, .weight = one.examples});
    }
    SetMedians(sizes);
    return sum;
  }

  // As it does when a round of a rule ends that sees all of them at once.
  Result<WeightedSum> Combine(const std::vector<Taken>& taken) {
    const bool by_gateway = task_.robust.groups == RobustGroups::kGateways;
    std::vector<Delta> updates;
    std::vector<uint64_t> counts;
    std::vector<std::string> names;
    for (const Taken& one : taken) {
      updates.push_back(one.delta);
      counts.push_back(Counts(one.examples));
      names.push_back(by_gateway ? std::to_string(one.device / kPerGateway) : Name(one.device).text());
    }
    const MemoryUpdates set(updates, counts, task_.scale);
    const auto read = [&](uint64_t first, std::span<double> values) -> Status {
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = HasReference(task_.robust) ? double{reference_[first + i]} : 0;
      return {};
    };
    std::vector<UpdateSize> sizes;
    const auto likenesses = Must(CompareWith(set, {}, std::ldexp(1.0, task_.scale.fraction_bits), read));
    for (size_t i = 0; i < taken.size(); ++i)
      sizes.push_back({.norm = likenesses[i].distance, .weight = taken[i].examples});
    SetMedians(sizes);
    const Bytes seed = random_.TakeBytes(16);
    const GroupedUpdates groups(set, by_gateway ? GroupsByName(names) : BucketsOf(names, seed, task_.robust.bucket));
    return RobustRuleOf(task_.robust.rule)
        .Combine({.updates = groups, .policy = task_.robust, .reference = reference_, .bound = bounds_.norm},
                 EmptySum());
  }

  WeightedSum EmptySum() const {
    return {weights_.size(), task_.scale, task_.value_bound, Must(MaxRoundWeight(task_))};
  }

  // As ContributionTable::Median.
  void SetMedians(std::vector<UpdateSize> sizes) {
    const auto at = sizes.begin() + static_cast<std::ptrdiff_t>((sizes.size() - 1) / 2);
    std::ranges::nth_element(sizes, at, {}, &UpdateSize::norm);
    medians_.norm = at->norm;
    std::ranges::nth_element(sizes, at, {}, &UpdateSize::weight);
    medians_.weight = at->weight;
  }

  static DeviceId Name(uint32_t device) { return Must(DeviceId::Parse(fmt::format("device-{:02}", device))); }

  const Method& method_;
  const Attack& attack_;
  SeededRandom random_;
  std::unique_ptr<Model> model_;
  std::vector<float> weights_;
  std::vector<Examples> examples_;
  TaskRecord task_;
  UpdateSize bounds_, medians_;
  std::vector<float> reference_;
};

bool IsThere(const Path& results, const std::string& rule, const std::string& attack, uint64_t seed) {
  std::ifstream lines(results);
  for (std::string line; std::getline(lines, line);) {
    const auto read = nlohmann::json::parse(line, nullptr, false);
    if (read.is_object() && read.value("rule", "") == rule && read.value("attack", "") == attack &&
        read.value("seed", uint64_t{0}) == seed)
      return true;
  }
  return false;
}

void RunRules(const Path& results, uint64_t seeds, const std::vector<std::string>& wanted) {
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    for (const Attack& attack : Attacks()) {
      for (const Method& method : Methods()) {
        if (!wanted.empty() && std::ranges::find(wanted, method.name) == wanted.end()) continue;
        if (IsThere(results, method.name, attack.name, seed)) continue;
        const auto accuracies = RobustRun(method, attack, seed).Run();
        const nlohmann::ordered_json line = {
            {"rule", method.name}, {"attack", attack.name}, {"seed", seed}, {"accuracy", accuracies}};
        std::ofstream(results, std::ios::app) << line.dump() << std::endl;
      }
    }
  }
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  tributary::bench::RunRules(argv[1], argc > 2 ? std::stoul(argv[2]) : 3,
                             std::vector<std::string>(argv + std::min(argc, 3), argv + argc));
  return 0;
}
