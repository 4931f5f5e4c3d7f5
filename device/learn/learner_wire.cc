#include "device/learn/learner_wire.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include <nlohmann/json.hpp>

#include "protocol/base/json.h"
#include "protocol/base/limits.h"
#include "protocol/plan/field_json.h"

namespace tributary::learner {
namespace {

using Json = nlohmann::json;

constexpr int kLookMillis = 50;
constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kMetrics = 16;
constexpr size_t kFields = 256;
constexpr std::array<std::string_view, 2> kShares = {"training", "held_out"};
constexpr std::array<std::string_view, 3> kModels = {"", "global", "personal"};

// Takes values out of one message and remembers the first that is not right.
class Taker {
 public:
  explicit Taker(const Json& object) : object_(object) {}

  const Json& Value(const char* key) {
    static const Json kNothing;
    const auto found = object_.find(key);
    if (found == object_.end()) Refuse(key);
    return found == object_.end() ? kNothing : *found;
  }
  uint64_t Number(const char* key) {
    const Json& value = Value(key);
    if (!value.is_number_unsigned()) return Refuse(key), 0;
    return value.get<uint64_t>();
  }
  double Real(const char* key) {
    const Json& value = Value(key);
    if (!value.is_number()) return Refuse(key), 0;
    return value.get<double>();
  }
  std::string Text(const char* key) {
    const Json& value = Value(key);
    return value.is_string() ? value.get<std::string>() : (Refuse(key), "");
  }
  template <class T>
  T Id(const char* key) {
    auto id = T::Parse(Text(key));
    if (!id) Refuse(key);
    return id ? std::move(*id) : T();
  }
  // The place of the word in the list.
  template <size_t N>
  size_t Word(const char* key, const std::array<std::string_view, N>& words) {
    const auto found = std::ranges::find(words, Text(key));
    if (found == words.end()) Refuse(key);
    return found == words.end() ? 0 : static_cast<size_t>(found - words.begin());
  }
  void Refuse(const char* key) {
    if (fault_.empty()) fault_ = key;
  }
  const std::string& fault() const { return fault_; }

 private:
  const Json& object_;
  std::string fault_;
};

tl::unexpected<Error> Wrong(std::string_view what) { return Fail(Code::kLearnerProtocol, "{}", what); }

std::vector<ExampleField> TakeFields(Taker& from) {
  std::vector<ExampleField> fields;
  const Json& list = from.Value("fields");
  if (!list.is_array() || list.size() > kFields) return from.Refuse("fields"), fields;
  for (const Json& one : list) {
    Taker field(one);
    const auto dtype = DTypeByName(field.Text("dtype"));
    const Json& shape = field.Value("shape");
    const bool whole = shape.is_array() && shape.size() <= limits::kTensorRank &&
                       std::ranges::all_of(shape, [](const Json& each) { return each.is_number_integer(); });
    if (!field.fault().empty() || !dtype || !whole) return from.Refuse("fields"), fields;
    fields.push_back({field.Text("name"), *dtype, shape.get<std::vector<int64_t>>()});
    if (!CheckExampleField(fields.back())) return from.Refuse("fields"), fields;
  }
  return fields;
}

EvaluationResult TakeEvaluation(Taker& from) {
  EvaluationResult result{
      static_cast<EvaluatedModel>(from.Word("model", kModels)), from.Number("examples"), from.Number("millis"), {}};
  const Json& metrics = from.Value("metrics");
  const bool fine = metrics.is_object() && metrics.size() <= kMetrics && metrics.contains("loss");
  if (!fine || result.model == EvaluatedModel{}) return from.Refuse("metrics"), result;
  for (const auto& [name, value] : metrics.items()) {
    Taker one(value);
    const TaskMetric metric{one.Real("sum"), one.Real("weight")};
    const bool good = one.fault().empty() && CheckName(name, "metric") && std::isfinite(metric.sum) &&
                      std::isfinite(metric.weight) && metric.weight >= 0;
    if (!good) return from.Refuse("metrics"), result;
    result.metrics[name] = metric;
  }
  return result;
}

Order TakeOrder(Taker& from, bool evaluates) {
  Order order;
  order.evaluates = evaluates;
  order.task = from.Id<TaskId>("task");
  order.version = ModelVersion{from.Number("version")};
  order.device = from.Id<DeviceId>("device");
  order.parameters = from.Number("parameters");
  if (!FieldsFromText(from.Value("plan").dump(), "plan", FieldsOf(order.plan))) from.Refuse("plan");
  auto manifest = ParseTaskManifest(from.Value("manifest").dump());
  if (!manifest) return from.Refuse("manifest"), order;
  order.manifest = std::move(*manifest);
  return order;
}

Error TakeError(Taker& from) {
  const std::string name = from.Text("code");
  std::string text = from.Text("message");
  text.resize(std::min(text.size(), limits::kTroubleBytes));
  const auto code = CodeByName(name);
  if (!code) return {Code::kLearnerProtocol, "the learner answered an error with no code of ours: " + text};
  // A passing code would have the device ask it again for ever. What the data lack is passing too, and passes with them.
  if (IsTransient(*code) && KindOf(*code) != CodeKind::kPerson)
    return {Code::kLearnerProtocol, "the learner answered " + name + ", which is no learner's to say: " + text};
  return {*code, std::move(text)};
}

Message TakeMessage(Taker& from, const std::string& type) {
  if (type == "hello") {
    Hello hello{from.Number("protocol")};
    return hello;
  }
  if (type == "module") return Module();
  if (type == "weights") return Weights();
  if (type == "tensors") return Tensors();
  if (type == "examples") {
    return ExampleSchema{static_cast<Share>(from.Word("share", kShares)), from.Number("count"), TakeFields(from)};
  }
  if (type == "values" || type == "ends")
    return ColumnPart{static_cast<Share>(from.Word("share", kShares)), from.Text("field"), type == "ends"};
  if (type == "learn" || type == "evaluate") return TakeOrder(from, type == "evaluate");
  if (type == "personal") return Personal();
  if (type == "cancel") return Cancel();
  if (type == "bye") return Bye();
  if (type == "progress") return Progress{from.Number("steps"), from.Real("loss")};
  if (type == "evaluated") return TakeEvaluation(from);
  if (type == "learned") {
    return Done{from.Number("examples"), from.Real("loss"), from.Number("steps"), from.Number("millis"),
                from.Number("peak_memory_bytes")};
  }
  if (type == "error") return TakeError(from);
  from.Refuse("type");
  return Bye();
}

struct ToJson {
  Json operator()(const Hello& hello) const {
    return {{"type", "hello"}, {"protocol", hello.protocol}, {"formats", hello.formats}, {"program", hello.program}};
  }
  Json operator()(const Module&) const { return {{"type", "module"}}; }
  Json operator()(const Weights&) const { return {{"type", "weights"}}; }
  Json operator()(const Tensors&) const { return {{"type", "tensors"}}; }
  Json operator()(const ExampleSchema& schema) const {
    Json fields = Json::array();
    for (const ExampleField& field : schema.fields)
      fields.push_back({{"name", field.name}, {"dtype", DTypeName(field.dtype)}, {"shape", field.shape}});
    return {{"type", "examples"},
            {"share", kShares[static_cast<size_t>(schema.share)]},
            {"count", schema.count},
            {"fields", std::move(fields)}};
  }
  Json operator()(const ColumnPart& part) const {
    return {{"type", part.ends ? "ends" : "values"},
            {"share", kShares[static_cast<size_t>(part.share)]},
            {"field", part.field}};
  }
  Json operator()(Order order) const {
    return {{"type", order.evaluates ? "evaluate" : "learn"},
            {"task", order.task.text()},
            {"version", Number(order.version)},
            {"device", order.device.text()},
            {"plan", Json::parse(FieldsToText(FieldsOf(order.plan)))},
            {"manifest", Json::parse(TaskManifestText(order.manifest))},
            {"parameters", order.parameters}};
  }
  Json operator()(const Personal&) const { return {{"type", "personal"}}; }
  Json operator()(const Cancel&) const { return {{"type", "cancel"}}; }
  Json operator()(const Bye&) const { return {{"type", "bye"}}; }
  Json operator()(const Progress& progress) const {
    return {{"type", "progress"}, {"steps", progress.steps}, {"loss", progress.loss}};
  }
  Json operator()(const EvaluationResult& result) const {
    Json metrics = Json::object();
    for (const auto& [name, metric] : result.metrics) metrics[name] = {{"sum", metric.sum}, {"weight", metric.weight}};
    return {{"type", "evaluated"},
            {"model", kModels[static_cast<size_t>(result.model)]},
            {"examples", result.examples},
            {"millis", result.millis},
            {"metrics", std::move(metrics)}};
  }
  Json operator()(const Done& done) const {
    return {{"type", "learned"},   {"examples", done.examples}, {"loss", done.loss},
            {"steps", done.steps}, {"millis", done.millis},     {"peak_memory_bytes", done.peak_memory_bytes}};
  }
  Json operator()(const Error& error) const {
    return {{"type", "error"}, {"code", Name(error.code)}, {"message", error.message}};
  }
};

}  // namespace

std::string Encode(const Head& head) {
  Json line = std::visit(ToJson(), head.message);
  line["bytes"] = head.bytes;
  // A text that is no UTF-8, for instance a path in an error, is not worth the message.
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Head> Decode(std::string_view line) {
  const auto object = ParseJson(AsBytes(line), JsonForm::kAny);
  if (!object || !object->is_object()) {
    return Wrong("the learner sent a line that is no JSON object: " +
                 std::string(object ? "" : object.error().message));
  }
  Taker from(*object);
  const std::string type = from.Text("type");
  Head head{TakeMessage(from, type), from.Number("bytes")};
  if (!from.fault().empty()) {
    return Wrong(fmt::format("the learner sent a message '{}' whose '{}' is missing or wrong",
                             std::string_view(type).substr(0, 32), from.fault()));
  }
  return head;
}

std::string TensorsText(const TensorTable& table) {
  Json list = Json::array();
  for (const TensorEntry& tensor : table.tensors) list.push_back({{"name", tensor.name}, {"shape", tensor.shape}});
  return list.dump();
}

Result<TensorTable> ReadTensors(ByteView text) {
  const auto list = ParseJson(text, JsonForm::kAny);
  if (!list || !list->is_array() || list->size() > limits::kTensors) return Wrong("the tensors are no list");
  TensorTable table;
  for (const Json& one : *list) {
    Taker from(one);
    TensorEntry entry;
    entry.name = from.Text("name");
    const Json& shape = from.Value("shape");
    const bool whole = from.fault().empty() && shape.is_array() && shape.size() <= limits::kTensorRank &&
                       std::ranges::all_of(shape, [](const Json& each) { return each.is_number_integer(); });
    if (!whole) return Wrong("a tensor has no name or shape");
    entry.shape = shape.get<std::vector<int64_t>>();
    entry.offset = table.parameter_count();
    ASSIGN_OR_RETURN(entry.size, ElementsOf(entry));
    table.tensors.push_back(std::move(entry));
  }
  RETURN_IF_ERROR(CheckTensorTable(table));
  return table;
}

Status Channel::AwaitSocket(short events) {
  while (true) {
    RETURN_IF_ERROR(wait_());
    pollfd look{socket_, events, 0};
    if (poll(&look, 1, kLookMillis) > 0) return {};
  }
}

Status Channel::SendAll(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      RETURN_IF_ERROR(AwaitSocket(POLLOUT));
    } else if (errno != EINTR) {
      return Fail(Code::kLearnerCrashed, "the other end is closed");
    }
  }
  return {};
}

Status Channel::Send(const Message& message, ByteView bytes) {
  cut_off_ = true;
  RETURN_IF_ERROR(SendAll(AsBytes(Encode({message, bytes.size()}))));
  RETURN_IF_ERROR(SendAll(bytes));
  cut_off_ = false;
  return {};
}

bool Channel::HasInput() const {
  if (used_ < buffer_.size()) return true;
  pollfd look{socket_, POLLIN, 0};
  return poll(&look, 1, 0) > 0;
}

Status Channel::Fill() {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(used_));
  used_ = 0;
  const size_t had = buffer_.size();
  buffer_.resize(had + kReadBytes);
  while (true) {
    const ssize_t got = recv(socket_, buffer_.data() + had, kReadBytes, MSG_DONTWAIT);
    if (got > 0) return buffer_.resize(had + static_cast<size_t>(got)), Status();
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (const Status waited = AwaitSocket(POLLIN); !waited) return buffer_.resize(had), waited;
    } else if (got == 0 || errno != EINTR) {
      buffer_.resize(had);
      if (had > 0) return Wrong("the learner closed its end in the middle of a message");
      return Fail(Code::kLearnerCrashed, "the other end is closed");
    }
  }
}

Result<Head> Channel::Receive() {
  size_t looked = 0;  // bytes that hold no newline
  while (true) {
    const auto from = buffer_.begin() + static_cast<ptrdiff_t>(used_);
    const auto newline = std::find(from + static_cast<ptrdiff_t>(looked), buffer_.end(), '\n');
    looked = static_cast<size_t>(newline - from);
    if (looked > kLineBytes)
      return Wrong(fmt::format("the learner sent a line of over {} bytes without an end", kLineBytes));
    if (newline != buffer_.end()) {
      const std::string line(from, newline);
      used_ += looked + 1;
      return Decode(line);
    }
    RETURN_IF_ERROR(Fill());
  }
}

Status Channel::ReceiveBytes(MutableByteView into) {
  while (!into.empty()) {
    if (used_ == buffer_.size()) {
      if (const Status filled = Fill(); !filled) {
        if (filled.error().code == Code::kLearnerCrashed)
          return Wrong("the learner closed its end in the middle of a message");
        return filled;
      }
    }
    const size_t count = std::min(into.size(), buffer_.size() - used_);
    std::memcpy(into.data(), buffer_.data() + used_, count);
    used_ += count;
    into = into.subspan(count);
  }
  return {};
}

}  // namespace tributary::learner
