#include "device/learn/learner_session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/ranges.h>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// So long what a learner said before it closed its end is read: it may say more without end.
constexpr Millis kListenAfterEnd{300};
constexpr size_t kEvaluations = 16;
// Progress is worth a few lines a second, not a flood.
constexpr uint64_t kMostMessages = 1'000'000;

template <class T>
bool AllFinite(ByteView values) {
  for (size_t at = 0; at < values.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, values.data() + at, sizeof(T));
    if (!std::isfinite(value)) return false;
  }
  return true;
}

bool ScalesByExamples(const TaskManifest& manifest) {
  return std::ranges::any_of(
      manifest.inputs, [](const TaskInput& input) { return input.scaling.kind == Scaling::Kind::kDeviceStandard; });
}

std::string OutputText(const TaskOutput& output) {
  return fmt::format("'{}' {} [{}]", output.name, DTypeName(output.dtype), fmt::join(output.shape, ", "));
}

// Whether an output is what the manifest declares. kLearnerProtocol.
Status CheckOutput(const TaskOutput& got, const TaskOutput& declared) {
  const bool any = declared.shape.empty();
  const bool fits = got.name == declared.name && got.dtype == declared.dtype &&
                    (any || std::ranges::equal(got.shape, declared.shape,
                                               [](int64_t has, int64_t asked) { return asked == -1 || has == asked; }));
  if (fits) return {};
  return Fail(Code::kLearnerProtocol, "the model gave the output {}, the task declares {}", OutputText(got),
              OutputText(declared));
}

// kTooLarge: over `left`, from which they are taken.
Result<uint64_t> BytesOf(const TaskOutput& output, uint64_t& left) {
  uint64_t bytes = SizeOf(output.dtype);
  bool none = false;
  for (const int64_t dimension : output.shape) none |= dimension == 0;
  if (none) return 0;
  for (const int64_t dimension : output.shape) {
    if (dimension < 0 || static_cast<uint64_t>(dimension) > left / bytes)
      return Fail(Code::kTooLarge, "the output {} is over {} bytes", OutputText(output), learner::kPredictionBytes);
    bytes *= static_cast<uint64_t>(dimension);
  }
  left -= bytes;
  return bytes;
}

}  // namespace

LearnerSession::LearnerSession(LearnerChild& child, LearnHooks hooks, Millis wall)
    : child_(child),
      hooks_(std::move(hooks)),
      end_(Steady::now() + wall),
      wall_(wall),
      channel_(child.socket(), [this] { return Wait(); }) {}

void LearnerSession::BeginWork(Millis wall) {
  wall_ = wall;
  end_ = Steady::now() + wall;
  messages_ = 0;
}

Result<Learned> LearnerSession::Run(bool evaluates, const LearnOrder& order, const TaskExamples& examples) {
  RETURN_IF_ERROR(Greet());
  RETURN_IF_ERROR(SendModel(order));
  if (!evaluates || ScalesByExamples(order.task.manifest))
    RETURN_IF_ERROR(SendShare(learner::Share::kTraining, examples.training));
  RETURN_IF_ERROR(SendShare(learner::Share::kHeldOut, examples.held_out));
  RETURN_IF_ERROR(SendOrder(evaluates ? learner::OrderKind::kEvaluate : learner::OrderKind::kLearn, order));
  return Listen(evaluates, order, examples);
}

Status LearnerSession::Load(const LearnOrder& order, const Examples& scaled_by) {
  RETURN_IF_ERROR(Greet());
  RETURN_IF_ERROR(SendModel(order));
  RETURN_IF_ERROR(SendShare(learner::Share::kTraining, scaled_by));
  RETURN_IF_ERROR(SendOrder(learner::OrderKind::kLoad, order));
  ASSIGN_OR_RETURN(const learner::Head head, Next());
  if (const auto* error = std::get_if<Error>(&head.message)) return Fail(*error);
  if (std::holds_alternative<learner::Loaded>(head.message) && head.bytes == 0) return {};
  return Fail(Code::kLearnerProtocol, "the learner did not answer that the model is loaded");
}

Result<Prediction> LearnerSession::Predict(const TaskManifest& manifest, const ExampleSet& request) {
  learner::Predict message{request.count, {}};
  std::vector<ByteView> parts;
  for (const ExampleColumn& column : request.columns) {
    message.fields.push_back(column.field);
    if (column.field.varies())
      parts.emplace_back(reinterpret_cast<const uint8_t*>(column.ends.data()), column.ends.size() * sizeof(uint64_t));
    parts.push_back(column.values);
  }
  said_itself_ = false;
  RETURN_IF_ERROR(channel_.SendParts(message, parts));
  ASSIGN_OR_RETURN(const learner::Head head, Next());
  if (const auto* error = std::get_if<Error>(&head.message)) {
    said_itself_ = head.bytes == 0;
    return Fail(*error);
  }
  const auto* predicted = std::get_if<learner::Predicted>(&head.message);
  if (!predicted) return Fail(Code::kLearnerProtocol, "the learner did not answer with predictions");
  if (predicted->count != request.count) {
    return Fail(Code::kWrongTensorCount, "the learner predicted for {} examples, it was given {}", predicted->count,
                request.count);
  }
  return TakeOutputs(manifest, *predicted, head.bytes);
}

Result<Prediction> LearnerSession::TakeOutputs(const TaskManifest& manifest, const learner::Predicted& predicted,
                                               uint64_t bytes) {
  if (predicted.outputs.empty() || (!manifest.outputs.empty() && predicted.outputs.size() != manifest.outputs.size())) {
    return Fail(Code::kWrongTensorCount, "the learner gave {} outputs, the task declares {}", predicted.outputs.size(),
                manifest.outputs.size());
  }
  Prediction prediction{.model = predicted.model, .millis = predicted.millis, .outputs = {}};
  uint64_t left = learner::kPredictionBytes;
  for (size_t i = 0; i < predicted.outputs.size(); ++i) {
    const TaskOutput& output = predicted.outputs[i];
    if (!manifest.outputs.empty()) RETURN_IF_ERROR(CheckOutput(output, manifest.outputs[i]));
    ASSIGN_OR_RETURN(const uint64_t size, BytesOf(output, left));
    prediction.outputs.push_back({output, Bytes(size)});
  }
  if (bytes != learner::kPredictionBytes - left) {
    return Fail(Code::kWrongTensorCount, "the learner answered {} bytes for outputs of {}", bytes,
                learner::kPredictionBytes - left);
  }
  for (OutputTensor& output : prediction.outputs) {
    RETURN_IF_ERROR(channel_.ReceiveBytes(output.values));
    const DType dtype = output.description.dtype;
    if ((dtype == DType::kFp32 && !AllFinite<float>(output.values)) ||
        (dtype == DType::kFp64 && !AllFinite<double>(output.values)))
      return Fail(Code::kNotFinite, "the output {} has a value that is no finite number", output.description.name);
  }
  return prediction;
}

void LearnerSession::Say(const learner::Message& last_word) {
  ending_ = true;
  if (!channel_.cut_off()) (void)channel_.Send(last_word);
}

std::optional<Error> LearnerSession::LastError() {
  ending_ = true;
  const auto until = Steady::now() + kListenAfterEnd;
  while (Steady::now() < until && !hooks_.cancelled()) {
    auto head = channel_.Receive();
    if (!head || head->bytes != 0) return std::nullopt;
    if (const auto* error = std::get_if<Error>(&head->message)) return *error;
  }
  return std::nullopt;
}

// The process may have left children that hold its end open: all that it said is here when it has ended and one more look
// finds nothing.
Status LearnerSession::Wait() {
  RETURN_IF_ERROR(Look());
  if (!child_.HasEnded()) return {};
  if (std::exchange(seen_ended_, true)) return Fail(Code::kLearnerCrashed, "it has ended");
  return {};
}

Status LearnerSession::Look() {
  child_.ReadLog();
  if (ending_) return Fail(Code::kLearnerCrashed, "it does not listen any more");
  if (hooks_.cancelled()) return Fail(Code::kShuttingDown, "the work was cancelled");
  if (Steady::now() < end_) return {};
  return Fail(Code::kLearnerTimeout, "the learner had not finished after {} s",
              static_cast<double>(wall_.count()) / 1000);
}

Result<learner::Head> LearnerSession::Next() {
  if (++messages_ > kMostMessages) return Fail(Code::kLearnerProtocol, "the learner sends messages without end");
  RETURN_IF_ERROR(Look());
  seen_ended_ = false;
  return channel_.Receive();
}

Status LearnerSession::Greet() {
  RETURN_IF_ERROR(channel_.Send(learner::Hello()));
  ASSIGN_OR_RETURN(const learner::Head head, Next());
  if (const auto* error = std::get_if<Error>(&head.message)) return Fail(*error);
  const auto* hello = std::get_if<learner::Hello>(&head.message);
  if (!hello || head.bytes != 0) return Fail(Code::kLearnerProtocol, "the learner did not begin with hello");
  if (hello->protocol != learner::kProtocol) {
    return Fail(Code::kLearnerProtocol, "the learner speaks protocol {}, this device {}", hello->protocol,
                learner::kProtocol);
  }
  return {};
}

Status LearnerSession::SendModel(const LearnOrder& order) {
  const bool has_module = order.task.manifest.module != ModuleFormat::kNone;
  RETURN_IF_ERROR(channel_.Send(learner::Module(), has_module ? order.module : ByteView()));
  RETURN_IF_ERROR(channel_.Send(learner::Weights(), AsBytes(order.weights)));
  const std::string tensors = learner::TensorsText(order.task.table);
  RETURN_IF_ERROR(channel_.Send(learner::Tensors(), AsBytes(tensors)));
  if (!order.personal) return {};
  const Bytes personal = EncodePersonalModel(*order.personal);
  return channel_.Send(learner::Personal(), personal);
}

Status LearnerSession::SendOrder(learner::OrderKind kind, const LearnOrder& order) {
  const PublishedTask& task = order.task;
  return channel_.Send(
      learner::Order{kind, task.id, task.latest, order.device, task.plan, task.manifest, task.table.parameter_count()});
}

Status LearnerSession::SendShare(learner::Share share, const Examples& examples) {
  if (examples.size() == 0) return {};
  learner::ExampleSchema schema{share, examples.size(), {}};
  for (const ExampleColumn& column : examples.set->columns) schema.fields.push_back(column.field);
  RETURN_IF_ERROR(channel_.Send(schema));
  for (const ExampleColumn& column : examples.set->columns) RETURN_IF_ERROR(SendColumn(share, column, examples));
  return {};
}

Status LearnerSession::SendColumn(learner::Share share, const ExampleColumn& column, const Examples& examples) {
  Bytes part;
  const auto send = [&](bool ends, bool all) -> Status {
    if (part.empty() || (!all && part.size() < learner::kPartBytes)) return {};
    RETURN_IF_ERROR(channel_.Send(learner::ColumnPart{share, column.field.name, ends}, part));
    part.clear();
    return {};
  };
  if (column.field.varies()) {
    uint64_t end = 0;
    for (const uint32_t index : examples.indices) {
      AppendU64(part, end += column.ElementsAt(index));
      RETURN_IF_ERROR(send(true, false));
    }
    RETURN_IF_ERROR(send(true, true));
  }
  for (const uint32_t index : examples.indices) {
    // One example may be larger than a part.
    for (ByteView left = column.At(index); !left.empty();) {
      const ByteView piece = left.first(std::min(left.size(), learner::kPartBytes - part.size()));
      Append(part, piece);
      left = left.subspan(piece.size());
      RETURN_IF_ERROR(send(false, false));
    }
  }
  return send(false, true);
}

Result<Learned> LearnerSession::Listen(bool evaluates, const LearnOrder& order, const TaskExamples& examples) {
  Learned learned;
  while (true) {
    ASSIGN_OR_RETURN(learner::Head head, Next());
    const auto* done = std::get_if<learner::Done>(&head.message);
    if (done && !evaluates) {
      ASSIGN_OR_RETURN(Learned taken, Take(*done, head.bytes, order, examples.training.size()));
      taken.evaluations = std::move(learned.evaluations);
      taken.personal = std::move(learned.personal);
      return taken;
    }
    if (std::holds_alternative<learner::Personal>(head.message) && !evaluates) {
      ASSIGN_OR_RETURN(learned.personal, TakePersonal(head.bytes, order));
      continue;
    }
    if (head.bytes != 0) return Fail(Code::kLearnerProtocol, "the learner sends {} bytes unasked", head.bytes);
    if (const auto* error = std::get_if<Error>(&head.message)) return Fail(*error);
    if (const auto* progress = std::get_if<learner::Progress>(&head.message)) {
      hooks_.progress(progress->steps, progress->loss);
    } else if (auto* evaluated = std::get_if<EvaluationResult>(&head.message)) {
      if (evaluated->examples > examples.held_out.size() || learned.evaluations.size() == kEvaluations)
        return Fail(Code::kLearnerProtocol, "the learner evaluated more than it was given");
      if (std::ranges::find(learned.evaluations, evaluated->model, &EvaluationResult::model) !=
          learned.evaluations.end())
        return Fail(Code::kLearnerProtocol, "the learner evaluated one model twice");
      learned.evaluations.push_back(std::move(*evaluated));
      if (evaluates && learned.evaluations.size() == (order.personal ? 2u : 1u)) return learned;
    } else {
      return Fail(Code::kLearnerProtocol, "the learner sends a message that is not a learner's");
    }
  }
}

Result<PersonalModel> LearnerSession::TakePersonal(uint64_t bytes, const LearnOrder& order) {
  // Two whole models, with what does not travel, which lies in the module.
  const uint64_t most = limits::kMiB + 4 * (order.weights.size_bytes() + order.module.size());
  if (bytes > std::min(most, kPersonalModelBytes))
    return Fail(Code::kLearnerProtocol, "the learner answered a personal model of {} bytes", bytes);
  Bytes raw(bytes);
  RETURN_IF_ERROR(channel_.ReceiveBytes(raw));
  auto personal = DecodePersonalModel(raw);
  if (personal && personal->task == order.task.id && personal->base == order.task.latest) {
    if (CheckPersonalModel(*personal, order.task.table)) return personal;
  }
  return Fail(Code::kLearnerProtocol, "the learner answered a personal model that is not of this version: {}",
              personal ? "its task, version or shapes are others" : personal.error().message);
}

Result<Learned> LearnerSession::Take(const learner::Done& done, uint64_t bytes, const LearnOrder& order,
                                     uint64_t examples) {
  const uint64_t parameters = order.task.table.parameter_count();
  if (bytes != parameters * sizeof(float)) {
    return Fail(Code::kWrongTensorCount, "the learner answered {} bytes for a model of {} values of 4 bytes", bytes,
                parameters);
  }
  if (done.examples == 0 || done.examples > examples)
    return Fail(Code::kLearnerProtocol, "the learner claims {} examples, it was given {}", done.examples, examples);
  Learned learned;
  learned.meta = {done.examples, parameters, done.loss, done.millis, done.peak_memory_bytes};
  learned.delta.resize(parameters);
  RETURN_IF_ERROR(
      channel_.ReceiveBytes({reinterpret_cast<uint8_t*>(learned.delta.data()), learned.delta.size() * sizeof(float)}));
  const auto bad = std::ranges::find_if_not(learned.delta, [](float value) { return std::isfinite(value); });
  if (bad != learned.delta.end()) {
    return Fail(Code::kNotFinite, "value {} of what the learner answered is no finite number",
                bad - learned.delta.begin());
  }
  return learned;
}

}  // namespace tributary
