#include "aggregator/release/task_book.h"

#include <algorithm>
#include <cmath>
#include <ranges>

#include "aggregator/optimise/next_weights.h"
#include "aggregator/records/sum_form.h"
#include "aggregator/records/tensor_values.h"
#include "aggregator/release/privacy_form.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/shared_tensors.h"
#include "protocol/catalogue/version_manifest.h"
#include "protocol/payload/codec/codec_list.h"

namespace tributary {
namespace {

Status Require(bool right, std::string_view field, std::string_view bounds) {
  if (right) return {};
  return Fail(Code::kInvalidArgument, "{} must be {}", field, bounds);
}

// Whether the rule can work with what else the task asks for.
Status CheckRule(TaskRecord& task) {
  RETURN_IF_ERROR(CheckFields(FieldsOf(task.robust), "robust"));
  RETURN_IF_ERROR(CheckRobust(task.robust, task.policy.minimum, task.policy.report_goal));
  const bool plain = task.robust.rule == RobustRuleName::kClip;
  RETURN_IF_ERROR(Require(plain || !LinearBitsOf(task.plan.update_codec), "robust.rule",
                          "clip with a linear codec: such updates are summed as rotated vectors"));
  RETURN_IF_ERROR(Require(plain || StalenessOf(task.policy) == 0, "policy.kind",
                          "synchronous with this robust.rule, which compares updates: all must be of one version"));
  RETURN_IF_ERROR(Require(!KeepsUpdates(task.robust) || task.policy.below_minimum != BelowMinimum::kClose,
                          "policy.below_minimum",
                          "fail or extend with this robust.rule, which needs policy.minimum updates"));
  return Require(!HasReference(task.robust) || task.first_norm > 0, "bounds.first_norm",
                 "above 0 with robust.rule = centred-clip: it is the first bound of the distance");
}

Status CheckBlobs(const BlobStore& blobs, const TaskRecord& task, const Digest& initial_weights) {
  for (const Digest& digest : {task.module.digest, initial_weights}) {
    if (!blobs.Has(digest)) return Fail(Code::kUnknownBlob, "blob {} was not uploaded", digest.hex());
  }
  ASSIGN_OR_RETURN(const uint64_t module_size, blobs.Size(task.module.digest));
  RETURN_IF_ERROR(
      Require(module_size == task.module.size, "module.size", fmt::format("{}, the blob's size", module_size)));
  const uint64_t parameters = task.table.parameter_count();
  const uint64_t wanted = parameters * sizeof(float);
  ASSIGN_OR_RETURN(const uint64_t size, blobs.Size(initial_weights));
  if (size != wanted) {
    return Fail(Code::kInvalidArgument,
                "initial_weights must be {} bytes, 4 for each of {} parameters; the blob has {}", wanted, parameters,
                size);
  }
  return VisitWeights(
      blobs, {initial_weights, size}, parameters, [](uint64_t, std::span<const float> weights) -> Status {
        const bool finite = std::ranges::all_of(weights, [](float weight) { return std::isfinite(weight); });
        if (finite) return {};
        return Fail(Code::kInvalidArgument, "initial_weights must be finite");
      });
}

// The round policy, with what of the task it goes with.
Status CheckPolicy(TaskRecord task) {
  RETURN_IF_ERROR(CheckFields(FieldsOf(task.policy), "policy"));
  const RoundPolicy& policy = task.policy;
  RETURN_IF_ERROR(Require(policy.kind == RoundKind::kBuffered || policy.max_staleness == RoundPolicy().max_staleness,
                          "policy.max_staleness",
                          "left out: synchronous rounds take updates of the latest version only"));
  RETURN_IF_ERROR(Require(policy.over_selection == 0 || policy.over_selection >= 1, "policy.over_selection",
                          "0, or at least 1: fewer devices than report_goal can never give as many updates"));
  RETURN_IF_ERROR(Require(policy.over_selection == 0 || policy.inclusion == 1, "policy.inclusion",
                          "left out with over_selection, from which it follows"));
  if (StalenessOf(policy) == 0 || !LinearFormOf(task)) return {};
  return Fail(
      Code::kInvalidArgument,
      "policy.kind must be synchronous with plan.update_codec {}: a linear codec needs every update of a round on "
      "the same version; choose another codec, or max_staleness 0",
      task.plan.update_codec.front());
}

}  // namespace

std::string VersionFloor(const TaskId& task) { return "version_floor/" + task.text(); }
std::string RoundFloor(const TaskId& task) { return "round_floor/" + task.text(); }

Status TaskBook::Restore() {
  ASSIGN_OR_RETURN(auto tasks, parts_.store.tasks.All());
  for (TaskRecord& record : tasks) {
    ASSIGN_OR_RETURN(auto latest, parts_.store.tasks.Version(record.id, record.latest));
    const TaskId id = record.id;
    ASSIGN_OR_RETURN(const uint64_t begin, parts_.store.tasks.LineBegin(id));
    tasks_.emplace(id, LiveTask{std::move(record), std::move(latest), ModelVersion{begin}});
  }
  return {};
}

Result<TaskRecord> TaskBook::Create(TaskRecord task, const Digest& initial_weights) {
  RETURN_IF_ERROR(CheckNewTask(task));
  RETURN_IF_ERROR(CompletePrivacy(task));
  if (tasks_.contains(task.id)) return Fail(Code::kAlreadyExists, "task {}", task.id.text());
  if (tasks_.size() >= limits::kTasks) {
    return Fail(Code::kInvalidArgument, "id: there are {} tasks, the limit", limits::kTasks);
  }
  RETURN_IF_ERROR(CheckBlobs(parts_.blobs, task, initial_weights));
  ASSIGN_OR_RETURN(task.scale, ChooseScale(task));
  task.created = parts_.clock.Now();
  task.rounds_wanted = 0;
  // 1, unless members know the task from before a backup.
  ASSIGN_OR_RETURN(const uint64_t floor, parts_.store.accounts.Counter(VersionFloor(task.id)));
  task.latest = ModelVersion{floor + 1};
  const VersionRecord first = {.task = task.id,
                               .version = task.latest,
                               .weights = {initial_weights, task.table.parameter_count() * sizeof(float)},
                               .parent = {},
                               .round = 0,
                               .created = task.created,
                               .bounds = FirstBounds(task)};
  // It must be in the book for the announcer to see whether it fits.
  const TaskId id = task.id;
  const auto [at, inserted] = tasks_.emplace(id, LiveTask{std::move(task), first, first.version});
  if (auto stored = StoreNew(at->second); !stored) {
    tasks_.erase(at);
    return Fail(stored.error());
  }
  parts_.events.Say({.name = "task.created", .task = id, .version = first.version});
  parts_.events.Say({.name = "version.published", .task = id, .version = first.version});
  parts_.announcer.Announce();
  return at->second.record;
}

Status TaskBook::StoreNew(const LiveTask& task) {
  RETURN_IF_ERROR(parts_.announcer.CheckFits());
  ASSIGN_OR_RETURN(Transaction transaction, parts_.store.Begin());
  RETURN_IF_ERROR(parts_.store.tasks.Insert(task.record));
  RETURN_IF_ERROR(parts_.store.tasks.InsertVersion(task.latest));
  RETURN_IF_ERROR(parts_.announcer.Reserve());
  return transaction.Commit();
}

Result<LiveTask*> TaskBook::Find(const TaskId& task) {
  const auto found = tasks_.find(task);
  if (found == tasks_.end()) return Fail(Code::kUnknownTask, "task {}", task.text());
  return &found->second;
}

Result<std::vector<TaskRecord>> TaskBook::All() {
  std::vector<TaskRecord> records;
  for (const auto& [id, task] : tasks_) records.push_back(task.record);
  return records;
}

Result<TaskRecord> TaskBook::Get(const TaskId& task) {
  ASSIGN_OR_RETURN(const LiveTask* const found, Find(task));
  return found->record;
}

Status TaskBook::AddMeans(std::span<VersionRecord> versions) {
  if (versions.empty()) return {};
  ASSIGN_OR_RETURN(const auto totals, parts_.store.evaluations.Totals(versions.front().task, versions.front().version,
                                                                      versions.back().version));
  for (VersionRecord& version : versions) {
    version.metrics = {.global = MeansAt(totals.global, version.version),
                       .personal = MeansAt(totals.personal, version.version),
                       .local = MeansAt(totals.local, version.version)};
  }
  return {};
}

Result<std::vector<VersionRecord>> TaskBook::Versions(const TaskId& task, const Slice<ModelVersion>& slice) {
  RETURN_IF_ERROR(Find(task));
  ASSIGN_OR_RETURN(auto versions, parts_.store.tasks.Versions(task, slice));
  RETURN_IF_ERROR(AddMeans(versions));
  return versions;
}

Result<VersionRecord> TaskBook::Version(const TaskId& task, ModelVersion version) {
  ASSIGN_OR_RETURN(const LiveTask* const live, Find(task));
  if (Number(version) < 1 || version > live->latest.version)
    return Fail(Code::kUnknownVersion, "task '{}' has no version {}", task.text(), Number(version));
  auto found = parts_.store.tasks.Version(task, version);
  if (!found && found.error().code == Code::kNotFound)
    return Fail(Code::kPruned, "version {} of task '{}' is forgotten", Number(version), task.text());
  if (!found) return found;
  RETURN_IF_ERROR(AddMeans({&*found, 1}));
  return found;
}

Result<std::string> TaskBook::Manifest(const TaskId& task, ModelVersion version) {
  RETURN_IF_ERROR(Version(task, version));
  ASSIGN_OR_RETURN(const StoredManifest manifest, parts_.store.tasks.Manifest(task, version));
  return parts_.sign(manifest.text);
}

Result<std::string> TaskBook::Proof(const TaskId& task, ModelVersion version, const Digest& leaf) {
  RETURN_IF_ERROR(Version(task, version));
  ASSIGN_OR_RETURN(const StoredManifest manifest, parts_.store.tasks.Manifest(task, version));
  const auto found = std::ranges::lower_bound(manifest.leaves, leaf);
  if (found == manifest.leaves.end() || *found != leaf)
    return Fail(Code::kNotFound, "no update with this leaf is in version {} of task '{}'", Number(version),
                task.text());
  const auto index = static_cast<uint64_t>(found - manifest.leaves.begin());
  ASSIGN_OR_RETURN(std::string text, parts_.sign(manifest.text));
  return ProofText({std::move(text), leaf, index, MerklePath(manifest.leaves, index)});
}

Result<std::vector<MemberResult>> TaskBook::Results(const TaskId& task, ModelVersion version,
                                                    const Slice<DeviceId>& slice) {
  RETURN_IF_ERROR(Version(task, version));
  ASSIGN_OR_RETURN(const ModelVersion folded, pruner_.Folded(task));
  if (version <= folded) {
    return Fail(Code::kPruned,
                "the evaluations of version {} of task '{}' by single members are forgotten; their totals are in "
                "its metrics",
                Number(version), task.text());
  }
  return parts_.store.evaluations.Results(task, version, slice);
}

Result<VersionRecord> TaskBook::Pin(const TaskId& task, ModelVersion version, const std::string& reason) {
  ASSIGN_OR_RETURN(VersionRecord record, Version(task, version));
  if (record.pruned != WallTime{})
    return Fail(Code::kPruned, "the weights of version {} of task '{}' were removed", Number(version), task.text());
  RETURN_IF_ERROR(parts_.store.retention.Pin(task, version, reason));
  record.pinned = reason;
  if (version == tasks_.at(task).latest.version) tasks_.at(task).latest.pinned = reason;
  return record;
}

Result<Pruned> TaskBook::Prune(const TaskId& task, uint64_t keep, ModelVersion after) {
  ASSIGN_OR_RETURN(const LiveTask* const live, Find(task));
  ASSIGN_OR_RETURN(Pruned marked, pruner_.MarkVersions(SubjectOf(*live), keep, after));
  RETURN_IF_ERROR(pruner_.RemoveBlobs());
  return marked;
}

Status TaskBook::WhyAbsent(const Digest& blob) {
  ASSIGN_OR_RETURN(const auto pruned, parts_.store.retention.PrunedWith(blob));
  if (!pruned) return Fail(Code::kUnknownBlob, "no blob {}", blob.hex());
  return Fail(Code::kPruned, "blob {} was the weights of version {} of task '{}', which were removed", blob.hex(),
              Number(pruned->version), pruned->task.text());
}

Status TaskBook::CheckTakesEvaluations(const TaskId& task, ModelVersion version) {
  ASSIGN_OR_RETURN(const ModelVersion folded, pruner_.Folded(task));
  if (version > folded) return {};
  return Fail(Code::kStaleVersion, "evaluations of version {} are folded into their totals", Number(version));
}

Status TaskBook::PruneTurn() {
  std::vector<Pruner::Subject> subjects;
  for (const auto& [id, task] : tasks_) subjects.push_back(SubjectOf(task));
  return pruner_.Turn(subjects);
}

Pruner::Subject TaskBook::SubjectOf(const LiveTask& task) const {
  const TaskId& id = task.record.id;
  return {id, task.latest.version, parts_.in_use ? parts_.in_use(id) : std::set<ModelVersion>()};
}

namespace {

// A name that is spelt wrong would have a tensor travel that devices are to keep.
Status CheckHead(const TaskRecord& task) {
  if (!KeepsHead(task.manifest, task.plan)) return {};
  TrainingPlan plan = task.plan;
  for (const auto& part : std::views::split(std::string_view(task.plan.head), ',')) {
    plan.head = std::string(part.begin(), part.end());
    if (plan.head.find_first_not_of(' ') == std::string::npos) continue;
    const auto head = HeadOf(task.table, plan, std::vector<bool>(task.table.tensors.size()));
    RETURN_IF_ERROR(Require(std::ranges::find(head, true) != head.end(), "plan.head",
                            fmt::format("patterns of tensors of the task; {} matches none", plan.head)));
  }
  return {};
}

}  // namespace

Status CheckNewTask(TaskRecord task) {
  RETURN_IF_ERROR(Require(!task.id.empty(), "id", "a name of 1 to 64 characters"));
  if (auto table = CheckTensorTable(task.table); !table) {
    return Fail(Code::kInvalidArgument, "table: {}", table.error().message);
  }
  RETURN_IF_ERROR(Require(task.table.parameter_count() > 0, "table", "of at least one parameter"));
  RETURN_IF_ERROR(Require(task.module.size > 0 && task.module.size <= limits::kBlobBytes, "module.size",
                          fmt::format("1 to {} bytes", limits::kBlobBytes)));
  // A device must be able to read what the publication will carry.
  RETURN_IF_ERROR(FromCarriedText(CarriedText(task.manifest)));
  RETURN_IF_ERROR(CheckFields(FieldsOf(task.plan), "plan"));
  RETURN_IF_ERROR(Require(!SharedTensors(task).table().tensors.empty(), "plan",
                          "one that shares at least one tensor: this one has every device keep all of them"));
  RETURN_IF_ERROR(CheckHead(task));
  RETURN_IF_ERROR(CheckCodecs(task.plan.update_codec));
  RETURN_IF_ERROR(CheckPolicy(task));
  RETURN_IF_ERROR(CheckServerOptimizer(task.server_optimizer));
  RETURN_IF_ERROR(CheckFields(BoundsOf(task), "bounds"));
  return CheckRule(task);
}

Status CheckSettings(TaskRecord task, const RoundSettings& settings) {
  // Its scale and its noise were made for this goal.
  if (task.privacy.is_on() && settings.policy.report_goal != task.policy.report_goal)
    return Fail(Code::kInvalidArgument, "policy.report_goal must stay {} in a task with [privacy]",
                task.policy.report_goal);
  task.policy = settings.policy;
  task.server_optimizer = settings.server_optimizer;
  RETURN_IF_ERROR(CheckPrivatePolicy(task));
  RETURN_IF_ERROR(CheckPolicy(task));
  RETURN_IF_ERROR(CheckServerOptimizer(task.server_optimizer));
  RETURN_IF_ERROR(CheckRule(task));
  RETURN_IF_ERROR(ChooseScale(task));
  return {};
}

void TakeSettings(TaskRecord& task, bool other_scale) {
  if (!task.next_settings) return;
  TaskRecord taken = task;
  taken.policy = task.next_settings->policy;
  taken.server_optimizer = task.next_settings->server_optimizer;
  taken.next_settings.reset();
  const auto weight = MaxRoundWeight(taken);
  const auto scale = other_scale ? ChooseScale(taken) : Result<FixedPointScale>(taken.scale);
  if (!weight || !scale || !WeightedSum::Holds(*scale, taken.value_bound, *weight)) return;
  taken.scale = *scale;
  task = std::move(taken);
}

Result<uint64_t> MaxRoundWeight(const TaskRecord& task) {
  uint64_t product = 0;
  const uint64_t each = task.privacy.is_on() ? 1 : task.max_weight;
  if (__builtin_mul_overflow(each, uint64_t{task.policy.report_goal}, &product) || product >> 63 != 0) {
    return Fail(Code::kInvalidArgument,
                "max_weight ({}) times policy.report_goal ({}) does not fit 63 bits; lower one of them",
                task.max_weight, task.policy.report_goal);
  }
  return product;
}

UpdateSize FirstBounds(const TaskRecord& task) {
  const SharedTensors shared(task);
  const bool statistics = std::ranges::any_of(
      shared.table().tensors, [](const TensorEntry& tensor) { return StatisticOf(tensor) != Statistic::kNone; });
  return {.norm = task.first_norm,
          .statistics = statistics ? task.first_norm : 0,
          .weight = std::min(task.first_weight, task.max_weight)};
}

UpdateSize NextBounds(const TaskRecord& task, const UpdateSize& bounds, const UpdateSize& medians) {
  const auto next = [](double bound, double times, double median, double least, double most) {
    constexpr double kMostChange = 10;
    if (bound == 0 || times == 0) return bound;
    return std::clamp(std::clamp(times * median, bound / kMostChange, bound * kMostChange), least, most);
  };
  // Where updates stand still, the bound stays a number from which it can grow again.
  const double least_norm = std::min(1e-6, task.norm_bound);
  const double weight = next(static_cast<double>(bounds.weight), task.weight_medians,
                             static_cast<double>(medians.weight), 1, static_cast<double>(task.max_weight));
  return {.norm = next(bounds.norm, task.norm_medians, medians.norm, least_norm, task.norm_bound),
          .statistics = next(bounds.statistics, task.norm_medians, medians.statistics, least_norm, task.norm_bound),
          .weight = static_cast<uint64_t>(weight)};
}

Result<FixedPointScale> ChooseScale(const TaskRecord& task) {
  ASSIGN_OR_RETURN(const uint64_t max_total_weight, MaxRoundWeight(task));
  const auto scale = FixedPointScale::For(task.value_bound, max_total_weight);
  if (task.privacy.is_on() && scale) return PrivateScale(task, *scale);
  if (!scale || scale->fraction_bits < kMinFractionBits) {
    return Fail(
        Code::kInvalidArgument,
        "bounds.value, bounds.max_weight and policy.report_goal together leave fewer than {} bits behind the "
        "binary point of a 64-bit sum ({}); lower max_weight to the most examples one device really has, or the "
        "bound of a value",
        int{kMinFractionBits}, scale ? std::to_string(scale->fraction_bits) : scale.error().message);
  }
  return *scale;
}

}  // namespace tributary
