#include "aggregator/round/robust_round.h"

#include <cmath>

#include "aggregator/records/sum_form.h"
#include "aggregator/robust/robust_rule.h"
#include "aggregator/store/disk_health.h"
#include "protocol/base/log.h"
#include "protocol/catalogue/shared_tensors.h"

namespace tributary {
namespace {

std::vector<ValueRange> StatisticsOfTask(const TaskRecord& task) {
  const UpdateLayout layout{SharedTensors(task)};
  return {layout.statistics().begin(), layout.statistics().end()};
}

}  // namespace

Result<std::span<const float>> RobustRound::Reference() {
  if (!HasReference(policy())) return std::span<const float>();
  const VersionRecord& latest = task_.latest;
  if (!reference_ || reference_->of != latest.version) {
    const uint64_t count = SumSizeOf(task_.record);
    const bool is_made = latest.round != 0 && latest.restores == ModelVersion{};
    auto values = is_made ? ReadReference(files_, folder_ / ReferenceName(), count)
                          : Result<std::vector<float>>(std::vector<float>(count));
    if (!values && (values.error().code == Code::kNotFound || values.error().code == Code::kCorrupt)) {
      return Fail(
          Code::kCorrupt,
          "{}. Updates of task {} are compared with it, and wait meanwhile at their senders. Put checkpoints/{} back "
          "from a backup, or roll the task back to any version: it begins anew there",
          values.error().message, task_.record.id.text(), ReferenceName());
    }
    if (!values) return Fail(values.error());
    reference_ = {latest.version, std::move(*values)};
  }
  return std::span<const float>(reference_->values);
}

Status RobustRound::Keep(const RoundRecord& round, const KeptUpdate& update, const EachPart& values) {
  RETURN_IF_ERROR(
      CheckRoom(files_, folder_, KeptFileBytes(SumSizeOf(task_.record)), "an update that waits for its round's end"));
  const std::string name = KeptFileName(round.task, round.base, round.contributions);
  return WriteKeptUpdate(files_, folder_ / name, update, SumSizeOf(task_.record), values);
}

Status RobustRound::CheckRoomForRound() const {
  if (!KeepsUpdates(policy())) return {};
  const uint64_t bytes = task_.record.policy.report_goal * KeptFileBytes(SumSizeOf(task_.record));
  return CheckRoom(files_, folder_, bytes,
                   fmt::format("a round of {} updates, all of which the rule {} keeps", task_.record.policy.report_goal,
                               RobustRuleText(policy().rule)));
}

std::vector<Path> RobustRound::KeptFiles(const RoundRecord& round) const {
  std::vector<Path> paths;
  for (uint64_t slot = 0; slot < round.contributions; ++slot)
    paths.push_back(folder_ / KeptFileName(round.task, round.base, slot));
  return paths;
}

std::vector<std::vector<size_t>> RobustRound::Groups(const KeptUpdates& updates, const RoundRecord& round) const {
  const bool by_gateway = policy().groups == RobustGroups::kGateways;
  std::vector<std::string> names;
  for (size_t i = 0; i < updates.size(); ++i)
    names.push_back((by_gateway ? updates.update(i).via : updates.update(i).device).text());
  return by_gateway ? GroupsByName(names) : BucketsOf(names, round.nonce, policy().bucket);
}

Result<std::string> RobustRound::WhyNotCombined(const RoundKeeper& round) const {
  // How many buckets there can be was checked when the task was made.
  if (!KeepsUpdates(policy()) || policy().groups != RobustGroups::kGateways) return std::string();
  std::set<DeviceId> gateways;
  for (const Path& path : KeptFiles(round.record())) {
    ASSIGN_OR_RETURN(const KeptUpdate update, ReadKeptHead(files_, path, SumSizeOf(task_.record)));
    gateways.insert(update.via);
  }
  const Status enough = CheckCount(policy(), gateways.size());
  if (enough) return std::string();
  return fmt::format(
      "the updates came through {} gateways: {}. Their devices are not asked again; make a task with "
      "robust.groups = buckets, or connect more gateways and roll back to this version's parent",
      gateways.size(), enough.error().message);
}

Result<RobustRound::Combined> RobustRound::Combine(const RoundKeeper& round) {
  if (!KeepsUpdates(policy())) return Combined{};
  const TaskRecord& task = task_.record;
  const std::vector<ValueRange> statistics = StatisticsOfTask(task);
  ASSIGN_OR_RETURN(const KeptUpdates updates,
                   KeptUpdates::Open(files_, KeptFiles(round.record()), SumSizeOf(task), task.scale, task.value_bound));
  const auto mean = [&](uint64_t first, std::span<double> values) { return round.sum().ReportPart(first, values); };
  ASSIGN_OR_RETURN(const auto likenesses,
                   CompareWith(updates, statistics, std::ldexp(1.0, task.scale.fraction_bits), mean));
  Combined combined;
  for (size_t i = 0; i < updates.size(); ++i)
    combined.cosines.push_back({updates.update(i).device, likenesses[i].cosine});
  const GroupedUpdates groups(updates, Groups(updates, round.record()));
  ASSIGN_OR_RETURN(const auto reference, Reference());
  const RobustInput input{.updates = groups,
                          .policy = policy(),
                          .statistics = statistics,
                          .reference = reference,
                          .bound = round.record().bounds.norm};
  ASSIGN_OR_RETURN(combined.sum, RobustRuleOf(policy().rule).Combine(input, round.sum()));
  return combined;
}

Status RobustRound::SaveReference(ModelVersion version, const WeightedSum& aggregate) {
  if (!HasReference(policy())) return {};
  const auto mean = [&](uint64_t first, std::span<double> values) { return aggregate.ReportPart(first, values); };
  return WriteReference(files_, folder_ / ReferenceFileName(task_.record.id, version), aggregate.parameter_count(),
                        mean);
}

void RobustRound::Forget(const RoundRecord& round) {
  std::vector<Path> paths;
  if (KeepsUpdates(policy()) && !round.task.empty()) {
    paths = KeptFiles(round);
    // Of one that was refused after it was written.
    paths.push_back(folder_ / KeptFileName(round.task, round.base, round.contributions));
  }
  if (HasReference(policy())) paths.push_back(folder_ / ReferenceName());
  for (const Path& path : paths) {
    if (auto removed = files_.Remove(path); !removed)
      LogFailure(LogLevel::kWarning, "round.kept_file_not_removed", removed.error(), {{"file", path.string()}});
  }
}

void RobustRound::AddNames(const RoundRecord* round, std::set<std::string>& names) const {
  if (HasReference(policy())) names.insert(ReferenceName());
  if (!KeepsUpdates(policy()) || round == nullptr) return;
  for (const Path& path : KeptFiles(*round)) names.insert(path.filename().string());
}

}  // namespace tributary
