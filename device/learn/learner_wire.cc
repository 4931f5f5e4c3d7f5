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
constexpr std::array<std::string_view, 3> kOrders = {"learn", "evaluate", "load"};
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
tl::unexpected<Error> CutOff() { return Wrong("the learner closed its end in the middle of a message"); }

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

std::vector<TaskOutput> TakeOutputs(Taker& from) {
  std::vector<TaskOutput> outputs;
  const Json& list = from.Value("outputs");
  if (!list.is_array() || list.size() > kFields) return from.Refuse("outputs"), outputs;
  for (const Json& one : list) {
    Taker output(one);
    const auto dtype = DTypeByName(output.Text("dtype"));
    const Json& shape = output.Value("shape");
    const bool whole = shape.is_array() && shape.size() <= limits::kTensorRank &&
                       std::ranges::all_of(shape, [](const Json& each) { return each.is_number_unsigned(); });
    if (!output.fault().empty() || !dtype || !whole) return from.Refuse("outputs"), outputs;
    outputs.push_back({output.Text("name"), *dtype, shape.get<std::vector<int64_t>>()});
  }
  return outputs;
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

Order TakeOrder(Taker& from, OrderKind kind) {
  Order order;
  order.kind = kind;
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
  if (const auto kind = std::ranges::find(kOrders, type); kind != kOrders.end())
    return TakeOrder(from, static_cast<OrderKind>(kind - kOrders.begin()));
  if (type == "loaded") return Loaded();
  if (type == "predict") return Predict{from.Number("count"), TakeFields(from)};
  if (type == "predicted") {
    return Predicted{static_cast<EvaluatedModel>(from.Word("model", kModels)), from.Number("count"),
                     from.Number("millis"), TakeOutputs(from)};
  }
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

// ExampleFields or TaskOutputs.
template <class Tensors>
Json Described(const Tensors& tensors) {
  Json list = Json::array();
  for (const auto& tensor : tensors)
    list.push_back({{"name", tensor.name}, {"dtype", DTypeName(tensor.dtype)}, {"shape", tensor.shape}});
  return list;
}

struct ToJson {
  Json operator()(const Hello& hello) const {
    return {{"type", "hello"}, {"protocol", hello.protocol}, {"formats", hello.formats}, {"program", hello.program}};
  }
  Json operator()(const Module&) const { return {{"type", "module"}}; }
  Json operator()(const Weights&) const { return {{"type", "weights"}}; }
  Json operator()(const Tensors&) const { return {{"type", "tensors"}}; }
  Json operator()(const ExampleSchema& schema) const {
    return {{"type", "examples"},
            {"share", kShares[static_cast<size_t>(schema.share)]},
            {"count", schema.count},
            {"fields", Described(schema.fields)}};
  }
  Json operator()(const ColumnPart& part) const {
    return {{"type", part.ends ? "ends" : "values"},
            {"share", kShares[static_cast<size_t>(part.share)]},
            {"field", part.field}};
  }
  Json operator()(Order order) const {
    return {{"type", kOrders[static_cast<size_t>(order.kind)]},
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
  Json operator()(const Loaded&) const { return {{"type", "loaded"}}; }
  Json operator()(const Predict& predict) const {
    return {{"type", "predict"}, {"count", predict.count}, {"fields", Described(predict.fields)}};
  }
  Json operator()(const Predicted& predicted) const {
    return {{"type", "predicted"},
            {"model", kModels[static_cast<size_t>(predicted.model)]},
            {"count", predicted.count},
            {"millis", predicted.millis},
            {"outputs", Described(predicted.outputs)}};
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
    if (wait_) RETURN_IF_ERROR(wait_());
    pollfd look{socket_, events, 0};
    if (poll(&look, 1, wait_ ? kLookMillis : -1) > 0) return {};
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

Status Channel::SendParts(const Message& message, std::span<const ByteView> parts) {
  size_t size = 0;
  for (const ByteView part : parts) size += part.size();
  std::string line = Encode({message, size});
  cut_off_ = true;
  if (size <= kReadBytes) {
    // Small ones go at once, or the other end wakes up for the line alone.
    for (const ByteView part : parts) line += AsText(part);
    RETURN_IF_ERROR(SendAll(AsBytes(line)));
  } else {
    RETURN_IF_ERROR(SendAll(AsBytes(line)));
    for (const ByteView part : parts) RETURN_IF_ERROR(SendAll(part));
  }
  cut_off_ = false;
  return {};
}

bool Channel::HasInput() const {
  if (used_ < filled_) return true;
  pollfd look{socket_, POLLIN, 0};
  return poll(&look, 1, 0) > 0;
}

Result<size_t> Channel::Take(MutableByteView into) {
  while (true) {
    const ssize_t got = recv(socket_, into.data(), into.size(), MSG_DONTWAIT);
    if (got > 0) return static_cast<size_t>(got);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      RETURN_IF_ERROR(AwaitSocket(POLLIN));
    } else if (got == 0 || errno != EINTR) {
      return Fail(Code::kLearnerCrashed, "the other end is closed");
    }
  }
}

Status Channel::Fill() {
  if (filled_ > used_) std::memmove(buffer_.data(), buffer_.data() + used_, filled_ - used_);
  filled_ -= std::exchange(used_, 0);
  if (buffer_.size() < filled_ + kReadBytes) buffer_.resize(filled_ + kReadBytes);
  const auto got = Take(MutableByteView(buffer_).subspan(filled_));
  if (got) return filled_ += *got, Status();
  return filled_ > 0 && got.error().code == Code::kLearnerCrashed ? CutOff() : Fail(got.error());
}

Result<Head> Channel::Receive() {
  size_t looked = 0;  // bytes that hold no newline
  while (true) {
    const std::string_view here = AsText(ByteView(buffer_).subspan(used_, filled_ - used_));
    const size_t newline = here.find('\n', looked);
    looked = std::min(newline, here.size());
    if (looked > kLineBytes)
      return Wrong(fmt::format("the learner sent a line of over {} bytes without an end", kLineBytes));
    if (newline != std::string_view::npos) {
      used_ += newline + 1;
      return Decode(here.substr(0, newline));
    }
    RETURN_IF_ERROR(Fill());
  }
}

Status Channel::ReceiveBytes(MutableByteView into) {
  while (!into.empty()) {
    size_t count = std::min(into.size(), filled_ - used_);
    if (count > 0) {
      if (count > 0) std::memcpy(into.data(), buffer_.data() + used_, count);
      used_ += count;
    } else {
      const auto got = Take(into);
      if (!got) return got.error().code == Code::kLearnerCrashed ? CutOff() : Fail(got.error());
      count = *got;
    }
    into = into.subspan(count);
  }
  return {};
}

}  // namespace tributary::learner
