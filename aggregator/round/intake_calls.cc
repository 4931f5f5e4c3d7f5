#include <algorithm>

#include "aggregator/round/durable_coordinator.h"
#include "aggregator/watch/evaluations.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// The peer's fault, and final: counted. Everything else may be offered again.
bool IsRefusal(Code code) { return KindOf(code) == CodeKind::kPeer; }

Status CheckVersion(ModelVersion version, const VersionRecord& latest) {
  if (Number(version) >= 1 && version <= latest.version) return {};
  return Fail(Code::kUnknownVersion, "version " + std::to_string(Number(version)) + "; the latest is " +
                                         std::to_string(Number(latest.version)));
}

}  // namespace

Verdict DurableCoordinator::Admit(const UploadHeader& header) {
  const UploadSubject& subject = header.subject;
  if (subject.kind == UploadKind::kDeviceState) return AdmitDeviceState(header);
  if (subject.kind != UploadKind::kUpdate && subject.kind != UploadKind::kEvaluation) {
    return Fail(Code::kUnknownKind, "this aggregator takes updates, evaluations and device states, not " +
                                        std::string(KindName(subject.kind)));
  }
  ASSIGN_OR_RETURN(LiveTask* const task, Find(subject.task));
  RETURN_IF_ERROR(CheckVersion(subject.base_version, task->latest));
  return subject.kind == UploadKind::kUpdate ? AdmitUpdate(header, *task) : AdmitEvaluation(header);
}

Result<const HpkeKeyPair*> DurableCoordinator::OpeningKey(const UploadSubject& subject) const {
  const HpkeKeyPair* key = nullptr;
  if (parts_.opening_key) {
    key = parts_.opening_key(subject.key_id);
  } else if (subject.key_id == key_id_) {
    key = &parts_.sealing_key;
  }
  if (key == nullptr) return Fail(Code::kUnknownKey, "sealed to key " + subject.key_id.hex());
  return key;
}

Verdict DurableCoordinator::AdmitUpdate(const UploadHeader& header, LiveTask& task) {
  const UploadSubject& subject = header.subject;
  // Before staleness: an upload that was counted is done with, whatever came after.
  const UploadId* const pending = task.round && task.round->record().base == subject.base_version
                                      ? task.round->PendingUpload(subject.device)
                                      : nullptr;
  if (pending != nullptr && *pending == subject.id) return Verdict::InSum();
  ASSIGN_OR_RETURN(const bool counted, store_->contributions.Has(subject.task, subject.base_version, subject.device));
  if (counted || pending != nullptr) return Verdict::Counted();
  if (subject.base_version < task.latest.version) {
    return Fail(Code::kStaleVersion, "version " + std::to_string(Number(subject.base_version)) +
                                         " is no longer trained on; the latest is " +
                                         std::to_string(Number(task.latest.version)));
  }
  RETURN_IF_ERROR(health_.status());
  if (!task.round) return Fail(Code::kRoundClosed, "no round of " + subject.task.text() + " is open");
  const RoundRecord& round = task.round->record();
  if (round.state != RoundState::kCollecting || round.reports >= task.record.policy.report_goal) {
    return Fail(Code::kRoundClosed, "round " + std::to_string(round.number) + " is being closed");
  }
  RETURN_IF_ERROR(OpeningKey(subject));
  RETURN_IF_ERROR(CheckUpdateSize(subject, task.record.table.parameter_count()));
  return Verdict::Take();
}

Verdict DurableCoordinator::AdmitEvaluation(const UploadHeader& header) {
  const UploadSubject& subject = header.subject;
  ASSIGN_OR_RETURN(const bool known, store_->evaluations.HasUpload(subject.device, subject.id));
  if (known) return Verdict::Counted();
  RETURN_IF_ERROR(OpeningKey(subject));
  RETURN_IF_ERROR(health_.status());
  if (subject.plaintext_size > limits::kRecordBytes) {
    return Fail(Code::kTooLarge, "an evaluation of " + std::to_string(subject.plaintext_size) + " bytes");
  }
  return Verdict::Take();
}

Verdict DurableCoordinator::Contribute(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  const UploadKind kind = header.subject.kind;
  Verdict verdict = Admit(header);
  if (verdict.is_take()) verdict = Count(header, role, chunk);
  if (verdict.is_take() || verdict.kind() == Verdict::Kind::kInSum) return verdict;
  const Code code = verdict.kind() == Verdict::Kind::kCounted ? Code::kDuplicate : verdict.error().code;
  if (kind == UploadKind::kUpdate && IsRefusal(code)) {
    if (auto task = Find(header.subject.task); task && (*task)->round) (*task)->round->AddBytes(header.ciphertext_size);
  }
  CountRefusal(kind, header.subject, code);
  return verdict;
}

Verdict DurableCoordinator::Count(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  switch (header.subject.kind) {
    case UploadKind::kUpdate:
      return CountUpdate(header, role, chunk);
    case UploadKind::kDeviceState:
      return CountDeviceState(header, role, chunk);
    default:
      return CountEvaluation(header, role, chunk);  // Admit let nothing else pass
  }
}

Verdict DurableCoordinator::CountUpdate(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  if (role != Role::kDevice) {
    return Fail(Code::kWrongRole, "an update comes from a device, not from role " + std::string(RoleName(role)));
  }
  ASSIGN_OR_RETURN(LiveTask* const task, Find(header.subject.task));
  const TaskRecord& record = task->record;
  ASSIGN_OR_RETURN(const HpkeKeyPair* const key, OpeningKey(header.subject));
  RETURN_IF_ERROR(task->round->Add(header, [&](WeightedSum& sum) -> Result<uint64_t> {
    const UpdateBounds bounds{.norm_bound = record.norm_bound, .max_weight = record.max_weight};
    ASSIGN_OR_RETURN(const OpenedUpdate update, reader_.AddTo(sum, header, *key, bounds, chunk));
    return update.meta.weight;
  }));
  task->round->AddBytes(header.ciphertext_size);
  accounts_.Spool(UploadKind::kUpdate);
  members_.CountUpload(header.subject.device, role, parts_.clock.Now());
  last_taken_ = parts_.clock.Monotonic();
  Emit("round.report", *task, header.subject.device.text());
  // The update is in the sum: a disk that fails now delays its custody, it does not refuse it.
  if (auto turned = TurnIfDue(*task); !turned) health_.Failed("round.not_turned", turned.error());
  return Verdict::Take();
}

Verdict DurableCoordinator::CountEvaluation(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  if (role != Role::kDevice && role != Role::kEvaluator) {
    return Fail(Code::kWrongRole, "an evaluation does not come from role " + std::string(RoleName(role)));
  }
  ASSIGN_OR_RETURN(const HpkeKeyPair* const key, OpeningKey(header.subject));
  ASSIGN_OR_RETURN(const auto results, OpenEvaluation(header, *key, chunk));
  const auto round = StoreEvaluation(header, role, results);
  if (!round) {
    if (IsOfTheEnvironment(round.error().code)) health_.Failed("evaluation.not_stored", round.error());
    return Fail(round.error());
  }
  if (!*round) return Verdict::Counted();
  accounts_.DeliverAtOnce(UploadKind::kEvaluation);
  members_.CountUpload(header.subject.device, role, parts_.clock.Now());
  ASSIGN_OR_RETURN(const LiveTask* const task, Find(header.subject.task));
  listener_.OnEvent({.sequence = ++event_sequence_,
                     .name = "evaluation.received",
                     .task = header.subject.task,
                     .round = **round,
                     .reports = task->round && task->last_round == **round ? task->round->record().reports : 0,
                     .version = header.subject.base_version,
                     .at = parts_.clock.Now(),
                     .detail = header.subject.device.text()});
  listener_.OnCustody({header.subject.id});
  return Verdict::Take();
}

Result<std::optional<uint64_t>> DurableCoordinator::StoreEvaluation(const UploadHeader& header, Role role,
                                                                    const std::vector<EvaluationResult>& results) {
  const UploadSubject& subject = header.subject;
  EvaluationRecord record{.task = subject.task,
                          .version = subject.base_version,
                          .device = subject.device,
                          .role = std::string(RoleName(role)),
                          .upload = subject.id,
                          .result = {},
                          .received = parts_.clock.Now()};
  uint64_t stored = 0;
  ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
  for (const EvaluationResult& result : results) {
    record.result = result;
    ASSIGN_OR_RETURN(const bool known, store_->evaluations.Has(record));
    if (known) continue;
    RETURN_IF_ERROR(store_->evaluations.Insert(record));
    ++stored;
  }
  if (stored == 0) return std::nullopt;
  ASSIGN_OR_RETURN(const uint64_t round,
                   store_->rounds.LastOnBase(subject.task, JudgedBase(subject.base_version, role)));
  ASSIGN_OR_RETURN(LiveTask* const task, Find(subject.task));
  const bool open = task->round && task->round->record().number == round;
  if (round > 0 && !open) RETURN_IF_ERROR(store_->rounds.AddBytes(subject.task, round, header.ciphertext_size));
  RETURN_IF_ERROR(store_->accounts.Add(UploadKind::kEvaluation, Outcome::kDelivered, Code::kMalformed, 1));
  TRIBUTARY_FAULT_POINT("aggregator.evaluation.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.evaluation.committed");
  if (open) task->round->AddBytes(header.ciphertext_size);
  return round;
}

void DurableCoordinator::CountRefusal(UploadKind kind, const std::optional<UploadSubject>& subject, Code code) {
  if (!IsRefusal(code)) return;
  accounts_.Refuse(kind, code);
  LogInfo("upload.refused", {{"kind", KindName(kind)},
                             {"code", Name(code)},
                             {"device", subject ? subject->device.text() : std::string("?")}});
  if (!subject || kind != UploadKind::kUpdate) return;
  const auto task = Find(subject->task);
  if (!task || !(*task)->round) return;
  (*task)->round->CountRefusal(code);
  Emit("round.refusal", **task, std::string(Name(code)) + " " + subject->device.text());
}

}  // namespace tributary
