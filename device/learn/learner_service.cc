#include "device/learn/learner_service.h"

#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "device/learn/learner_wire.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr Millis kBetweenProgress{500};
constexpr size_t kTensorsBytes = 64 * limits::kMiB;

// The limit of the process's memory is a size from outside: it may stop any allocation.
template <class Work>
auto WithinMemory(Work work) -> decltype(work()) {
  try {
    auto result = work();
    if (!result && SpeaksOfMemory(result.error().message))
      return Fail(Code::kLearnerMemory, "{}", result.error().message);
    return result;
  } catch (const std::bad_alloc&) {
    return Fail(Code::kLearnerMemory, "the learner needed more memory than learner.memory_mib lets it have");
  }
}

// The frames of one piece of work, and the answers.
class Session {
 public:
  Session(int socket, Learner& learner, std::string program)
      : channel_(socket), learner_(learner), program_(std::move(program)) {}

  Status Run() {
    while (true) {
      ASSIGN_OR_RETURN(const learner::Head head, channel_.Receive());
      if (std::holds_alternative<learner::Bye>(head.message)) return {};
      RETURN_IF_ERROR(std::visit([&](const auto& message) { return On(message, head.bytes); }, head.message));
    }
  }

 private:
  Status On(const learner::Hello&, uint64_t) {
    return channel_.Send(learner::Hello{learner::kProtocol, {"torchscript"}, program_});
  }
  Status On(const learner::Module&, uint64_t bytes) { return Take(bytes, limits::kBlobBytes, module_); }
  Status On(const learner::Weights&, uint64_t bytes) {
    Bytes raw;
    RETURN_IF_ERROR(Take(bytes, limits::kParameters * sizeof(float), raw));
    ASSIGN_OR_RETURN(weights_, ToFloats(raw, raw.size() / sizeof(float)));
    return {};
  }
  Status On(const learner::Tensors&, uint64_t bytes) {
    Bytes text;
    RETURN_IF_ERROR(Take(bytes, kTensorsBytes, text));
    ASSIGN_OR_RETURN(table_, learner::ReadTensors(text));
    return {};
  }
  Status On(const learner::Personal&, uint64_t bytes) {
    Bytes raw;
    RETURN_IF_ERROR(Take(bytes, kPersonalModelBytes, raw));
    ASSIGN_OR_RETURN(personal_, DecodePersonalModel(raw));
    return {};
  }
  Status On(const learner::ExampleSchema& schema, uint64_t) {
    auto set = std::make_shared<ExampleSet>();
    set->count = schema.count;
    for (const ExampleField& field : schema.fields) set->columns.push_back({field, {}});
    ShareOf(schema.share) = std::move(set);
    return {};
  }
  Status On(const learner::ColumnPart& part, uint64_t bytes);
  Status On(const learner::Order& order, uint64_t);
  Status On(const learner::Predict& request, uint64_t bytes);
  Status On(const learner::Cancel&, uint64_t) { return {}; }  // of work that is done
  template <class Other>
  Status On(const Other&, uint64_t) {
    return Fail(Code::kLearnerProtocol, "an agent does not send this message");
  }

  Status Take(uint64_t bytes, uint64_t limit, Bytes& into) {
    if (bytes > limit) return Fail(Code::kTooLarge, "{} bytes in a message, at most {} may be", bytes, limit);
    into.resize(bytes);
    return channel_.ReceiveBytes(into);
  }
  std::shared_ptr<ExampleSet>& ShareOf(learner::Share share) {
    return share == learner::Share::kTraining ? training_ : held_out_;
  }
  static Result<Examples> Complete(const std::shared_ptr<ExampleSet>& set) {
    if (!set) return Examples{std::make_shared<ExampleSet>(), {}};
    RETURN_IF_ERROR(CheckExampleSet(*set));
    return Examples::All(set);
  }
  Status Answer(const Result<Learned>& learned);
  Status Load(const LearnOrder& order, const Examples& scaled_by);
  // All of the message's bytes are taken, also when they are not what the fields need. kMalformed.
  Result<ExampleSet> TakeRequest(const learner::Predict& request, uint64_t bytes);
  LearnHooks Hooks();

  learner::Channel channel_;
  Learner& learner_;
  const std::string program_;
  Bytes module_;
  std::vector<float> weights_;
  std::optional<PersonalModel> personal_;
  TensorTable table_;
  std::shared_ptr<ExampleSet> training_, held_out_;
  std::unique_ptr<LoadedModel> loaded_;
  uint64_t steps_ = 0;
};

Status Session::On(const learner::ColumnPart& part, uint64_t bytes) {
  const auto& set = ShareOf(part.share);
  auto* column = set ? const_cast<ExampleColumn*>(set->Find(part.field)) : nullptr;
  if (!column) return Fail(Code::kLearnerProtocol, "there is no field {}", part.field);
  Bytes raw;
  RETURN_IF_ERROR(Take(bytes, learner::kPartBytes, raw));
  if (!part.ends) {
    // All at once, or it grows to twice the size. The count is the sender's word, so it reserves no more than a gigabyte.
    if (column->values.empty() && !column->field.varies()) {
      const uint64_t example = column->field.elements() * SizeOf(column->field.dtype);
      if (set->count < uint64_t{1024} * limits::kMiB / example) column->values.reserve(set->count * example);
    }
    Append(column->values, raw);
    return {};
  }
  for (ByteView left = raw; !left.empty();) {
    ASSIGN_OR_RETURN(const uint64_t end, TakeU64(left));
    column->ends.push_back(end);
  }
  return {};
}

LearnHooks Session::Hooks() {
  return {
      .cancelled = [this] { return channel_.HasInput(); },  // while it works, only cancel or the end can come
      .progress =
          [this, last = std::optional<std::chrono::steady_clock::time_point>()](uint64_t steps, double loss) mutable {
            steps_ = steps;
            const auto now = std::chrono::steady_clock::now();
            if (last && now - *last < kBetweenProgress) return;
            last = now;
            (void)channel_.Send(learner::Progress{steps, loss});
          }};
}

Status Session::On(const learner::Order& order, uint64_t) {
  PublishedTask task;
  task.id = order.task;
  task.latest = order.version;
  task.table = table_;
  task.plan = order.plan;
  task.manifest = order.manifest;
  const auto training = Complete(training_);
  const auto held_out = Complete(held_out_);
  if (!training || !held_out) return channel_.Send(training ? held_out.error() : training.error());
  const TaskExamples examples{*training, *held_out};
  const LearnOrder work{task, order.device, module_, weights_, personal_ ? &*personal_ : nullptr};
  steps_ = 0;
  if (order.kind == learner::OrderKind::kLoad) return Load(work, examples.training);
  if (order.kind == learner::OrderKind::kLearn)
    return Answer(WithinMemory([&] { return learner_.Learn(work, examples, Hooks()); }));
  const auto evaluations = WithinMemory([&] { return learner_.Evaluate(work, examples, Hooks()); });
  if (!evaluations) return channel_.Send(evaluations.error());
  for (const EvaluationResult& evaluation : *evaluations) RETURN_IF_ERROR(channel_.Send(evaluation));
  return {};
}

Status Session::Load(const LearnOrder& order, const Examples& scaled_by) {
  auto loaded = WithinMemory([&] { return learner_.Load(order, scaled_by); });
  if (!loaded) return channel_.Send(loaded.error());
  loaded_ = std::move(*loaded);
  // The model has them.
  module_ = Bytes();
  weights_ = std::vector<float>();
  personal_.reset();
  training_.reset();
  return channel_.Send(learner::Loaded());
}

Result<ExampleSet> Session::TakeRequest(const learner::Predict& request, uint64_t bytes) {
  if (bytes > learner::kPredictionBytes)
    return Fail(Code::kTooLarge, "{} bytes to predict for, at most {} may be", bytes, learner::kPredictionBytes);
  ExampleSet set;
  set.count = request.count;
  bool fits = true;
  const auto take = [&](MutableByteView into) {
    bytes -= into.size();
    return channel_.ReceiveBytes(into);
  };
  for (const ExampleField& field : request.fields) {
    ExampleColumn& column = set.columns.emplace_back(ExampleColumn{field, {}});
    uint64_t elements = field.elements();
    if (fits && field.varies()) {
      fits = request.count <= bytes / sizeof(uint64_t);
      column.ends.resize(fits ? request.count : 0);
      RETURN_IF_ERROR(take({reinterpret_cast<uint8_t*>(column.ends.data()), column.ends.size() * sizeof(uint64_t)}));
      elements = column.ends.empty() ? 0 : column.ends.back();
    } else {
      fits = fits && request.count <= bytes / elements;
      elements *= request.count;
    }
    fits = fits && elements <= bytes / SizeOf(field.dtype);
    column.values.resize(fits ? elements * SizeOf(field.dtype) : 0);
    RETURN_IF_ERROR(take(column.values));
  }
  if (fits && bytes == 0) return set;
  Bytes rest(bytes);
  RETURN_IF_ERROR(take(rest));
  return Fail(Code::kBadExample, "the values to predict for do not fill their fields");
}

Status Session::On(const learner::Predict& message, uint64_t bytes) {
  const auto request = TakeRequest(message, bytes);
  if (!request && request.error().code != Code::kBadExample) return Fail(request.error());
  if (!request) return channel_.Send(request.error());
  if (!loaded_) return channel_.Send(Error{Code::kConflict, "no model is loaded to predict with"});
  const auto prediction = WithinMemory([&] { return loaded_->Predict(*request); });
  if (!prediction) return channel_.Send(prediction.error());
  learner::Predicted answer{prediction->model, request->count, prediction->millis, {}};
  std::vector<ByteView> parts;
  for (const OutputTensor& output : prediction->outputs) {
    answer.outputs.push_back(output.description);
    parts.push_back(output.values);
  }
  return channel_.SendParts(answer, parts);
}

Status Session::Answer(const Result<Learned>& learned) {
  if (!learned) return channel_.Send(learned.error());
  for (const EvaluationResult& evaluation : learned->evaluations) RETURN_IF_ERROR(channel_.Send(evaluation));
  if (learned->personal) {
    const Bytes personal = EncodePersonalModel(*learned->personal);
    RETURN_IF_ERROR(channel_.Send(learner::Personal(), personal));
  }
  const UpdateMeta& meta = learned->meta;
  return channel_.Send(
      learner::Done{meta.weight, meta.training_loss, steps_, meta.training_millis, meta.peak_memory_bytes},
      AsBytes(std::span<const float>(learned->delta)));
}

}  // namespace

Status ServeLearner(int socket, Learner& learner, const std::string& program) {
  const Status served = Session(socket, learner, program).Run();
  // The agent has what it wanted.
  if (!served && served.error().code == Code::kLearnerCrashed) return {};
  return served;
}

}  // namespace tributary
