#include "device/learn/process_learner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "device/learn/learner_wire.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

using Steady = std::chrono::steady_clock;

// From cancel, or from the answer, to the end by force.
constexpr Millis kGrace{500};
// So long what a learner said before it closed its end is read: it may say more without end.
constexpr Millis kListenAfterEnd{300};
constexpr size_t kEvaluations = 16;
// Progress is worth a few lines a second, not a flood.
constexpr uint64_t kMostMessages = 1'000'000;

// One piece of work, asked of one process.
class Conversation {
 public:
  Conversation(LearnerChild& child, const LearnHooks& hooks, Millis wall)
      : child_(child), hooks_(hooks), end_(Steady::now() + wall), wall_(wall), channel_(child.socket(), [this] {
          return Wait();
        }) {}

  Result<Learned> Run(bool evaluates, const LearnOrder& order, const TaskExamples& examples) {
    RETURN_IF_ERROR(Greet());
    RETURN_IF_ERROR(SendWork(evaluates, order, examples));
    return Listen(evaluates, order, examples);
  }
  // Tells it to end, unless it is in the middle of a message.
  void Say(const learner::Message& last_word) {
    ending_ = true;
    if (!channel_.cut_off()) (void)channel_.Send(last_word);
  }
  // The learner's own words, when it closed its end while it was sent something.
  std::optional<Error> LastError() {
    ending_ = true;
    const auto until = Steady::now() + kListenAfterEnd;
    while (Steady::now() < until && !hooks_.cancelled()) {
      auto head = channel_.Receive();
      if (!head || head->bytes != 0) return std::nullopt;
      if (const auto* error = std::get_if<Error>(&head->message)) return *error;
    }
    return std::nullopt;
  }

 private:
  // While nothing comes. The process may have left children that hold its end open: all that it said is here when it
  // has ended and one more look finds nothing.
  Status Wait() {
    RETURN_IF_ERROR(Look());
    if (!child_.HasEnded()) return {};
    if (std::exchange(seen_ended_, true)) return Fail(Code::kLearnerCrashed, "it has ended");
    return {};
  }
  Status Look() {
    child_.ReadLog();
    if (ending_) return Fail(Code::kLearnerCrashed, "it does not listen any more");
    if (hooks_.cancelled()) return Fail(Code::kShuttingDown, "the work was cancelled");
    if (Steady::now() < end_) return {};
    return Fail(Code::kLearnerTimeout, "the learner had not finished after {} s", wall_.count() / 1000);
  }
  // A flood of messages never waits.
  Result<learner::Head> Next() {
    if (++messages_ > kMostMessages) return Fail(Code::kLearnerProtocol, "the learner sends messages without end");
    RETURN_IF_ERROR(Look());
    seen_ended_ = false;
    return channel_.Receive();
  }
  Status Greet();
  Status SendWork(bool evaluates, const LearnOrder& order, const TaskExamples& examples);
  Status SendShare(learner::Share share, const Examples& examples);
  Status SendColumn(learner::Share share, const ExampleColumn& column, const Examples& examples);
  Result<Learned> Listen(bool evaluates, const LearnOrder& order, const TaskExamples& examples);
  Result<Learned> Take(const learner::Done& done, uint64_t bytes, const LearnOrder& order, uint64_t examples);
  Result<PersonalModel> TakePersonal(uint64_t bytes, const LearnOrder& order);

  LearnerChild& child_;
  const LearnHooks& hooks_;
  Steady::time_point end_;
  Millis wall_;
  learner::Channel channel_;
  uint64_t messages_ = 0;
  bool ending_ = false;
  bool seen_ended_ = false;
};

Status Conversation::Greet() {
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

Status Conversation::SendWork(bool evaluates, const LearnOrder& order, const TaskExamples& examples) {
  const bool has_module = order.task.manifest.module != ModuleFormat::kNone;
  RETURN_IF_ERROR(channel_.Send(learner::Module(), has_module ? order.module : ByteView()));
  RETURN_IF_ERROR(channel_.Send(learner::Weights(), AsBytes(order.weights)));
  const std::string tensors = learner::TensorsText(order.task.table);
  RETURN_IF_ERROR(channel_.Send(learner::Tensors(), AsBytes(tensors)));
  if (order.personal) {
    const Bytes personal = EncodePersonalModel(*order.personal);
    RETURN_IF_ERROR(channel_.Send(learner::Personal(), personal));
  }
  if (!evaluates) RETURN_IF_ERROR(SendShare(learner::Share::kTraining, examples.training));
  if (examples.held_out.size() > 0) RETURN_IF_ERROR(SendShare(learner::Share::kHeldOut, examples.held_out));
  const PublishedTask& task = order.task;
  return channel_.Send(learner::Order{evaluates, task.id, task.latest, order.device, task.plan, task.manifest,
                                      task.table.parameter_count()});
}

Status Conversation::SendShare(learner::Share share, const Examples& examples) {
  learner::ExampleSchema schema{share, examples.size(), {}};
  for (const ExampleColumn& column : examples.set->columns) schema.fields.push_back(column.field);
  RETURN_IF_ERROR(channel_.Send(schema));
  for (const ExampleColumn& column : examples.set->columns) RETURN_IF_ERROR(SendColumn(share, column, examples));
  return {};
}

Status Conversation::SendColumn(learner::Share share, const ExampleColumn& column, const Examples& examples) {
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

Result<Learned> Conversation::Listen(bool evaluates, const LearnOrder& order, const TaskExamples& examples) {
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
      if (std::ranges::find(learned.evaluations, evaluated->model, &EvaluationResult::model) != learned.evaluations.end())
        return Fail(Code::kLearnerProtocol, "the learner evaluated one model twice");
      learned.evaluations.push_back(std::move(*evaluated));
      if (evaluates && learned.evaluations.size() == (order.personal ? 2u : 1u)) return learned;
    } else {
      return Fail(Code::kLearnerProtocol, "the learner sends a message that is not a learner's");
    }
  }
}

Result<PersonalModel> Conversation::TakePersonal(uint64_t bytes, const LearnOrder& order) {
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

Result<Learned> Conversation::Take(const learner::Done& done, uint64_t bytes, const LearnOrder& order,
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

}  // namespace

ProcessLearner::ProcessLearner(std::vector<std::string> command, LearnerLimits limits)
    : command_(std::move(command)), limits_(limits) {
  if (command_.empty()) command_ = {ProgramBeside("tributary-learner").string()};
}

Result<Learned> ProcessLearner::Ask(bool evaluates, const LearnOrder& order, const TaskExamples& examples,
                                    const LearnHooks& hooks) {
  ASSIGN_OR_RETURN(LearnerChild child, LearnerChild::Start(command_, limits_));
  Conversation conversation(child, hooks, limits_.wall);
  auto learned = conversation.Run(evaluates, order, examples);
  if (learned) {
    conversation.Say(learner::Bye());
    child.End(kGrace);
    return learned;
  }
  const Code code = learned.error().code;
  if (code == Code::kShuttingDown) {
    conversation.Say(learner::Cancel());
    child.End(kGrace);
    return learned;
  }
  // The other end is closed, in order or not: how the process ended says why. The process may have said it before.
  if (code == Code::kLearnerCrashed) {
    if (const auto own = conversation.LastError()) learned = Fail(*own);
    child.End(kGrace);
    return learned.error().code == Code::kLearnerCrashed ? Fail(child.WhyItEnded()) : learned;
  }
  child.End(Millis(0));
  return learned;
}

Result<Learned> ProcessLearner::Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) {
  if (examples.training.size() == 0)
    return Fail(Code::kInvalidArgument, order.device.text() + " has no examples to train on");
  return Ask(false, order, examples, hooks);
}

Result<std::vector<EvaluationResult>> ProcessLearner::Evaluate(const LearnOrder& order, const TaskExamples& examples,
                                                               const LearnHooks& hooks) {
  if (examples.held_out.size() == 0)
    return Fail(Code::kInvalidArgument, order.device.text() + " has no examples to evaluate on");
  ASSIGN_OR_RETURN(Learned learned, Ask(true, order, examples, hooks));
  return std::move(learned.evaluations);
}

}  // namespace tributary
