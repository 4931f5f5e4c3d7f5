#include "aggregator/store/task_table.h"

#include <charconv>

#include <fmt/format.h>

#include "protocol/plan/field_json.h"

namespace tributary {
namespace {

// A shape as text: "32,1,5,5"; a scalar's is empty.
std::string ShapeText(const std::vector<int64_t>& shape) { return fmt::format("{}", fmt::join(shape, ",")); }

Result<TensorEntry> ReadTensor(const Row& row, uint64_t offset) {
  TensorEntry entry{.name = {}, .shape = {}, .offset = offset, .size = 1};
  std::string text;
  RETURN_IF_ERROR(row.Into(entry.name, text));
  for (const char* at = text.data(); at < text.data() + text.size(); ++at) {
    int64_t extent = 0;
    const auto [end, error] = std::from_chars(at, text.data() + text.size(), extent);
    if (error != std::errc()) return Fail(Code::kCorrupt, "shape \"{}\" of tensor {}", text, entry.name);
    entry.shape.push_back(extent);
    at = end;
    if (at == text.data() + text.size()) break;
  }
  ASSIGN_OR_RETURN(entry.size, ElementsOf(entry));
  return entry;
}

#define TRIBUTARY_TASK_COLUMNS                                                                                      \
  "id, module_digest, module_size, plan, policy, bounds, fraction_bits, created, rounds_wanted, latest, manifest, " \
  "server_optimizer, robust, next_policy, next_server_optimizer, paused, paused_at, privacy"

Result<TaskRecord> ReadTask(const Row& row) {
  TaskRecord task;
  SetFormerBounds(task);  // a row of then does not have these fields
  std::string plan, policy, bounds, manifest, server_optimizer, robust, next_policy, next_optimizer, privacy;
  RETURN_IF_ERROR(row.Into(task.id, task.module.digest, task.module.size, plan, policy, bounds,
                           task.scale.fraction_bits, task.created, task.rounds_wanted, task.latest, manifest,
                           server_optimizer, robust, next_policy, next_optimizer, task.paused, task.paused_at,
                           privacy));
  const auto read = [&](std::string_view text, std::string_view what, std::span<const Field> fields) -> Status {
    const Status status = FieldsFromText(text, what, fields);
    if (!status) return Fail(Code::kCorrupt, "task {}: {}", task.id.text(), status.error().message);
    return {};
  };
  RETURN_IF_ERROR(read(plan, "plan", FieldsOf(task.plan)));
  RETURN_IF_ERROR(read(policy, "policy", FieldsOf(task.policy)));
  RETURN_IF_ERROR(read(bounds, "bounds", BoundsOf(task)));
  if (!server_optimizer.empty())
    RETURN_IF_ERROR(read(server_optimizer, "server_optimizer", FieldsOf(task.server_optimizer)));
  RETURN_IF_ERROR(read(robust, "robust", FieldsOf(task.robust)));
  if (!next_policy.empty()) {
    RoundSettings& next = task.next_settings.emplace();
    RETURN_IF_ERROR(read(next_policy, "next_policy", FieldsOf(next.policy)));
    RETURN_IF_ERROR(read(next_optimizer, "next_server_optimizer", FieldsOf(next.server_optimizer)));
  }
  RETURN_IF_ERROR(read(privacy, "privacy", FieldsOf(task.privacy)));
  auto taken = FromCarriedText(manifest);
  if (!taken) return Fail(Code::kCorrupt, "task {}: {}", task.id.text(), taken.error().message);
  task.manifest = std::move(*taken);
  return task;
}

// A row of 0.1.0. It has the fields that there were then; never add one here.
Result<TaskRecord> ReadFormerTask(const Row& row) {
  TaskRecord task;
  SetFormerBounds(task);
  TrainingPlan& plan = task.plan;
  RoundPolicy& policy = task.policy;
  int64_t seed = 0;  // any 64 bits
  RETURN_IF_ERROR(row.Into(task.id, task.module.digest, task.module.size, plan.loss, plan.optimizer, plan.learning_rate,
                           plan.momentum, plan.weight_decay, plan.batch_size, plan.epochs, plan.max_steps, seed,
                           policy.report_goal, policy.minimum, policy.deadline_seconds, policy.inclusion,
                           task.value_bound, task.norm_bound, task.max_weight, task.scale.fraction_bits, task.created,
                           task.rounds_wanted, task.latest));
  plan.seed = static_cast<uint64_t>(seed);
  return task;
}

#define TRIBUTARY_VERSION_COLUMNS                                                                                     \
  "task, version, weights_digest, weights_size, parent, round, created, norm_bound, statistics_bound, weight_bound, " \
  "restores, reason, pinned, pruned, compact_codec, compact_base, compact_digest, compact_size, "                     \
  "optimizer_digest, optimizer_size"

Result<VersionRecord> ReadVersion(const Row& row) {
  VersionRecord version;
  CompactWeights compact;
  std::optional<Digest> base, digest, optimizer;
  uint64_t state_size = 0;
  RETURN_IF_ERROR(row.Into(version.task, version.version, version.weights.digest, version.weights.size, version.parent,
                           version.round, version.created, version.bounds.norm, version.bounds.statistics,
                           version.bounds.weight, version.restores, version.reason, version.pinned, version.pruned,
                           compact.codec, base, digest, compact.blob.size, optimizer, state_size));
  if (base && digest) {
    compact.base = *base;
    compact.blob.digest = *digest;
    version.compact = compact;
  }
  if (optimizer) version.optimizer_state = BlobRef{*optimizer, state_size};
  return version;
}

}  // namespace

Status TaskTable::TakeOver() {
  ASSIGN_OR_RETURN(auto tasks,
                   database_.QueryAs(ReadFormerTask,
                                     "SELECT id, module_digest, module_size, loss, optimizer, learning_rate, momentum, "
                                     "weight_decay, batch_size, epochs, max_steps, seed, report_goal, minimum, "
                                     "deadline_seconds, inclusion, value_bound, norm_bound, max_weight, fraction_bits, "
                                     "created, rounds_wanted, latest FROM former_tasks"));
  if (tasks.empty()) return {};
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database_));
  for (TaskRecord& task : tasks) RETURN_IF_ERROR(InsertRow(std::move(task)));
  RETURN_IF_ERROR(database_.Write("DELETE FROM former_tasks"));
  return transaction.Commit();
}

Status TaskTable::InsertRow(TaskRecord task) {
  return database_.Write(
      "INSERT INTO tasks (" TRIBUTARY_TASK_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)",
      task.id, task.module.digest, task.module.size, FieldsToText(FieldsOf(task.plan)),
      FieldsToText(FieldsOf(task.policy)), FieldsToText(BoundsOf(task)), task.scale.fraction_bits, task.created,
      task.rounds_wanted, task.latest, CarriedText(task.manifest), FieldsToText(FieldsOf(task.server_optimizer)),
      FieldsToText(FieldsOf(task.robust)), task.paused, task.paused_at, FieldsToText(FieldsOf(task.privacy)));
}

Status TaskTable::SaveProgress(TaskRecord task) {
  std::string next_policy, next_optimizer;
  if (task.next_settings) {
    next_policy = FieldsToText(FieldsOf(task.next_settings->policy));
    next_optimizer = FieldsToText(FieldsOf(task.next_settings->server_optimizer));
  }
  return database_.Write(
      "UPDATE tasks SET rounds_wanted = ?, latest = ?, policy = ?, server_optimizer = ?, next_policy = ?, "
      "next_server_optimizer = ?, paused = ?, paused_at = ?, fraction_bits = ? WHERE id = ?",
      task.rounds_wanted, task.latest, FieldsToText(FieldsOf(task.policy)),
      FieldsToText(FieldsOf(task.server_optimizer)), next_policy, next_optimizer, task.paused, task.paused_at,
      task.scale.fraction_bits, task.id);
}

Status TaskTable::Insert(const TaskRecord& task) {
  RETURN_IF_ERROR(InsertRow(task));
  for (size_t i = 0; i < task.table.tensors.size(); ++i) {
    const TensorEntry& tensor = task.table.tensors[i];
    RETURN_IF_ERROR(database_.Write("INSERT INTO tensors (task, position, name, shape) VALUES (?, ?, ?, ?)", task.id, i,
                                    tensor.name, ShapeText(tensor.shape)));
  }
  return {};
}

Result<std::vector<TaskRecord>> TaskTable::All() {
  ASSIGN_OR_RETURN(auto tasks, database_.QueryAs(ReadTask, "SELECT " TRIBUTARY_TASK_COLUMNS " FROM tasks ORDER BY id"));
  for (TaskRecord& task : tasks) RETURN_IF_ERROR(ReadTensors(task));
  return tasks;
}

Status TaskTable::ReadTensors(TaskRecord& task) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT name, shape FROM tensors WHERE task = ? ORDER BY position", task.id));
  for (const Row& row : rows) {
    auto entry = ReadTensor(row, task.table.parameter_count());
    if (!entry) return Fail(Code::kCorrupt, "task {}: {}", task.id.text(), entry.error().message);
    task.table.tensors.push_back(std::move(*entry));
  }
  const Status whole = CheckTensorTable(task.table);
  if (!whole) return Fail(Code::kCorrupt, "task {}: {}", task.id.text(), whole.error().message);
  return {};
}

Status TaskTable::InsertVersion(const VersionRecord& version) {
  return database_.Write("INSERT INTO versions (" TRIBUTARY_VERSION_COLUMNS
                         ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                         version.task, version.version, version.weights.digest, version.weights.size, version.parent,
                         version.round, version.created, version.bounds.norm, version.bounds.statistics,
                         version.bounds.weight, version.restores, version.reason, version.pinned, version.pruned,
                         version.compact ? version.compact->codec : VersionCodec::kFloat32,
                         version.compact ? std::optional(version.compact->base) : std::nullopt,
                         version.compact ? std::optional(version.compact->blob.digest) : std::nullopt,
                         version.compact ? version.compact->blob.size : 0,
                         version.optimizer_state ? std::optional(version.optimizer_state->digest) : std::nullopt,
                         version.optimizer_state ? version.optimizer_state->size : 0);
}

Status TaskTable::InsertManifest(const StoredManifest& manifest) {
  Bytes leaves;
  for (const Digest& leaf : manifest.leaves) Append(leaves, leaf.view());
  return database_.Write("INSERT INTO manifests (task, version, manifest, leaves) VALUES (?, ?, ?, ?)", manifest.task,
                         manifest.version, manifest.text, leaves);
}

Result<StoredManifest> TaskTable::Manifest(const TaskId& task, ModelVersion version) {
  const auto read = [&](const Row& row) -> Result<StoredManifest> {
    StoredManifest manifest{.task = task, .version = version, .text = {}, .leaves = {}};
    Bytes leaves;
    RETURN_IF_ERROR(row.Into(manifest.text, leaves));
    for (size_t at = 0; at + Digest::kSize <= leaves.size(); at += Digest::kSize) {
      ASSIGN_OR_RETURN(manifest.leaves.emplace_back(), Digest::FromBytes(ByteView(leaves).subspan(at, Digest::kSize)));
    }
    return manifest;
  };
  ASSIGN_OR_RETURN(auto found,
                   database_.QueryFirst(read, "SELECT manifest, leaves FROM manifests WHERE task = ? AND version = ?",
                                        task, version));
  if (!found) return Fail(Code::kNotFound, "version {} of task {} has no manifest", Number(version), task.text());
  return std::move(*found);
}

Result<std::vector<VersionRecord>> TaskTable::Versions(const TaskId& task, const Slice<ModelVersion>& slice) {
  return database_.QueryAs(ReadVersion,
                           "SELECT " TRIBUTARY_VERSION_COLUMNS
                           " FROM versions WHERE task = ? AND version > ? ORDER BY version LIMIT ?",
                           task, slice.after, slice.most);
}

Result<VersionRecord> TaskTable::Version(const TaskId& task, ModelVersion version) {
  ASSIGN_OR_RETURN(auto found, database_.QueryFirst(ReadVersion,
                                                    "SELECT " TRIBUTARY_VERSION_COLUMNS
                                                    " FROM versions WHERE task = ? AND version = ?",
                                                    task, version));
  if (!found) return Fail(Code::kNotFound, "task {} has no version {}", task.text(), Number(version));
  return std::move(*found);
}

}  // namespace tributary
