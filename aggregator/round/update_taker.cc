#include "aggregator/round/update_taker.h"

namespace tributary {

Verdict UpdateTaker::Admit(const UploadHeader& header) {
  const UploadSubject& subject = header.subject;
  ASSIGN_OR_RETURN(RoundRunner* const runner, parts_.rounds.Find(subject.task));
  RETURN_IF_ERROR(runner->CheckVersion(subject.base_version));
  // Before staleness: an upload that was counted is done with, whatever came after.
  if (Verdict found = runner->FindContribution(subject); !found.is_take()) return found;
  RETURN_IF_ERROR(runner->rule().CheckStaleness(subject.base_version, runner->task().latest.version));
  RETURN_IF_ERROR(parts_.health.status());
  RETURN_IF_ERROR(runner->CheckCollecting());
  RETURN_IF_ERROR(OpeningKey(parts_.opening_key, subject));
  RETURN_IF_ERROR(CheckUpdateSize(subject, runner->task().record.table.parameter_count()));
  return Verdict::Take();
}

Verdict UpdateTaker::Take(const UploadHeader& header, Role role, const ChunkSource& chunk) {
  const UploadSubject& subject = header.subject;
  RETURN_IF_ERROR(CheckSender(subject.kind, role, false));
  ASSIGN_OR_RETURN(RoundRunner* const runner, parts_.rounds.Find(subject.task));
  ASSIGN_OR_RETURN(const HpkeKeyPair* const key, OpeningKey(parts_.opening_key, subject));
  const TaskRecord& task = runner->task().record;
  const UpdateBounds bounds{.norm_bound = task.norm_bound, .max_weight = task.max_weight};
  ASSIGN_OR_RETURN(const OpenedUpdate update,
                   reader_.AddTo(runner->open()->SumFor(subject.device), header, *key, bounds, chunk));
  parts_.fleet.account().Spool(subject.kind);
  parts_.fleet.CountUpload(subject.device, role);
  runner->Contributed(header, update.meta.weight);
  // The update is in the sum: a disk that fails now delays its custody, it does not refuse it.
  if (auto turned = runner->TurnIfDue(); !turned) parts_.health.Failed("round.not_turned", turned.error());
  return Verdict::Take();
}

void UpdateTaker::OnRefused(const UploadSubject& subject, Code code, uint64_t bytes) {
  const auto runner = parts_.rounds.Find(subject.task);
  if (!runner || (*runner)->open() == nullptr) return;
  (*runner)->open()->AddBytes(bytes);
  (*runner)->open()->CountRefusal(code);
  (*runner)->Say("round.refusal", fmt::format("{} {}", Name(code), subject.device.text()));
}

}  // namespace tributary
