#include "device/agent/workshop.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "protocol/base/log.h"
#include "protocol/catalogue/shared_tensors.h"
#include "protocol/payload/bounds.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/update_codec.h"
#include "protocol/payload/version_codec.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// How the task's updates travel: in the first codec of its plan that this build knows. What a module measured of the
// data travels as float32, since a variance must not be rounded below 0. kUnknownCodec: the plan has none for it.
Result<UpdateFormat> FormatFor(const PublishedTask& task) {
  ASSIGN_OR_RETURN(const Codec codec, FirstKnown(task.plan.update_codec));
  UpdateFormat format(codec, StatisticsOf(SharedTensors(task).table()));
  if (!IsLinear(codec)) return format;
  if (!task.round) return Fail(Code::kRoundClosed, "{} needs an open round", CodecName(codec));
  format.linear = {LinearSeed(task.id, task.latest), task.round->linear_step, task.value_bound, task.norm_bound};
  return format;
}

// Values within the bounds of an update. The rest waits in the residual: what was left out of many updates may be more
// than one may bring.
std::vector<float> Within(std::vector<float> values, const PublishedTask& task) {
  const float bound = FloatBound(task.value_bound);
  SquareLanes squares{};
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = std::clamp(values[i], -bound, bound);
    squares[i % kSquareLanes] += double{values[i]} * double{values[i]};
  }
  const double norm = Norm(squares);
  if (norm <= task.norm_bound) return values;
  constexpr double kBelow = 1 - 1e-6;  // rounding may lift it
  for (float& value : values) value = static_cast<float>(value * (kBelow * task.norm_bound / norm));
  return values;
}

// An evaluation that is made again after a kill has the same id, so that the outbox and everybody above know it. With
// another sealing key it is another upload: one that was refused for its key must not stand in its way. So it is when the
// device was asked again: the first may be lost.
UploadId EvaluationId(const UploadSubject& subject, ByteView sealing_key) {
  const Digest digest = Sha256(AsBytes(fmt::format(
      "tributary evaluation/{}/{}/{}/{}{}", subject.device.text(), subject.task.text(), Number(subject.base_version),
      ToHex(sealing_key), subject.ask == 0 ? "" : fmt::format("/{}", subject.ask))));
  UploadId id;
  std::ranges::copy(digest.view().first(UploadId::kSize), id.mutable_view().begin());
  return id;
}

// "loss 0.31 over 1000 examples; global accuracy 0.61, loss 0.4; personal accuracy 0.7, loss 0.3"
std::string Measured(const Workshop::Made& made, const std::vector<EvaluationResult>& evaluations) {
  std::string text = fmt::format("loss {:.6g} over {} examples", made.loss, made.examples);
  for (const EvaluationResult& result : evaluations) {
    text += result.model == EvaluatedModel::kPersonal ? "; personal" : "; global";
    for (const auto& [name, metric] : result.metrics) {
      if (metric.weight > 0) text += fmt::format("{}{} {:.6g}", text.back() == 'l' ? " " : ", ", name, metric.mean());
    }
  }
  return text;
}

}  // namespace

// Seals payloads of this device. A renewal may change the certificate meanwhile: the chain is its own.
struct Workshop::Sealer {
  SealingTarget target;
  DeviceId device;
  std::vector<Bytes> chain;
  const SigningKey& key;
  const Clock& clock;
  Random& random;
  uint32_t chunk_bytes;

  // `subject` says what it is; the rest is filled in.
  Result<std::shared_ptr<const SealedUpload>> Seal(UploadSubject subject, ByteView plaintext) const;
};

Result<std::shared_ptr<const SealedUpload>> Workshop::Sealer::Seal(UploadSubject subject, ByteView plaintext) const {
  subject.device = device;
  subject.created = clock.Now();
  if (subject.kind == UploadKind::kEvaluation) {
    subject.id = EvaluationId(subject, target.public_key);
  } else {
    random.Fill(subject.id.mutable_view());
  }
  ASSIGN_OR_RETURN(auto sealed, SealUpload(subject, plaintext, chunk_bytes, target, key, chain));
  return std::make_shared<const SealedUpload>(std::move(sealed));
}

Workshop::Sealer Workshop::SealerFor(const SealingTarget& target) const {
  const Identity& identity = parts_.identity;
  return {target, identity.subject.id, identity.chain, identity.key, parts_.clock, parts_.random, chunk_bytes_};
}

// It may outlive the workshop: blobs and stores are its own.
struct Workshop::Job {
  WorkOrder order;
  Sealer sealer;
  std::stop_token stop;
  std::stop_token end;  // of the workshop
  BlobStore blobs;
  Learner& learner;
  ExampleSource& examples;
  ResidualStore residuals;
  PersonalStore personal;
  std::function<void()> loaded;
  std::function<bool()> may_train;

  bool cancelled() const { return stop.stop_requested() || end.stop_requested() || !may_train(); }
  Result<std::shared_ptr<const SealedUpload>> Seal(UploadKind kind, Codec codec, Priority priority,
                                                   ByteView plaintext) const {
    return sealer.Seal({.kind = kind,
                        .task = order.task.id,
                        .base_version = order.progress.version,
                        .priority = priority,
                        .codec = codec,
                        .ask = order.progress.ask},
                       plaintext);
  }
  struct Work {
    uint64_t generation = 0;  // of the examples when they were loaded
    std::vector<EvaluationResult> evaluations;
    std::optional<Learned> learned;
  };
  // The one that a fit on examples of this generation begins with.
  Result<std::optional<PersonalModel>> Personal(uint64_t generation) const;
  Result<Work> DoOnce() const;
  Result<Work> DoWork() const;
  // Of examples of this generation.
  Result<Bytes> Encode(const UpdateFormat& format, const Learned& learned, uint64_t generation) const;
  Result<Made> Do() const;
};

Result<std::optional<PersonalModel>> Workshop::Job::Personal(uint64_t generation) const {
  ASSIGN_OR_RETURN(auto own, personal.Load(order.task.id));
  if (!own || own->generation != generation) return std::nullopt;
  if (const Status fits = CheckPersonalModel(*own, order.task.table); !fits) {
    LogFailure(LogLevel::kError, "personal.not_used", fits.error(), {{"task", order.task.id.text()}});
    return std::nullopt;
  }
  return own;
}

Result<Workshop::Job::Work> Workshop::Job::DoOnce() const {
  if (cancelled()) return Fail(Code::kShuttingDown, "not wanted any more");
  const PublishedTask& task = order.task;
  Work done;
  ASSIGN_OR_RETURN(done.generation, examples.Generation(task.manifest));
  ASSIGN_OR_RETURN(const TaskExamples own, examples.Load(task.manifest));
  loaded();
  ASSIGN_OR_RETURN(const Bytes module, blobs.ReadAll(task.module.digest));
  ASSIGN_OR_RETURN(const Bytes weight_bytes, blobs.ReadAll(task.weights.digest));
  ASSIGN_OR_RETURN(const auto weights, ToFloats(weight_bytes, task.table.parameter_count()));
  LearnOrder work{task, sealer.device, module, weights};
  const LearnHooks hooks{.cancelled = [this] { return cancelled(); }};
  if (order.kind == UploadKind::kEvaluation) {
    ASSIGN_OR_RETURN(done.evaluations, learner.Evaluate(work, own, hooks));
  } else {
    RETURN_IF_ERROR(FormatFor(task));  // before the work, which would be for nothing
    ASSIGN_OR_RETURN(const auto before, Personal(done.generation));
    if (before) work.personal = &*before;
    ASSIGN_OR_RETURN(done.learned, learner.Learn(work, own, hooks));
    // What the learner says of a tensor that the device keeps is dropped here.
    done.learned->delta = SharedTensors(task).Of(done.learned->delta);
    done.learned->meta.parameter_count = done.learned->delta.size();
    if (done.learned->delta.empty()) {
      return Fail(Code::kWrongTensorCount,
                  "the plan and the task file keep every tensor on the device, so there is nothing to send");
    }
    RETURN_IF_ERROR(CheckDelta(done.learned->delta, task.value_bound, task.norm_bound));
    if (done.learned->personal) done.learned->personal->generation = done.generation;
    done.evaluations = done.learned->evaluations;
  }
  for (EvaluationResult& result : done.evaluations) {
    // A part of a millisecond counts as one: an evaluation's size must not depend on its time.
    result.millis = std::max<uint64_t>(result.millis, 1);
    for (const auto& [name, metric] : result.metrics) {
      if (const Status fine = CheckMetric(metric); !fine)
        return Fail(fine.error().code, "the metric {}: {}", name, fine.error().message);
    }
  }
  return done;
}

Result<Workshop::Job::Work> Workshop::Job::DoWork() const {
  while (true) {
    ASSIGN_OR_RETURN(Work done, DoOnce());
    ASSIGN_OR_RETURN(const uint64_t now, examples.Generation(order.task.manifest));
    if (now == done.generation) return done;
    LogInfo("agent.examples_erased", {{"task", order.task.id.text()}, {"version", Number(order.progress.version)}});
  }
}

Result<Bytes> Workshop::Job::Encode(const UpdateFormat& format, const Learned& learned, uint64_t generation) const {
  const ModelVersion base = order.progress.version;
  const TaskId& task = order.task.id;
  std::vector<float> values = learned.delta, sent;
  if (KeepsResidual(format.codec)) {
    ASSIGN_OR_RETURN(const auto residual, residuals.Before(task, base, generation, values.size()));
    std::ranges::transform(values, residual, values.begin(), std::plus());
    sent = Within(values, order.task);
  }
  ASSIGN_OR_RETURN(Bytes plaintext, EncodeUpdate(format, learned.meta, sent.empty() ? values : sent, &sealer.random));
  if (format.codec == Codec::kFloat32Dense) return plaintext;
  // Rounding may have lifted an update that was just within the bounds.
  ASSIGN_OR_RETURN(const auto decoded, DecodeUpdate(format, plaintext));
  RETURN_IF_ERROR(CheckDelta(decoded, order.task.value_bound, order.task.norm_bound));
  if (!KeepsResidual(format.codec)) return plaintext;
  std::ranges::transform(values, decoded, values.begin(), std::minus());
  RETURN_IF_ERROR(residuals.Keep(task, base, generation, values));
  return plaintext;
}

Result<Workshop::Made> Workshop::Job::Do() const {
  ASSIGN_OR_RETURN(const Work work, DoWork());
  const auto& [generation, evaluations, learned] = work;
  Made made;
  made.generation = generation;
  // The evaluation goes first, so that it is known when the round closes.
  if (!evaluations.empty()) {
    ASSIGN_OR_RETURN(auto upload, Seal(UploadKind::kEvaluation, Codec::kRecord, Priority::kEvaluation,
                                       EncodeEvaluation(evaluations)));
    made.uploads.push_back(std::move(upload));
    made.examples = evaluations.front().examples;
    made.millis = evaluations.front().millis;
    made.loss = evaluations.front().metrics.at("loss").mean();
  }
  if (learned) {
    ASSIGN_OR_RETURN(const UpdateFormat format, FormatFor(order.task));
    ASSIGN_OR_RETURN(const Bytes plaintext, Encode(format, *learned, generation));
    ASSIGN_OR_RETURN(auto upload, Seal(UploadKind::kUpdate, format.codec, Priority::kUpdate, plaintext));
    made.uploads.push_back(std::move(upload));
    made.examples = learned->meta.weight;
    made.millis = learned->meta.training_millis;
    made.loss = learned->meta.training_loss;
    if (learned->personal) {
      // The update is good without it, and the former model stays.
      const Status kept = personal.Prepare(*learned->personal);
      if (kept)
        made.uses_own = !learned->personal->uses_global();
      else
        LogFailure(LogLevel::kError, "personal.not_kept", kept.error(), {{"task", order.task.id.text()}});
    }
  }
  made.measured = Measured(made, evaluations);
  return made;
}

Workshop::~Workshop() {
  *alive_ = false;
  end_.request_stop();
}

void Workshop::Begin(const WorkOrder& order, const SealingTarget& target, std::stop_token stop,
                     std::function<void()> loaded, Done done) {
  auto say_loaded = [alive = alive_, &loop = parts_.loop, loaded = std::move(loaded)] {
    loop.Post([alive, loaded] {
      if (*alive) loaded();
    });
  };
  auto job = std::make_shared<const Job>(Job{order, SealerFor(target), std::move(stop), end_.get_token(), parts_.blobs,
                                             parts_.learner, parts_.examples, parts_.residuals, parts_.personal,
                                             std::move(say_loaded), parts_.may_train});
  parts_.work.Post([job = std::move(job), alive = alive_, &loop = parts_.loop, done = std::move(done)] {
    loop.Post([alive, done, made = std::make_shared<Result<Made>>(job->Do())] {
      if (*alive) done(std::move(*made));
    });
  });
}

void Workshop::Look(const WorkOrder& order, std::function<void(const Status&)> done) {
  parts_.work.Post([manifest = order.task.manifest, &examples = parts_.examples, alive = alive_, &loop = parts_.loop,
                    done = std::move(done)] {
    const auto own = examples.Load(manifest);
    loop.Post([alive, done, there = own ? Status() : Fail(own.error())] {
      if (*alive) done(there);
    });
  });
}

Result<std::shared_ptr<const SealedUpload>> Workshop::SealState(const DeviceState& state,
                                                                const Publication& publication) {
  const PublishedTask& task = publication.tasks.front();
  return SealerFor({publication.aead, publication.sealing_key})
      .Seal({.kind = UploadKind::kDeviceState,
             .task = task.id,
             .base_version = task.latest,
             .priority = Priority::kDeviceState,
             .codec = Codec::kRecord},
            EncodeDeviceState(state));
}

}  // namespace tributary
