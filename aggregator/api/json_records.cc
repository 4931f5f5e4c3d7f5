#include "aggregator/api/json_records.h"

#include <cstdio>
#include <ctime>
#include <limits>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

// ---- out

Json VersionOrNull(ModelVersion version) { return Number(version) == 0 ? Json() : Json(Number(version)); }
Json TimeOrNull(WallTime time) { return time.unix_millis == 0 ? Json() : Json(Rfc3339(time)); }
Json NumberOrNull(const std::optional<double>& number) { return number ? Json(*number) : Json(); }
Json Blob(const BlobRef& blob) { return {{"digest", blob.digest.hex()}, {"size", blob.size}}; }

Json ByReason(const std::map<Code, uint64_t>& counts) {
  Json object = Json::object();
  for (const auto& [code, count] : counts) object[std::string(Name(code))] = count;
  return object;
}

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
          {"module", Blob(task.module)},
          {"tensors", Table(task.table)},
          {"plan", Plan(task.plan)},
          {"policy", Policy(task.policy)},
          {"bounds", Bounds(task)},
          {"fraction_bits", task.scale.fraction_bits}};
}

Json Round(const RoundRecord& round) {
  return {{"task", round.task.text()},
          {"number", round.number},
          {"state", RoundStateName(round.state)},
          {"base_version", VersionOrNull(round.base)},
          {"result_version", VersionOrNull(round.result)},
          {"opened", Rfc3339(round.opened)},
          {"deadline", Rfc3339(round.deadline)},
          {"closed", TimeOrNull(round.closed)},
          {"reports", round.reports},
          {"total_weight", round.total_weight},
          {"refused", ByReason(round.refused)},
          {"bytes_up", round.bytes_up},
          {"aggregate_digest", round.aggregate_digest ? Json(round.aggregate_digest->hex()) : Json()},
          {"global_accuracy", NumberOrNull(round.global_accuracy)},
          {"personal_accuracy", NumberOrNull(round.personal_accuracy)},
          {"local_global_accuracy", NumberOrNull(round.local_global_accuracy)},
          {"evaluations", round.evaluations}};
}

Json Version(const VersionRecord& version) {
  return {{"task", version.task.text()},
          {"version", Number(version.version)},
          {"weights", Blob(version.weights)},
          {"parent", VersionOrNull(version.parent)},
          {"round", version.round == 0 ? Json() : Json(version.round)},
          {"created", Rfc3339(version.created)}};
}

Json Member(const MemberRecord& member) {
  return {{"id", member.id.text()},
          {"role", member.role},
          {"device_class", member.device_class},
          {"first_seen", Rfc3339(member.first_seen)},
          {"last_seen", Rfc3339(member.last_seen)},
          {"via", member.via.empty() ? Json() : Json(member.via.text())},
          {"uploads", member.uploads},
          {"spooled_uploads", member.spooled_uploads},
          {"spooled_bytes", member.spooled_bytes},
          {"delivered_uploads", member.delivered_uploads},
          {"connected_clients", member.connected_clients}};
}

Json Account(UploadKind kind, const AccountRecord& account) {
  uint64_t accounted = account.delivered + account.spooled + account.in_flight + account.duplicate;
  for (const auto& [code, count] : account.refused) accounted += count;
  for (const auto& [code, count] : account.dropped) accounted += count;
  return {{"kind", KindName(kind)},
          {"offered", account.offered},
          {"delivered", account.delivered},
          {"spooled", account.spooled},
          {"in_flight", account.in_flight},
          {"duplicate", account.duplicate},
          {"refused", ByReason(account.refused)},
          {"dropped", ByReason(account.dropped)},
          {"holds", accounted == account.offered}};
}

template <class Record>
Json List(std::span<const Record> records, Json (*one)(const Record&)) {
  Json items = Json::array();
  for (const auto& record : records) items.push_back(one(record));
  return {{"items", std::move(items)}};
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
    const Json* shape = fields.Find("shape", true);
    if (shape && (!shape->is_array() || shape->size() > limits::kTensorRank)) {
      fields.Keep(fields.Full("shape"),
                  "must be a list of at most " + std::to_string(limits::kTensorRank) + " dimensions");
    } else if (shape) {
      for (const auto& dimension : *shape) {
        const bool fits = dimension.is_number_unsigned() && dimension.get<uint64_t>() <= limits::kParameters;
        const uint64_t length = fits ? dimension.get<uint64_t>() : 0;
        // Both factors are at most kParameters, so the product stays below 2^63.
        if (!fits || tensor.size * length > limits::kParameters) {
          fields.Keep(fields.Full("shape"),
                      "must be dimensions of at most " + std::to_string(limits::kParameters) + " elements");
          break;
        }
        tensor.shape.push_back(static_cast<int64_t>(length));
        tensor.size *= length;
      }
    }
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
               {"module", Blob(request.task.module)},
               {"weights", request.weights.hex()},
               {"tensors", Table(request.task.table)},
               {"plan", Plan(request.task.plan)},
               {"policy", Policy(request.task.policy)},
               {"bounds", Bounds(request.task)}});
}

Result<uint64_t> RoundsRequestFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  uint64_t count = 0;
  Fields fields(json, "");
  fields.Whole("count", count, 1, 1'000'000, true);
  RETURN_IF_ERROR(fields.Finish());
  return count;
}

std::string ToJson(const TaskRecord& task) { return Dump(Task(task)); }
std::string ToJson(const RoundRecord& round) { return Dump(Round(round)); }
std::string ToJson(const VersionRecord& version) { return Dump(Version(version)); }
std::string ToJson(const BlobRef& blob) { return Dump(Blob(blob)); }

std::string ToJson(const CoordinatorEvent& event) {
  return Dump({{"name", event.name},
               {"at", Rfc3339(event.at)},
               {"task", event.task.empty() ? Json() : Json(event.task.text())},
               {"round", event.round == 0 ? Json() : Json(event.round)},
               {"reports", event.reports},
               {"version", VersionOrNull(event.version)},
               {"member", nullptr}});
}

std::string ToJson(const EnrolmentEvent& event) {
  return Dump(
      {{"name", event.name},
       {"at", Rfc3339(event.at)},
       {"task", nullptr},
       {"round", nullptr},
       {"reports", 0},
       {"version", nullptr},
       {"member", {{"id", event.id.text()}, {"role", RoleName(event.role)}, {"device_class", event.device_class}}}});
}

std::string ToJson(std::span<const TaskRecord> tasks) { return Dump(List(tasks, &Task)); }
std::string ToJson(std::span<const VersionRecord> versions) { return Dump(List(versions, &Version)); }
std::string ToJson(std::span<const MemberRecord> members) { return Dump(List(members, &Member)); }

std::string ToJson(std::span<const RoundRecord> rounds, const std::optional<std::string>& next_cursor) {
  Json list = List(rounds, &Round);
  list["next_cursor"] = next_cursor ? Json(*next_cursor) : Json();
  return Dump(list);
}

std::string ToJson(std::span<const std::pair<UploadKind, AccountRecord>> accounts) {
  Json items = Json::array();
  for (const auto& [kind, account] : accounts) items.push_back(Account(kind, account));
  return Dump({{"items", std::move(items)}});
}

std::string RoundsWantedToJson(const TaskRecord& task, std::optional<uint64_t> round) {
  Json json = {{"rounds_wanted", task.rounds_wanted}, {"latest_version", VersionOrNull(task.latest)}};
  if (round) json["round"] = *round;
  return Dump(json);
}

std::string CodesToJson() {
  Json items = Json::array();
  for (const auto& entry : AllCodes()) {
    items.push_back({{"code", entry.name},
                     {"number", static_cast<int>(entry.code)},
                     {"sentence", entry.sentence},
                     {"remedy", entry.remedy},
                     {"transient", entry.transient}});
  }
  return Dump({{"items", std::move(items)}});
}

std::string Rfc3339(WallTime time) {
  const int64_t millis = ((time.unix_millis % 1000) + 1000) % 1000;
  const time_t seconds = static_cast<time_t>((time.unix_millis - millis) / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
  char text[48];
  std::snprintf(text, sizeof(text), "%s.%03dZ", date, static_cast<int>(millis));
  return text;
}

Result<WallTime> WallTimeOfRfc3339(const std::string& text) {
  std::tm parts{};
  int millis = 0;
  const int got = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &parts.tm_year, &parts.tm_mon,
                              &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &millis);
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const WallTime time{int64_t{timegm(&parts)} * 1000 + millis};
  // Written again it is the same, or it was not of the form.
  if (got != 7 || Rfc3339(time) != text) return Fail(Code::kMalformed, "'" + text + "' is not a time");
  return time;
}

}  // namespace tributary
