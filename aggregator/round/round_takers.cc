#include "aggregator/round/round_takers.h"

#include <set>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/shared_tensors.h"
#include "protocol/payload/codec/codec_list.h"

namespace tributary {

Verdict UpdateTaker::Admit(const UploadHeader& header) {
  const UploadSubject& subject = header.subject;
  ASSIGN_OR_RETURN(RoundRunner* const runner, rounds_.Find(subject.task));
  RETURN_IF_ERROR(CheckVersion(runner->task(), subject.base_version));
  // Before staleness: an upload that was counted is done with, whatever came after.
  if (Verdict found = FindContribution(*runner, subject); !found.is_take()) return found;
  RETURN_IF_ERROR(RoundRule(runner->task().record).CheckStaleness(subject.base_version, runner->task()));
  RETURN_IF_ERROR(parts_.health.status());
  RETURN_IF_ERROR(CheckCollecting(*runner));
  if (TaskPrivacy* const privacy = runner->privacy()) RETURN_IF_ERROR(privacy->CheckMayTakePart(subject.device));
  RETURN_IF_ERROR(OpeningKey(parts_.opening_key, subject));
  const TaskRecord& task = runner->task().record;
  RETURN_IF_ERROR(CheckListed(subject.codec, task.plan.update_codec));
  RETURN_IF_ERROR(CheckUpdateSize(subject, SharedTensors(task).table().parameter_count()));
  return Verdict::Take();
}

Verdict UpdateTaker::FindContribution(const RoundRunner& runner, const UploadSubject& subject) const {
  const UploadId* const pending =
      runner.open() != nullptr ? runner.open()->PendingUpload(subject.base_version, subject.device) : nullptr;
  if (pending != nullptr && *pending == subject.id) return Verdict::InSum();
  ASSIGN_OR_RETURN(const bool counted,
                   parts_.store.contributions.Has(subject.task, subject.base_version, subject.device));
  return counted || pending != nullptr ? Verdict::Counted() : Verdict::Take();
}

Verdict UpdateTaker::Take(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  const UploadSubject& subject = header.subject;
  RETURN_IF_ERROR(CheckSender(subject.kind, role, false));
  ASSIGN_OR_RETURN(RoundRunner* const runner, rounds_.Find(subject.task));
  ASSIGN_OR_RETURN(const HpkeKeyPair* const key, OpeningKey(parts_.opening_key, subject));
  const ModelVersion oldest = RoundRule(runner->task().record).AcceptedBases(runner->task()).front();
  ASSIGN_OR_RETURN(const UpdateLayout* const layout, layouts_.Of(runner->task(), subject.base_version, oldest));
  ASSIGN_OR_RETURN(const UpdateBounds bounds, runner->BoundsFor(subject, *layout));
  ASSIGN_OR_RETURN(const TakenUpdate update,
                   reader_.AddTo(runner->open()->SumFor(subject), header, *key, bounds, chunk));
  parts_.fleet.account().Spool(subject.kind);
  parts_.fleet.CountUpload(subject.device, role);
  runner->Contributed(header, update);
  // The update is in the sum: a disk that fails now delays its custody, it does not refuse it.
  if (auto turned = runner->TurnIfDue(); !turned) parts_.health.Failed("round.not_turned", turned.error());
  return Verdict::Take();
}

void UpdateTaker::OnRefused(const UploadSubject& subject, Code code, uint64_t bytes) {
  const auto runner = rounds_.Find(subject.task);
  if (!runner || (*runner)->open() == nullptr) return;
  (*runner)->open()->AddBytes(bytes);
  (*runner)->open()->CountRefusal(code);
  (*runner)->Say("round.refusal");
}

namespace {

// A device's evaluation has no more weight than its update may have. An evaluator's test set is the operator's own. A
// metric may weigh more than examples do (by their tokens, say): a larger weight counts as the most.
Status CapWeights(EvaluationResult& result, uint64_t max_weight) {
  if (result.examples > max_weight)
    return Fail(Code::kBadWeight, "an evaluation of {} examples, the most is {}", result.examples, max_weight);
  const auto most = static_cast<double>(max_weight);
  for (auto& [name, metric] : result.metrics) {
    if (metric.weight > most) metric = {metric.sum * (most / metric.weight), most};
  }
  return {};
}

// Opens an evaluation and checks its form.
Result<std::vector<EvaluationResult>> OpenEvaluation(const UploadHeader& header, const HpkeKeyPair& key,
                                                     const ChunkSource& chunk, uint64_t max_weight) {
  ASSIGN_OR_RETURN(const Bytes plaintext, OpenSmallUpload(header, key, chunk));
  ASSIGN_OR_RETURN(auto results, DecodeEvaluation(plaintext));
  std::set<EvaluatedModel> models;
  for (EvaluationResult& result : results) {
    if (!models.insert(result.model).second) return Fail(Code::kMalformed, "two results for the same model");
    RETURN_IF_ERROR(CapWeights(result, max_weight));
  }
  return results;
}

MetricViews ViewsOf(const std::vector<EvaluationResult>& results, Role role) {
  MetricViews views;
  for (const EvaluationResult& result : results) {
    const bool is_global = result.model == EvaluatedModel::kGlobal;
    if (role == Role::kDevice) (is_global ? views.local : views.personal) = MeansOf(result.metrics);
    if (role == Role::kEvaluator && is_global) views.global = MeansOf(result.metrics);
  }
  return views;
}

// The version whose round an evaluation speaks of, named by that round's base: an evaluator judges what a round made, a
// device what it trained from. 0: the initial version, which no round made.
ModelVersion JudgedBase(ModelVersion evaluated, Role role) {
  return role == Role::kEvaluator ? ModelVersion{Number(evaluated) - 1} : evaluated;
}

}  // namespace

Verdict EvaluationTaker::Admit(const UploadHeader& header) {
  const UploadSubject& subject = header.subject;
  ASSIGN_OR_RETURN(RoundRunner* const runner, rounds_.Find(subject.task));
  RETURN_IF_ERROR(CheckVersion(runner->task(), subject.base_version));
  ASSIGN_OR_RETURN(const bool known, parts_.store.evaluations.HasUpload(subject.device, subject.id));
  if (known) return Verdict::Counted();
  RETURN_IF_ERROR(rounds_.CheckTakesEvaluations(subject.task, subject.base_version));
  RETURN_IF_ERROR(OpeningKey(parts_.opening_key, subject));
  RETURN_IF_ERROR(parts_.health.status());
  if (subject.plaintext_size > limits::kRecordBytes) {
    return Fail(Code::kTooLarge, "an evaluation of {} bytes", subject.plaintext_size);
  }
  return Verdict::Take();
}

Verdict EvaluationTaker::Take(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  const UploadSubject& subject = header.subject;
  RETURN_IF_ERROR(CheckSender(subject.kind, role, true));
  ASSIGN_OR_RETURN(const HpkeKeyPair* const key, OpeningKey(parts_.opening_key, subject));
  ASSIGN_OR_RETURN(const RoundRunner* const runner, rounds_.Find(subject.task));
  RETURN_IF_ERROR(rounds_.CheckTakesEvaluations(subject.task, subject.base_version));
  const uint64_t max_weight = role == Role::kDevice ? runner->task().record.max_weight : limits::kCounter;
  ASSIGN_OR_RETURN(const auto results, OpenEvaluation(header, *key, chunk, max_weight));
  const auto kept = Keep(header, role, results);
  if (!kept) {
    if (IsOfTheEnvironment(kept.error().code)) parts_.health.Failed("evaluation.not_stored", kept.error());
    return Fail(kept.error());
  }
  if (!*kept) return Verdict::Counted();
  const uint64_t round = **kept;
  parts_.fleet.account().DeliverAtOnce(subject.kind);
  parts_.fleet.CountUpload(subject.device, role);
  const bool open = runner->open() != nullptr && runner->last_round() == round;
  parts_.events.Say({.name = "evaluation.received",
                     .task = subject.task,
                     .round = round,
                     .contributions = open ? runner->open()->record().contributions : 0,
                     .version = subject.base_version,
                     .metrics = ViewsOf(results, role)});
  parts_.custody({subject.id});
  return Verdict::Take();
}

Result<std::optional<uint64_t>> EvaluationTaker::Keep(const UploadHeader& header, Role role,
                                                      const std::vector<EvaluationResult>& results) {
  const UploadSubject& subject = header.subject;
  Store& store = parts_.store;
  uint64_t stored = 0;
  bool counts = role == Role::kEvaluator;
  if (!counts) {
    ASSIGN_OR_RETURN(counts, store.contributions.Has(subject.task, subject.base_version, subject.device));
  }
  ASSIGN_OR_RETURN(Transaction transaction, store.Begin());
  for (const EvaluationResult& result : results) {
    const EvaluationRecord record{.task = subject.task,
                                  .version = subject.base_version,
                                  .device = subject.device,
                                  .role = std::string(RoleName(role)),
                                  .upload = subject.id,
                                  .result = result,
                                  .received = parts_.clock.Now(),
                                  .counts = counts};
    ASSIGN_OR_RETURN(const bool known, store.evaluations.Has(record));
    if (known) continue;
    RETURN_IF_ERROR(store.evaluations.Insert(record));
    ++stored;
  }
  if (stored == 0) return std::nullopt;
  ASSIGN_OR_RETURN(const uint64_t round, store.rounds.LastOnBase(subject.task, JudgedBase(subject.base_version, role)));
  ASSIGN_OR_RETURN(RoundRunner* const runner, rounds_.Find(subject.task));
  const bool open = runner->open() != nullptr && runner->open()->record().number == round;
  if (round > 0 && !open) RETURN_IF_ERROR(store.rounds.AddBytes(subject.task, round, header.ciphertext_size));
  RETURN_IF_ERROR(store.accounts.Add(UploadKind::kEvaluation, Outcome::kDelivered, Code::kMalformed, 1));
  TRIBUTARY_FAULT_POINT("aggregator.evaluation.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.evaluation.committed");
  if (open) runner->open()->AddBytes(header.ciphertext_size);
  return round;
}

}  // namespace tributary
