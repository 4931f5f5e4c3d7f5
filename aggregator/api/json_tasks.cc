#include "aggregator/api/json_tasks.h"

#include <limits>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

// ---- out

Json Table(const TensorTable& table) {
  Json list = Json::array();
  for (const auto& tensor : table.tensors) list.push_back({{"name", tensor.name}, {"shape", tensor.shape}});
  return list;
}

Json Plan(const TrainingPlan& plan) {
  return {{"loss", LossName(plan.loss)},
          {"optimizer", OptimizerName(plan.optimizer)},
          {"learning_rate", plan.learning_rate},
          {"momentum", plan.momentum},
          {"weight_decay", plan.weight_decay},
          {"batch_size", plan.batch_size},
          {"epochs", plan.epochs},
          {"max_steps", plan.max_steps},
          {"seed", plan.seed}};
}

Json Policy(const RoundPolicy& policy) {
  return {{"report_goal", policy.report_goal},
          {"minimum", policy.minimum},
          {"deadline_seconds", policy.deadline_seconds},
          {"inclusion", policy.inclusion}};
}

Json Bounds(const TaskRecord& task) {
  return {{"value", task.value_bound}, {"norm", task.norm_bound}, {"max_weight", task.max_weight}};
}

Json Task(const TaskRecord& task) {
  return {{"id", task.id.text()},
          {"created", Rfc3339(task.created)},
          {"latest_version", VersionOrNull(task.latest)},
          {"rounds_wanted", task.rounds_wanted},
          {"parameters", task.table.parameter_count()},
          {"module", BlobToJson(task.module)},
          {"tensors", Table(task.table)},
          {"plan", Plan(task.plan)},
          {"policy", Policy(task.policy)},
          {"bounds", Bounds(task)},
          {"fraction_bits", task.scale.fraction_bits}};
}

// ---- in

void TakeBlob(Fields& request, const std::string& key, BlobRef& out) {
  const Json* value = request.Find(key, true);
  if (!value) return;
  Fields fields(*value, key);
  fields.Parsed("digest", out.digest, &Digest::FromHex, true);
  fields.Whole("size", out.size, 1, limits::kBlobBytes, true);
  request.Take(std::move(fields));
}

// Takes the size with it.
void TakeShape(Fields& fields, TensorEntry& tensor) {
  const Json* shape = fields.Find("shape", true);
  if (!shape) return;
  if (!shape->is_array() || shape->size() > limits::kTensorRank) {
    return fields.Keep(fields.Full("shape"),
                       "must be a list of at most " + std::to_string(limits::kTensorRank) + " dimensions");
  }
  for (const auto& dimension : *shape) {
    const bool fits = dimension.is_number_unsigned() && dimension.get<uint64_t>() <= limits::kParameters;
    const uint64_t length = fits ? dimension.get<uint64_t>() : 0;
    // Both factors are at most kParameters, so the product stays below 2^63.
    if (!fits || tensor.size * length > limits::kParameters) {
      return fields.Keep(fields.Full("shape"),
                         "must be dimensions of at most " + std::to_string(limits::kParameters) + " elements");
    }
    tensor.shape.push_back(static_cast<int64_t>(length));
    tensor.size *= length;
  }
}

// The tensors lie one behind the other: offsets and sizes follow from the shapes.
void TakeTable(Fields& request, TensorTable& out) {
  const Json* list = request.Find("tensors", true);
  if (!list) return;
  if (!list->is_array() || list->empty()) return request.Keep("tensors", "must be a list that is not empty");
  if (list->size() > limits::kTensors) {
    return request.Keep("tensors", "has over " + std::to_string(limits::kTensors) + " entries", Code::kTooLarge);
  }
  uint64_t offset = 0;
  for (size_t i = 0; i < list->size(); ++i) {
    Fields fields((*list)[i], "tensors[" + std::to_string(i) + "]");
    TensorEntry tensor{"", {}, offset, 1};
    fields.Text("name", tensor.name, true);
    TakeShape(fields, tensor);
    offset += tensor.size;
    out.tensors.push_back(std::move(tensor));
    request.Take(std::move(fields));
  }
}

void TakePlan(Fields& request, TrainingPlan& plan) {
  const Json* value = request.Find("plan");
  if (!value) return;
  constexpr uint64_t kAny = std::numeric_limits<uint32_t>::max();
  Fields fields(*value, "plan");
  fields.Parsed("loss", plan.loss, &LossByName);
  fields.Parsed("optimizer", plan.optimizer, &OptimizerByName);
  fields.Real("learning_rate", plan.learning_rate);
  fields.Real("momentum", plan.momentum);
  fields.Real("weight_decay", plan.weight_decay);
  fields.Whole("batch_size", plan.batch_size, 1, 65536);
  fields.Whole("epochs", plan.epochs, 0, kAny);
  fields.Whole("max_steps", plan.max_steps, 0, kAny);
  fields.Whole("seed", plan.seed, 0, std::numeric_limits<uint64_t>::max());
  if (const Status checked = CheckTrainingPlan(plan); !checked) fields.Keep("plan:", checked.error().message);
  request.Take(std::move(fields));
}

void TakePolicy(Fields& request, RoundPolicy& policy) {
  const Json* value = request.Find("policy");
  if (!value) return;
  Fields fields(*value, "policy");
  fields.Whole("report_goal", policy.report_goal, 1, 1'000'000);
  fields.Whole("minimum", policy.minimum, 1, policy.report_goal);
  fields.Whole("deadline_seconds", policy.deadline_seconds, 1, 30ull * 24 * 3600);
  fields.Real("inclusion", policy.inclusion);
  if (!(policy.inclusion > 0 && policy.inclusion <= 1)) fields.Keep("policy.inclusion", "must be over 0 and at most 1");
  request.Take(std::move(fields));
}

void TakeBounds(Fields& request, TaskRecord& task) {
  const Json* value = request.Find("bounds");
  if (!value) return;
  Fields fields(*value, "bounds");
  fields.Real("value", task.value_bound);
  fields.Real("norm", task.norm_bound);
  fields.Whole("max_weight", task.max_weight, 1, 1'000'000'000'000);
  if (!(task.value_bound > 0 && task.value_bound <= 1e6)) fields.Keep("bounds.value", "must be over 0 and at most 1e6");
  if (!(task.norm_bound > 0 && task.norm_bound <= 1e9)) fields.Keep("bounds.norm", "must be over 0 and at most 1e9");
  request.Take(std::move(fields));
}

}  // namespace

Result<TaskRequest> TaskRequestFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  TaskRequest request;
  Fields fields(json, "");
  fields.Parsed("id", request.task.id, &TaskId::Parse, true);
  TakeBlob(fields, "module", request.task.module);
  fields.Parsed("weights", request.weights, &Digest::FromHex, true);
  TakeTable(fields, request.task.table);
  TakePlan(fields, request.task.plan);
  TakePolicy(fields, request.task.policy);
  TakeBounds(fields, request.task);
  RETURN_IF_ERROR(fields.Finish());
  RETURN_IF_ERROR(CheckTensorTable(request.task.table));
  return request;
}

std::string TaskRequestToJson(const TaskRequest& request) {
  return Dump({{"id", request.task.id.text()},
               {"module", BlobToJson(request.task.module)},
               {"weights", request.weights.hex()},
               {"tensors", Table(request.task.table)},
               {"plan", Plan(request.task.plan)},
               {"policy", Policy(request.task.policy)},
               {"bounds", Bounds(request.task)}});
}

std::string ToJson(const TaskRecord& task) { return Dump(Task(task)); }
std::string ToJson(std::span<const TaskRecord> tasks) { return Dump(ListToJson(tasks, &Task)); }
std::string ToJson(const BlobRef& blob) { return Dump(BlobToJson(blob)); }

}  // namespace tributary
