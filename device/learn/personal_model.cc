#include "device/learn/personal_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "protocol/base/json.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

using PersonalJson = nlohmann::ordered_json;

constexpr std::string_view kPersonalFormat = "tributary-personal-1";
constexpr size_t kPersonalMetrics = 18;
constexpr size_t kWordBytes = 64;
constexpr size_t kHeadBytes = 64 * limits::kMiB;  // as many tensors as a model may have, with their names

PersonalJson MetricsJson(const TaskMetrics& metrics) {
  PersonalJson object = PersonalJson::object();
  for (const auto& [name, metric] : metrics) object[name] = {{"sum", metric.sum}, {"weight", metric.weight}};
  return object;
}

// Takes values out of an object. The first that is wrong is remembered, and what is taken after it is empty.
class PersonalReader {
 public:
  explicit PersonalReader(const nlohmann::json& object) : object_(object), good_(object.is_object()) {}

  const nlohmann::json& Value(const char* key) {
    static const nlohmann::json kNothing;
    const auto found = good_ ? object_.find(key) : object_.end();
    return good_ && found != object_.end() ? *found : (good_ = false, kNothing);
  }
  uint64_t Number(const char* key) {
    const auto& value = Value(key);
    return value.is_number_unsigned() ? value.get<uint64_t>() : (good_ = false, 0);
  }
  double Real(const char* key) {
    const auto& value = Value(key);
    const double real = value.is_number() ? value.get<double>() : std::nan("");
    return std::isfinite(real) ? real : (good_ = false, 0);
  }
  bool Flag(const char* key) {
    const auto& value = Value(key);
    return value.is_boolean() ? value.get<bool>() : (good_ = false);
  }
  std::string Word(const char* key, size_t most = kWordBytes) {
    const auto& value = Value(key);
    if (value.is_string() && value.get_ref<const std::string&>().size() <= most) return value.get<std::string>();
    return good_ = false, "";
  }
  const nlohmann::json& List(const char* key, size_t most) {
    const auto& value = Value(key);
    if (!value.is_array() || value.size() > most) good_ = false;
    return value;
  }
  TaskMetrics Metrics(const char* key) {
    TaskMetrics metrics;
    const auto& value = Value(key);
    if (!value.is_object() || value.size() > kPersonalMetrics) return good_ = false, metrics;
    for (const auto& [name, one] : value.items()) {
      PersonalReader metric(one);
      metrics[name] = {metric.Real("sum"), metric.Real("weight")};
      if (!metric.good() || !CheckName(name, "metric") || !(metrics[name].weight >= 0)) good_ = false;
    }
    return metrics;
  }
  void Refuse() { good_ = false; }
  bool good() const { return good_; }

 private:
  const nlohmann::json& object_;
  bool good_;
};

tl::unexpected<Error> BadPersonal(std::string_view what) {
  return Fail(Code::kCorrupt, "this is no personal model: {}", what);
}

Result<PersonalTensor> ReadPersonalTensor(const nlohmann::json& object) {
  PersonalReader from(object);
  PersonalTensor tensor{from.Word("name", limits::kTensorNameBytes), {}, from.Flag("model"), from.Flag("state"), {}};
  const nlohmann::json& shape = from.List("shape", limits::kTensorRank);
  if (!from.good() || tensor.name.empty()) return BadPersonal("a tensor has no name or shape");
  for (const nlohmann::json& each : shape) {
    if (!each.is_number_integer()) return BadPersonal("a tensor's shape is none");
    tensor.shape.push_back(each.get<int64_t>());
  }
  return tensor;
}

}  // namespace

bool IsBetter(const TaskMetrics& first, const TaskMetrics& second) {
  const auto one = first.find("accuracy"), other = second.find("accuracy");
  if (one != first.end() && other != second.end() && one->second.mean() != other->second.mean())
    return one->second.mean() > other->second.mean();
  const auto loss = first.find("loss"), other_loss = second.find("loss");
  if (loss == first.end() || other_loss == second.end()) return false;
  return loss->second.mean() < other_loss->second.mean();
}

bool IsClearlyBetter(const TaskMetrics& first, const TaskMetrics& second) {
  const auto one = first.find("accuracy"), other = second.find("accuracy");
  if (one == first.end() || other == second.end()) return IsBetter(first, second);
  constexpr double kChiSquare = 2.7055;  // of one degree of freedom, 10 % on both sides
  const double wrong = one->second.weight - one->second.sum, wrong_too = other->second.weight - other->second.sum;
  const double surplus = wrong_too - wrong - 1;
  return surplus > 0 && surplus * surplus > kChiSquare * (wrong + wrong_too);
}

std::string ScoreText(const TaskMetrics& metrics) {
  for (const char* name : {"accuracy", "loss"}) {
    const auto found = metrics.find(name);
    if (found != metrics.end() && found->second.weight > 0) return fmt::format("{} {:.4f}", name, found->second.mean());
  }
  return "not measured";
}

const PersonalTensor* PersonalModel::Find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &PersonalTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

bool PersonalModel::uses_global() const { return std::ranges::none_of(tensors, &PersonalTensor::in_model); }

uint64_t PersonalModel::value_bytes() const {
  uint64_t bytes = 0;
  for (const PersonalTensor& tensor : tensors) bytes += tensor.values.size() * sizeof(float);
  return bytes;
}

Bytes EncodePersonalModel(const PersonalModel& model) {
  PersonalJson head = {{"format", kPersonalFormat},
                       {"task", model.task.text()},
                       {"base", Number(model.base)},
                       {"strategy", model.strategy},
                       {"choice", model.choice},
                       {"examples", model.examples},
                       {"global", MetricsJson(model.global)},
                       {"personal", MetricsJson(model.personal)},
                       {"alpha", model.alpha},
                       {"generation", model.generation},
                       {"lineage", PersonalJson::array()},
                       {"tensors", PersonalJson::array()}};
  for (const auto& [base, choice, global, personal] : model.lineage)
    head["lineage"].push_back({{"base", Number(base)}, {"choice", choice}, {"global", global}, {"personal", personal}});
  for (const PersonalTensor& tensor : model.tensors) {
    head["tensors"].push_back(
        {{"name", tensor.name}, {"shape", tensor.shape}, {"model", tensor.in_model}, {"state", tensor.in_state}});
  }
  Bytes bytes = ToBytes(AsBytes(head.dump() + "\n"));
  bytes.reserve(bytes.size() + model.value_bytes());
  for (const PersonalTensor& tensor : model.tensors) Append(bytes, AsBytes(std::span<const float>(tensor.values)));
  return bytes;
}

Result<PersonalModel> DecodePersonalModel(ByteView bytes) {
  const auto end = std::ranges::find(bytes.first(std::min(bytes.size(), kHeadBytes)), uint8_t{'\n'});
  const auto length = static_cast<size_t>(end - bytes.begin());
  if (length == std::min(bytes.size(), kHeadBytes)) return BadPersonal("it has no first line");
  const auto head = ParseJson(bytes.first(length), JsonForm::kAny);
  if (!head || !head->is_object()) return BadPersonal("its first line is no JSON object");
  PersonalReader from(*head);
  if (from.Word("format") != kPersonalFormat) return BadPersonal("its format is another one");
  PersonalModel model;
  auto task = TaskId::Parse(from.Word("task"));
  if (!task) return BadPersonal("its task has no name");
  model.task = std::move(*task);
  model.base = ModelVersion{from.Number("base")};
  model.strategy = from.Word("strategy");
  model.choice = from.Word("choice");
  model.examples = from.Number("examples");
  model.global = from.Metrics("global");
  model.personal = from.Metrics("personal");
  model.alpha = from.Real("alpha");
  model.generation = from.Number("generation");
  const nlohmann::json& lineage = from.List("lineage", PersonalModel::kAncestors);
  const nlohmann::json& tensors = from.List("tensors", limits::kTensors);
  if (!from.good() || !(model.alpha >= 0 && model.alpha <= 1)) return BadPersonal("a value is missing or out of bounds");
  for (const nlohmann::json& one : lineage) {
    PersonalReader ancestor(one);
    model.lineage.push_back({ModelVersion{ancestor.Number("base")}, ancestor.Word("choice"), ancestor.Real("global"),
                             ancestor.Real("personal")});
    if (!ancestor.good()) return BadPersonal("its lineage is wrong");
  }
  ByteView left = bytes.subspan(length + 1);
  std::set<std::string> names;
  for (const nlohmann::json& one : tensors) {
    ASSIGN_OR_RETURN(PersonalTensor tensor, ReadPersonalTensor(one));
    if (!names.insert(tensor.name + (tensor.in_model ? "\nmodel" : "\nstate")).second)
      return BadPersonal("a tensor stands twice");
    const auto size = ElementsOf({tensor.name, tensor.shape});
    if (!size || left.size() / sizeof(float) < *size) return BadPersonal("values are missing");
    ASSIGN_OR_RETURN(tensor.values, ToFloats(left.first(*size * sizeof(float)), *size));
    left = left.subspan(*size * sizeof(float));
    if (!std::ranges::all_of(tensor.values, [](float value) { return std::isfinite(value); }))
      return BadPersonal("a value is no finite number");
    model.tensors.push_back(std::move(tensor));
  }
  if (!left.empty()) return BadPersonal("values are left over");
  return model;
}

Status CheckPersonalModel(const PersonalModel& model, const TensorTable& table) {
  for (const TensorEntry& entry : table.tensors) {
    for (const PersonalTensor& tensor : model.tensors) {
      if (tensor.name == entry.name && tensor.shape != entry.shape)
        return Fail(Code::kWrongTensorCount, "the device's own tensor {} has another shape than the version's", entry.name);
    }
  }
  return {};
}

}  // namespace tributary
