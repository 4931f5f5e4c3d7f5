#include "protocol/catalogue/shared_tensors.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>

#include "protocol/base/result.h"

namespace tributary {
namespace {

// "bn1.running_mean" lies in "bn1."; a tensor of the module itself in "".
std::string_view LayerOf(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot + 1);
}

bool IsStatistic(const TensorEntry& tensor) { return StatisticOf(tensor) != Statistic::kNone; }

bool MatchesOneOf(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return MatchesPattern(pattern, name); });
}

bool MatchesList(std::string_view list, std::string_view name) {
  while (true) {
    const size_t comma = list.find(',');
    std::string_view pattern = list.substr(0, comma);
    while (pattern.starts_with(' ')) pattern.remove_prefix(1);
    while (pattern.ends_with(' ')) pattern.remove_suffix(1);
    if (!pattern.empty() && MatchesPattern(pattern, name)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

bool KeepsHead(const TaskManifest& manifest, const TrainingPlan& plan) {
  return (plan.strategy == StrategyName::kFedPer || plan.strategy == StrategyName::kFedRep) &&
         manifest.personal.empty();
}

std::vector<bool> HeadOf(const TensorTable& table, const TrainingPlan& plan, const std::vector<bool>& trained) {
  std::vector<bool> head(table.tensors.size(), false);
  const TensorEntry* last = nullptr;
  for (size_t i = 0; i < head.size(); ++i) {
    if (trained[i]) last = &table.tensors[i];
  }
  for (size_t i = 0; i < head.size(); ++i) {
    const TensorEntry& tensor = table.tensors[i];
    if (!plan.head.empty()) {
      head[i] = MatchesList(plan.head, tensor.name);
    } else if (last) {
      // The tensors of the module itself are no layer: of these the last one is the head.
      const std::string_view layer = LayerOf(last->name);
      head[i] = (layer.empty() ? tensor.name == last->name : LayerOf(tensor.name) == layer) && !IsStatistic(tensor);
    }
  }
  return head;
}

std::vector<bool> KeptTensors(const TensorTable& table, const TaskManifest& manifest, const TrainingPlan& plan) {
  std::vector<bool> kept(table.tensors.size(), false);
  if (KeepsHead(manifest, plan)) {
    std::vector<bool> trained;
    for (const TensorEntry& tensor : table.tensors) trained.push_back(!IsStatistic(tensor));
    kept = HeadOf(table, plan, trained);
  }
  std::set<std::string_view> normalised;
  for (const TensorEntry& tensor : table.tensors) {
    if (IsStatistic(tensor)) normalised.insert(LayerOf(tensor.name));
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    const TensorEntry& tensor = table.tensors[i];
    if (MatchesOneOf(manifest.personal, tensor.name) || MatchesOneOf(manifest.local, tensor.name) ||
        (plan.statistics == StatisticsPolicy::kLocal && IsStatistic(tensor)) ||
        (plan.strategy == StrategyName::kFedBn && normalised.contains(LayerOf(tensor.name))))
      kept[i] = true;
  }
  return kept;
}

SharedTensors::SharedTensors(const TensorTable& table, const TaskManifest& manifest, const TrainingPlan& plan) {
  const std::vector<bool> kept = KeptTensors(table, manifest, plan);
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i]) continue;
    TensorEntry tensor = table.tensors[i];
    const Run run{table_.parameter_count(), tensor.offset, tensor.size};
    tensor.offset = run.in_update;
    table_.tensors.push_back(std::move(tensor));
    in_version_.push_back(run.in_version);
    if (!runs_.empty() && runs_.back().in_version + runs_.back().size == run.in_version)
      runs_.back().size += run.size;
    else
      runs_.push_back(run);
  }
}

uint64_t SharedTensors::InVersion(uint64_t value) const {
  const auto behind = std::ranges::upper_bound(runs_, value, {}, &Run::in_update);
  TRIBUTARY_CHECK(behind != runs_.begin()) << value;
  return value - std::prev(behind)->in_update + std::prev(behind)->in_version;
}

std::vector<float> SharedTensors::Of(std::span<const float> all) const {
  std::vector<float> values;
  values.reserve(table_.parameter_count());
  for (const Run& run : runs_) {
    TRIBUTARY_CHECK(run.in_version + run.size <= all.size()) << all.size();
    const auto part = all.subspan(run.in_version, run.size);
    values.insert(values.end(), part.begin(), part.end());
  }
  return values;
}

}  // namespace tributary
