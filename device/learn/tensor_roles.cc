#include "device/learn/tensor_roles.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace tributary {
namespace {

// "bn1.running_mean" lies in "bn1."; a tensor of the module itself in "".
std::string_view LayerOf(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot + 1);
}

bool IsStatistic(std::string_view name) {
  const std::string_view last = name.substr(LayerOf(name).size());
  return last == "running_mean" || last == "running_var";
}

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

std::vector<bool> HeadOf(const TensorTable& table, const TrainingPlan& plan, const std::vector<bool>& trained) {
  std::vector<bool> head(table.tensors.size(), false);
  const TensorEntry* last = nullptr;
  for (size_t i = 0; i < trained.size(); ++i) {
    if (trained[i]) last = &table.tensors[i];
  }
  for (size_t i = 0; i < head.size(); ++i) {
    const std::string& name = table.tensors[i].name;
    if (!plan.head.empty()) {
      head[i] = MatchesList(plan.head, name);
    } else if (last) {
      // The tensors of the module itself are no layer: of these the last one is the head.
      const bool same = LayerOf(last->name).empty() ? name == last->name : LayerOf(name) == LayerOf(last->name);
      head[i] = same && !IsStatistic(name);
    }
  }
  return head;
}

bool KeepsHead(const TrainingPlan& plan) {
  return plan.strategy == StrategyName::kFedPer || plan.strategy == StrategyName::kFedRep;
}

}  // namespace

TensorRoles RolesOf(const TensorTable& table, const TaskManifest& manifest, const TrainingPlan& plan,
                    const std::vector<bool>& trained) {
  TensorRoles roles;
  roles.head = HeadOf(table, plan, trained);
  std::set<std::string_view> normalised;
  for (const TensorEntry& tensor : table.tensors) {
    if (IsStatistic(tensor.name)) normalised.insert(LayerOf(tensor.name));
  }
  const bool keeps_head = KeepsHead(plan);
  for (size_t i = 0; i < table.tensors.size(); ++i) {
    const std::string& name = table.tensors[i].name;
    roles.personal.push_back(
        MatchesOneOf(manifest.personal, name) || MatchesOneOf(manifest.local, name) ||
        (plan.statistics == StatisticsPolicy::kLocal && IsStatistic(name)) ||
        (plan.strategy == StrategyName::kFedBn && normalised.contains(LayerOf(name))) ||
        (keeps_head && manifest.personal.empty() && roles.head[i]));
  }
  return roles;
}

Status CheckNothingPersonal(const PublishedTask& task, std::span<const float> delta, const PersonalModel* kept) {
  const TensorRoles roles = RolesOf(task.table, task.manifest, task.plan, {});
  for (size_t i = 0; i < roles.personal.size(); ++i) {
    const TensorEntry& tensor = task.table.tensors[i];
    const auto part = delta.subspan(tensor.offset, tensor.size);
    const auto is_kept = [&](const PersonalTensor& one) { return one.in_state && one.name == tensor.name; };
    const bool of_head = kept && KeepsHead(task.plan) && std::ranges::any_of(kept->tensors, is_kept);
    if ((!roles.personal[i] && !of_head) || std::ranges::all_of(part, [](float value) { return value == 0; })) continue;
    return Fail(Code::kLearnerProtocol,
                "the learner put changes of the tensor {} into the update, which stays on the device; nothing was sent",
                tensor.name);
  }
  return {};
}

}  // namespace tributary
