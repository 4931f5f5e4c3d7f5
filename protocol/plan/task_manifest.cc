#include "protocol/plan/task_manifest.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "protocol/base/ids.h"
#include "protocol/base/json.h"
#include "protocol/base/limits.h"
#include "protocol/base/plain_text.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "tributary-task-1";
constexpr size_t kMostTensors = 64;    // inputs, or outputs
constexpr size_t kMostPatterns = 256;  // of one role
constexpr size_t kMostMetrics = 16;
constexpr size_t kMostClasses = 4096;
constexpr size_t kNameBytes = 64;
constexpr size_t kTextBytes = 4096;
constexpr std::string_view kRoles[] = {"feature", "target", "weight"};
constexpr std::string_view kScalings[] = {"none", "constant", "device-standard"};
constexpr std::string_view kModules[] = {"torchscript", "none"};
constexpr std::string_view kDirections[] = {"smaller", "larger"};

// One object of the text. Each key is taken once; Finish() refuses those that nobody took. The first fault is kept, and
// what is taken after it is the default.
class Reader {
 public:
  Reader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) Fault("", "must be an object");
  }

  bool Has(const char* key) const { return object_.is_object() && object_.contains(key); }

  const json* Take(const char* key) {
    taken_.insert(key);
    if (!status_ || !Has(key)) return nullptr;
    return &object_[key];
  }

  std::string Text(const char* key, std::string otherwise, size_t most) {
    const json* value = Take(key);
    if (!value) return otherwise;
    if (!value->is_string()) return Fault(key, "must be a string"), otherwise;
    const std::string& text = value->get_ref<const std::string&>();
    if (text.size() > most) return Fault(key, fmt::format("is over {} bytes", most)), otherwise;
    std::string on_one_line = text;
    std::ranges::replace(on_one_line, '\n', ' ');
    if (const Status plain = CheckPlainText(on_one_line, "it"); !plain)
      return Fault(key, "holds a control character, or another that does not print"), otherwise;
    return text;
  }

  double Number(const char* key, double otherwise) {
    const json* value = Take(key);
    if (!value) return otherwise;
    if (!value->is_number() || !std::isfinite(value->get<double>())) return Fault(key, "must be a number"), otherwise;
    return value->get<double>();
  }

  template <size_t kCount>
  size_t OneOf(const char* key, const std::string_view (&names)[kCount], size_t otherwise) {
    const std::string text = Text(key, std::string(names[otherwise]), kNameBytes);
    const auto* found = std::ranges::find(names, text);
    if (found != std::end(names)) return static_cast<size_t>(found - names);
    Fault(key, fmt::format("must be one of {}, not '{}'", fmt::join(names, ", "), text));
    return otherwise;
  }

  std::vector<std::string> Texts(const char* key, size_t most) {
    const json* value = Take(key);
    if (!value || !IsList(key, *value, most)) return {};
    std::vector<std::string> texts;
    for (const json& text : *value) {
      if (!text.is_string() || text.get_ref<const std::string&>().size() > limits::kTensorNameBytes)
        return Fault(key, "must hold strings"), texts;
      texts.push_back(text.get<std::string>());
    }
    return texts;
  }

  bool IsList(const char* key, const json& value, size_t most) {
    if (!value.is_array()) return Fault(key, "must be a list"), false;
    if (value.size() > most) return Fault(key, fmt::format("has {} entries, at most {} may stand there", value.size(), most)), false;
    return true;
  }

  void Fault(std::string_view key, std::string_view what) {
    if (!status_) return;
    status_ = Fail(Code::kInvalidArgument, "{}: {}{}{} {}", kManifestFile, where_, where_.empty() || key.empty() ? "" : ".",
                   key, what);
  }
  // Takes over the fault of a part.
  void Join(const Status& part) {
    if (status_ && !part) status_ = part;
  }

  Status Finish() {
    if (!status_) return status_;
    for (const auto& [key, value] : object_.items()) {
      if (!taken_.contains(key))
        Fault(key.substr(0, kNameBytes), fmt::format("is not a key that is known here; there are {}", fmt::join(taken_, ", ")));
    }
    return status_;
  }

 private:
  const json& object_;
  std::string where_;  // "inputs[1]"; empty: the whole file
  std::set<std::string, std::less<>> taken_;
  Status status_;
};

// [-1, 24]: the batch first.
std::vector<int64_t> ReadShape(Reader& from, const char* key, bool is_input) {
  std::vector<int64_t> shape;
  const json* value = from.Take(key);
  if (!value) return shape;
  if (!from.IsList(key, *value, limits::kTensorRank)) return shape;
  for (const json& dimension : *value) {
    if (!dimension.is_number_integer() || dimension.get<int64_t>() == 0 || dimension.get<int64_t>() < -1 ||
        dimension.get<int64_t>() > (int64_t{1} << 31)) {
      return from.Fault(key, "must hold whole numbers from 1 to 2^31, or -1"), shape;
    }
    shape.push_back(dimension.get<int64_t>());
  }
  if (is_input && (shape.empty() || shape[0] != -1))
    from.Fault(key, "must begin with -1, which stands for the examples of a batch");
  if (is_input && std::ranges::count(shape, -1) > 2) from.Fault(key, "may have one length that varies, beside the batch");
  return shape;
}

DType ReadDType(Reader& from, const char* key) {
  const auto dtype = DTypeByName(from.Text(key, "FP32", kNameBytes));
  if (!dtype) from.Fault(key, dtype.error().message);
  return dtype.value_or(DType::kFp32);
}

// Printed, and compared with arguments of Python and names of fields.
bool IsWord(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char letter) {
    return std::isalnum(letter) || letter == '_' || letter == '.' || letter == '-';
  });
}

std::string ReadName(Reader& from, const char* key, std::string otherwise = "") {
  std::string name = from.Text(key, std::move(otherwise), kNameBytes);
  if (!IsWord(name)) from.Fault(key, name.empty() ? "is missing" : "may have letters, digits, '_', '.' and '-'");
  return name;
}

bool FitsFloat(double value) { return std::abs(value) <= std::numeric_limits<float>::max(); }

Scaling ReadScaling(Reader& from, const std::string& where) {
  Scaling to;
  const json* value = from.Take("scale");
  if (!value) return to;
  Reader reader(*value, where + ".scale");
  to.kind = static_cast<Scaling::Kind>(reader.OneOf("kind", kScalings, 0));
  to.mean = reader.Number("mean", 0);
  to.std = reader.Number("std", 1);
  if (!(to.std >= std::numeric_limits<float>::min() && FitsFloat(to.std)) || !FitsFloat(to.mean))
    reader.Fault("std", "and mean must be numbers of 32 bits, and std above 0");
  if (to.kind != Scaling::Kind::kConstant && (reader.Has("mean") || reader.Has("std")))
    reader.Fault("kind", "must be constant, where mean or std stand");
  from.Join(reader.Finish());
  return to;
}

TaskInput ReadInput(Reader& from, const std::string& where) {
  TaskInput to;
  to.name = ReadName(from, "name");
  to.dtype = ReadDType(from, "dtype");
  to.shape = ReadShape(from, "shape", /*is_input=*/true);
  to.role = static_cast<TaskInput::Role>(from.OneOf("role", kRoles, 0));
  to.field = ReadName(from, "field", to.name);
  to.scaling = ReadScaling(from, where);
  to.pad = from.Number("pad", 0);
  to.categories = from.Texts("categories", kMostClasses);
  if (std::set(to.categories.begin(), to.categories.end()).size() != to.categories.size())
    from.Fault("categories", "holds a text twice");
  const bool real = to.dtype == DType::kFp32 || to.dtype == DType::kFp64;
  if (!real && to.scaling.kind != Scaling::Kind::kNone) from.Fault("scale", "needs an input of dtype FP32 or FP64");
  if (!FitsFloat(to.pad)) from.Fault("pad", "must be a number of 32 bits");
  if (!real && !(to.pad == std::floor(to.pad) && std::abs(to.pad) <= 1e9))
    from.Fault("pad", "must be a whole number, at most 1000000000 from 0");
  return to;
}

TaskOutput ReadOutput(Reader& from, const std::string&) {
  return {ReadName(from, "name"), ReadDType(from, "dtype"), ReadShape(from, "shape", /*is_input=*/false)};
}

template <class T, class ReadOne>
std::vector<T> ReadList(Reader& from, const char* key, ReadOne read_one) {
  std::vector<T> list;
  const json* value = from.Take(key);
  if (!value || !from.IsList(key, *value, kMostTensors)) return list;
  for (const json& one : *value) {
    const std::string where = fmt::format("{}[{}]", key, list.size());
    Reader reader(one, where);
    T read = read_one(reader, where);
    if (std::ranges::find(list, read.name, &T::name) != list.end()) reader.Fault("name", "stands twice");
    list.push_back(std::move(read));
    from.Join(reader.Finish());
  }
  return list;
}

void ReadMetrics(Reader& from, std::map<std::string, MetricDirection>& to) {
  const json* value = from.Take("metrics");
  if (!value) return;
  if (value->size() > kMostMetrics) return from.Fault("metrics", fmt::format("are over {}", kMostMetrics));
  Reader reader(*value, "metrics");
  if (value->is_object()) {
    for (const auto& [name, direction] : value->items()) {
      if (!CheckName(name, "metric")) reader.Fault(name.substr(0, kNameBytes), "must be 1 to 64 of a-z, 0-9, '.', '_', '-'");
      to[name] = static_cast<MetricDirection>(reader.OneOf(name.c_str(), kDirections, 0));
    }
  }
  from.Join(reader.Finish());
}

void ReadTensors(Reader& from, TaskManifest& to) {
  const json* value = from.Take("tensors");
  if (!value) return;
  Reader reader(*value, "tensors");
  to.frozen = reader.Texts("frozen", kMostPatterns);
  to.personal = reader.Texts("personal", kMostPatterns);
  to.local = reader.Texts("local", kMostPatterns);
  from.Join(reader.Finish());
}

void ReadGolden(Reader& from, TaskManifest& to) {
  const json* value = from.Take("golden");
  if (!value) return;
  Reader reader(*value, "golden");
  for (const char* part : {"inputs", "outputs"}) {
    const json* tensors = reader.Take(part);
    if (tensors && !tensors->is_object()) reader.Fault(part, "must be an object");
  }
  if (!(reader.Number("tolerance", 1e-5) >= 0)) reader.Fault("tolerance", "must be at least 0");
  from.Join(reader.Finish());
  to.golden = value->dump();
}

// An object that leaves out what is the default.
class Writer {
 public:
  template <class T>
  void Put(const char* key, const T& value, const T& otherwise = T()) {
    if (value != otherwise) object[key] = value;
  }
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
};

nlohmann::ordered_json JsonOf(const TaskInput& input) {
  Writer to;
  to.object = {{"name", input.name}, {"dtype", DTypeName(input.dtype)}};
  if (!input.shape.empty()) to.object["shape"] = input.shape;
  if (input.role != TaskInput::Role::kFeature) to.object["role"] = kRoles[static_cast<size_t>(input.role)];
  to.Put("field", input.field, input.name);
  if (input.scaling.kind != Scaling::Kind::kNone) {
    to.object["scale"] = {{"kind", kScalings[static_cast<size_t>(input.scaling.kind)]}};
    if (input.scaling.kind == Scaling::Kind::kConstant)
      to.object["scale"].update({{"mean", input.scaling.mean}, {"std", input.scaling.std}});
  }
  to.Put("pad", input.pad);
  to.Put("categories", input.categories);
  return to.object;
}

nlohmann::ordered_json JsonOf(const TaskOutput& output) {
  Writer to;
  to.object = {{"name", output.name}, {"dtype", DTypeName(output.dtype)}};
  if (!output.shape.empty()) to.object["shape"] = output.shape;
  return to.object;
}

template <class T>
void PutList(Writer& to, const char* key, const std::vector<T>& list) {
  for (const T& one : list) to.object[key].push_back(JsonOf(one));
}

}  // namespace

const TaskInput* TaskManifest::Find(std::string_view input) const {
  const auto found = std::ranges::find(inputs, input, &TaskInput::name);
  return found == inputs.end() ? nullptr : &*found;
}

Result<TaskManifest> ParseTaskManifest(std::string_view text) {
  if (text.size() > kManifestBytes)
    return Fail(Code::kTooLarge, "{} has {} bytes, at most {} are allowed", kManifestFile, text.size(), kManifestBytes);
  const auto object = ParseJson(AsBytes(text), JsonForm::kAny);
  if (!object) return Fail(Code::kInvalidArgument, "{}: {}", kManifestFile, object.error().message);
  Reader reader(*object, "");
  const std::string format = reader.Text("format", "", kNameBytes);
  if (format != kFormat) reader.Fault("format", fmt::format("must be \"{}\", not \"{}\"", kFormat, format));
  TaskManifest to;
  to.module = static_cast<ModuleFormat>(reader.OneOf("module", kModules, 0));
  to.collection = reader.Text("collection", to.collection, kNameBytes);
  if (!CheckName(to.collection, "collection"))
    reader.Fault("collection", "must be 1 to 64 of a-z, 0-9, '.', '_', '-'");
  const double min_examples = reader.Number("min_examples", 1);
  if (!(min_examples >= 1 && min_examples <= 1e9 && min_examples == std::floor(min_examples)))
    reader.Fault("min_examples", "must be a whole number from 1 to 1000000000");
  else
    to.min_examples = static_cast<uint64_t>(min_examples);
  to.inputs = ReadList<TaskInput>(reader, "inputs", ReadInput);
  if (to.inputs.empty()) reader.Fault("inputs", "must name at least one tensor");
  for (TaskInput& input : to.inputs) {
    const auto first = std::ranges::find(to.inputs, input.field, &TaskInput::field);
    if (first->categories != input.categories)
      reader.Fault("inputs", fmt::format("must give the field {} the same categories at every input", input.field));
  }
  to.outputs = ReadList<TaskOutput>(reader, "outputs", ReadOutput);
  to.classes = reader.Texts("classes", kMostClasses);
  ReadTensors(reader, to);
  ReadMetrics(reader, to.metrics);
  ReadGolden(reader, to);
  to.description = reader.Text("description", "", kTextBytes);
  to.license = reader.Text("license", "", kTextBytes);
  RETURN_IF_ERROR(reader.Finish());
  return to;
}

std::string TaskManifestText(const TaskManifest& manifest) {
  Writer to;
  to.object["format"] = kFormat;
  if (manifest.module != ModuleFormat::kTorchScript) to.object["module"] = kModules[static_cast<size_t>(manifest.module)];
  to.Put("collection", manifest.collection, TaskManifest().collection);
  to.Put("min_examples", manifest.min_examples, uint64_t{1});
  PutList(to, "inputs", manifest.inputs);
  PutList(to, "outputs", manifest.outputs);
  to.Put("classes", manifest.classes);
  Writer tensors;
  tensors.Put("frozen", manifest.frozen);
  tensors.Put("personal", manifest.personal);
  tensors.Put("local", manifest.local);
  if (!tensors.object.empty()) to.object["tensors"] = tensors.object;
  for (const auto& [name, direction] : manifest.metrics)
    to.object["metrics"][name] = kDirections[static_cast<size_t>(direction)];
  if (!manifest.golden.empty()) to.object["golden"] = nlohmann::ordered_json::parse(manifest.golden, nullptr, false);
  to.Put("description", manifest.description);
  to.Put("license", manifest.license);
  return to.object.dump();
}

std::string CarriedText(const TaskManifest& manifest) {
  return manifest == ManifestOfImages() ? "" : TaskManifestText(manifest);
}

Result<TaskManifest> FromCarriedText(std::string_view text) {
  if (text.empty()) return ManifestOfImages();
  return ParseTaskManifest(text);
}

TaskManifest ManifestOfImages() {
  TaskInput image;
  image.name = "x";
  image.field = "image";
  image.scaling = {.kind = Scaling::Kind::kConstant, .mean = 0, .std = 255};
  TaskInput label;
  label.name = label.field = "label";
  label.dtype = DType::kInt64;
  label.role = TaskInput::Role::kTarget;
  TaskManifest to;
  to.inputs = {std::move(image), std::move(label)};
  return to;
}

bool MatchesPattern(std::string_view pattern, std::string_view name) {
  // The classic two pointers: on a mismatch the last star takes one character more.
  size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  return std::ranges::all_of(pattern.substr(p), [](char c) { return c == '*'; });
}

}  // namespace tributary
