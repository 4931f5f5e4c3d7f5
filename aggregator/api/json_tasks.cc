#include "aggregator/api/json_tasks.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "protocol/base/limits.h"
#include "protocol/plan/field_json.h"

namespace tributary {
namespace {

// ---- out

Json Table(const TensorTable& table) {
  Json list = Json::array();
  for (const auto& tensor : table.tensors) list.push_back({{"name", tensor.name}, {"shape", tensor.shape}});
  return list;
}

Json SettingsToJson(RoundSettings settings) {
  return {{"policy", FieldsToJson(FieldsOf(settings.policy))},
          {"server_optimizer", FieldsToJson(FieldsOf(settings.server_optimizer))}};
}

Json Task(TaskRecord task) {
  Json json = {{"id", task.id.text()},
               {"created", Rfc3339(task.created)},
               {"latest_version", VersionOrNull(task.latest)},
               {"rounds_wanted", task.rounds_wanted},
               {"parameters", task.table.parameter_count()},
               {"module", BlobToJson(task.module)},
               {"tensors", Table(task.table)},
               {"manifest", Json::parse(TaskManifestText(task.manifest))}};
  for (const TaskSection& section : SectionsOf(task)) json[std::string(section.member)] = FieldsToJson(section.fields);
  json["fraction_bits"] = task.scale.fraction_bits;
  const std::string warning = RobustWarning(task.robust);
  json["warning"] = warning.empty() ? Json() : Json(warning);
  json["next_settings"] = Json();
  if (task.next_settings) json["next_settings"] = SettingsToJson(*task.next_settings);
  json["paused"] = Json();
  if (!task.paused.empty()) json["paused"] = {{"reason", task.paused}, {"since", Rfc3339(task.paused_at)}};
  return json;
}

// ---- in

void TakeBlob(Fields& request, const std::string& key, BlobRef& out) {
  const Json* value = request.Find(key, true);
  if (!value) return;
  Fields fields(*value, key);
  fields.Parsed("digest", out.digest, &Digest::FromHex, true);
  fields.Whole("size", out.size, 1, limits::kBlobBytes, true);
  request.Take(fields.Finish());
}

// Takes the size with it.
void TakeShape(Fields& fields, TensorEntry& tensor) {
  const Json* shape = fields.Find("shape", true);
  if (!shape) return;
  if (!shape->is_array() || shape->size() > limits::kTensorRank) {
    return fields.Keep(fields.Full("shape"),
                       fmt::format("must be a list of at most {} dimensions", limits::kTensorRank));
  }
  for (const auto& dimension : *shape) {
    const bool fits = dimension.is_number_unsigned() && dimension.get<uint64_t>() <= limits::kParameters;
    const uint64_t length = fits ? dimension.get<uint64_t>() : 0;
    // Both factors are at most kParameters, so the product stays below 2^63.
    if (!fits || tensor.size * length > limits::kParameters) {
      return fields.Keep(fields.Full("shape"),
                         fmt::format("must be dimensions of at most {} elements", limits::kParameters));
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
    return request.Keep("tensors", fmt::format("has over {} entries", limits::kTensors), Code::kTooLarge);
  }
  uint64_t offset = 0;
  for (size_t i = 0; i < list->size(); ++i) {
    Fields fields((*list)[i], fmt::format("tensors[{}]", i));
    TensorEntry tensor{"", {}, offset, 1};
    fields.Text("name", tensor.name, true);
    TakeShape(fields, tensor);
    offset += tensor.size;
    out.tensors.push_back(std::move(tensor));
    request.Take(fields.Finish());
  }
}

void TakeManifest(Fields& request, TaskManifest& out) {
  const Json* object = request.Find("manifest");
  if (!object) return;
  auto manifest = ParseTaskManifest(object->dump());
  if (!manifest) return request.Take(Fail(manifest.error()));
  out = std::move(*manifest);
}

}  // namespace

std::vector<TaskSection> SectionsOf(TaskRecord& task) {
  return {{"plan", "training", FieldsOf(task.plan)},
          {"policy", "round", FieldsOf(task.policy)},
          {"server_optimizer", "server_optimizer", FieldsOf(task.server_optimizer)},
          {"robust", "robust", FieldsOf(task.robust)},
          {"bounds", "bounds", BoundsOf(task)},
          {"privacy", "privacy", FieldsOf(task.privacy)}};
}

Result<TaskRequest> TaskRequestFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  TaskRequest request;
  Fields fields(json);
  fields.Parsed("id", request.task.id, &TaskId::Parse, true);
  TakeBlob(fields, "module", request.task.module);
  fields.Parsed("weights", request.weights, &Digest::FromHex, true);
  TakeTable(fields, request.task.table);
  TakeManifest(fields, request.task.manifest);
  for (const TaskSection& section : SectionsOf(request.task)) {
    const Json* object = fields.Find(std::string(section.member));
    if (object) fields.Take(FieldsFromJson(*object, section.member, section.fields));
  }
  RETURN_IF_ERROR(fields.Finish());
  RETURN_IF_ERROR(CheckTensorTable(request.task.table));
  return request;
}

Status SettingsFromJson(std::string_view body, RoundSettings& settings) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  Fields fields(json);
  const auto take = [&](const std::string& member, const std::vector<Field>& of) {
    if (const Json* object = fields.Find(member)) fields.Take(FieldsFromJson(*object, member, of));
  };
  take("policy", FieldsOf(settings.policy));
  take("server_optimizer", FieldsOf(settings.server_optimizer));
  return fields.Finish();
}

std::string ToJson(const RoundSettings& settings) { return Dump(SettingsToJson(settings)); }

std::string TaskRequestToJson(const TaskRequest& request) {
  TaskRecord task = request.task;
  Json json = {{"id", task.id.text()},
               {"module", BlobToJson(task.module)},
               {"weights", request.weights.hex()},
               {"tensors", Table(task.table)}};
  for (const TaskSection& section : SectionsOf(task)) json[std::string(section.member)] = FieldsToJson(section.fields);
  // An aggregator of before there was privacy, or manifests, does not know the key.
  if (!task.privacy.is_on()) json.erase("privacy");
  if (const std::string text = CarriedText(task.manifest); !text.empty()) json["manifest"] = Json::parse(text);
  return Dump(json);
}

std::string ToJson(const TaskRecord& task) { return Dump(Task(task)); }
std::string ToJson(std::span<const TaskRecord> tasks) { return Dump(ListToJson(tasks, &Task)); }
std::string ToJson(const BlobRef& blob) { return Dump(BlobToJson(blob)); }

}  // namespace tributary
