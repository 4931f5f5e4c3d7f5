#include "aggregator/store/task_table.h"

#include <charconv>

#include "protocol/plan/field_json.h"

namespace tributary {
namespace {

// A shape as text: "32,1,5,5"; a scalar's is empty.
std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : ",") + std::to_string(extent);
  return text;
}

Result<TensorEntry> ReadTensor(const Row& row, uint64_t offset) {
  TensorEntry entry{.name = row.Text(0), .shape = {}, .offset = offset, .size = 1};
  const std::string& text = row.Text(1);
  for (const char* at = text.data(); at < text.data() + text.size(); ++at) {
    int64_t extent = 0;
    const auto [end, error] = std::from_chars(at, text.data() + text.size(), extent);
    if (error != std::errc()) return Fail(Code::kCorrupt, "shape \"{}\" of tensor {}", text, entry.name);
    entry.shape.push_back(extent);
    entry.size *= static_cast<uint64_t>(extent);
    at = end;
  }
  return entry;
}

Result<TaskRecord> ReadTask(const Row& row) {
  TaskRecord task;
  ASSIGN_OR_RETURN(task.id, TaskId::Parse(row.Text(0)));
  ASSIGN_OR_RETURN(task.module.digest, Digest::FromBytes(row.Blob(1)));
  task.module.size = static_cast<uint64_t>(row.Int(2));
  const auto read = [&](int column, std::string_view what, std::span<const Field> fields) -> Status {
    const Status status = FieldsFromText(row.Text(column), what, fields);
    if (!status) return Fail(Code::kCorrupt, "task {}: {}", task.id.text(), status.error().message);
    return {};
  };
  RETURN_IF_ERROR(read(3, "plan", FieldsOf(task.plan)));
  RETURN_IF_ERROR(read(4, "policy", FieldsOf(task.policy)));
  RETURN_IF_ERROR(read(5, "bounds", BoundsOf(task)));
  task.scale.fraction_bits = static_cast<int>(row.Int(6));
  task.created = {row.Int(7)};
  task.rounds_wanted = static_cast<uint64_t>(row.Int(8));
  task.latest = ModelVersion{static_cast<uint64_t>(row.Int(9))};
  return task;
}

// A row of 0.1.0. It has the fields that there were then; never add one here.
Result<TaskRecord> ReadFormerTask(const Row& row) {
  TaskRecord task;
  ASSIGN_OR_RETURN(task.id, TaskId::Parse(row.Text(0)));
  ASSIGN_OR_RETURN(task.module.digest, Digest::FromBytes(row.Blob(1)));
  task.module.size = static_cast<uint64_t>(row.Int(2));
  task.plan = {.loss = static_cast<Loss>(row.Int(3)),
               .optimizer = static_cast<Optimizer>(row.Int(4)),
               .learning_rate = row.Real(5),
               .momentum = row.Real(6),
               .weight_decay = row.Real(7),
               .batch_size = static_cast<uint32_t>(row.Int(8)),
               .epochs = static_cast<uint32_t>(row.Int(9)),
               .max_steps = static_cast<uint32_t>(row.Int(10)),
               .seed = static_cast<uint64_t>(row.Int(11))};
  task.policy = {.report_goal = static_cast<uint32_t>(row.Int(12)),
                 .minimum = static_cast<uint32_t>(row.Int(13)),
                 .deadline_seconds = row.Int(14),
                 .inclusion = row.Real(15)};
  task.value_bound = row.Real(16);
  task.norm_bound = row.Real(17);
  task.max_weight = static_cast<uint64_t>(row.Int(18));
  task.scale.fraction_bits = static_cast<int>(row.Int(19));
  task.created = {row.Int(20)};
  task.rounds_wanted = static_cast<uint64_t>(row.Int(21));
  task.latest = ModelVersion{static_cast<uint64_t>(row.Int(22))};
  return task;
}

Result<VersionRecord> ReadVersion(const TaskId& task, const Row& row) {
  VersionRecord version;
  version.task = task;
  version.version = ModelVersion{static_cast<uint64_t>(row.Int(0))};
  ASSIGN_OR_RETURN(version.weights.digest, Digest::FromBytes(row.Blob(1)));
  version.weights.size = static_cast<uint64_t>(row.Int(2));
  version.parent = ModelVersion{static_cast<uint64_t>(row.Int(3))};
  version.round = static_cast<uint64_t>(row.Int(4));
  version.created = {row.Int(5)};
  return version;
}

}  // namespace

Status TaskTable::TakeOver() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT id, module_digest, module_size, loss, optimizer, learning_rate, momentum, "
                                   "weight_decay, batch_size, epochs, max_steps, seed, report_goal, minimum, "
                                   "deadline_seconds, inclusion, value_bound, norm_bound, max_weight, fraction_bits, "
                                   "created, rounds_wanted, latest FROM former_tasks"));
  if (rows.empty()) return {};
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database_));
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(TaskRecord task, ReadFormerTask(row));
    RETURN_IF_ERROR(InsertRow(std::move(task)));
  }
  RETURN_IF_ERROR(database_.Execute("DELETE FROM former_tasks"));
  return transaction.Commit();
}

Status TaskTable::InsertRow(TaskRecord task) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO tasks (id, module_digest, module_size, plan, policy, bounds, fraction_bits, created, rounds_wanted, "
      "latest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      task.id, task.module.digest, task.module.size, FieldsToText(FieldsOf(task.plan)),
      FieldsToText(FieldsOf(task.policy)), FieldsToText(BoundsOf(task)), task.scale.fraction_bits,
      task.created.unix_millis, task.rounds_wanted, task.latest));
  return {};
}

Status TaskTable::Insert(const TaskRecord& task) {
  RETURN_IF_ERROR(InsertRow(task));
  for (size_t i = 0; i < task.table.tensors.size(); ++i) {
    const TensorEntry& tensor = task.table.tensors[i];
    RETURN_IF_ERROR(database_.Execute("INSERT INTO tensors (task, position, name, shape) VALUES (?, ?, ?, ?)", task.id,
                                      i, tensor.name, ShapeText(tensor.shape)));
  }
  return {};
}

Status TaskTable::SaveProgress(const TaskRecord& task) {
  RETURN_IF_ERROR(database_.Execute("UPDATE tasks SET rounds_wanted = ?, latest = ? WHERE id = ?", task.rounds_wanted,
                                    task.latest, task.id));
  return {};
}

Result<std::vector<TaskRecord>> TaskTable::All() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT id, module_digest, module_size, plan, policy, bounds, fraction_bits, "
                                   "created, rounds_wanted, latest FROM tasks ORDER BY id"));
  std::vector<TaskRecord> tasks;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(TaskRecord task, ReadTask(row));
    RETURN_IF_ERROR(ReadTensors(task));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

Status TaskTable::ReadTensors(TaskRecord& task) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT name, shape FROM tensors WHERE task = ? ORDER BY position", task.id));
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(auto entry, ReadTensor(row, task.table.parameter_count()));
    task.table.tensors.push_back(std::move(entry));
  }
  return {};
}

Status TaskTable::InsertVersion(const VersionRecord& version) {
  RETURN_IF_ERROR(
      database_.Execute("INSERT INTO versions (task, version, weights_digest, weights_size, parent, round, created) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?)",
                        version.task, version.version, version.weights.digest, version.weights.size, version.parent,
                        version.round, version.created.unix_millis));
  return {};
}

Result<std::vector<VersionRecord>> TaskTable::Versions(const TaskId& task) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT version, weights_digest, weights_size, parent, round, created FROM versions "
                                   "WHERE task = ? ORDER BY version",
                                   task));
  std::vector<VersionRecord> versions;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(auto version, ReadVersion(task, row));
    versions.push_back(std::move(version));
  }
  return versions;
}

Result<VersionRecord> TaskTable::Version(const TaskId& task, ModelVersion version) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT version, weights_digest, weights_size, parent, round, created FROM versions "
                                   "WHERE task = ? AND version = ?",
                                   task, version));
  if (rows.empty()) {
    return Fail(Code::kNotFound, "task {} has no version {}", task.text(), Number(version));
  }
  return ReadVersion(task, rows.front());
}

}  // namespace tributary
