#include "gateway/accept/acceptor.h"

#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/payload/update_codec.h"

namespace tributary {

Acceptor::Acceptor(Spool& spool, Loop& loop, const Clock& clock, KeyEnds keys)
    : spool_(spool), loop_(loop), clock_(clock), keys_(std::move(keys)) {}

void Acceptor::OnPublication(const Publication& publication) {
  keys_.Note(publication);
  DropEnded();
  const auto drop = [this](const TaskId& task, const std::vector<ModelVersion>& accepted) {
    spool_.DropStale(task, accepted, [task](const Result<uint64_t>& dropped) {
      if (!dropped) return LogFailure(LogLevel::kError, "spool.not_cleaned", dropped.error());
      if (*dropped > 0) LogInfo("spool.stale_dropped", {{"task", task.text()}, {"uploads", *dropped}});
    });
  };
  for (const auto& [task, known] : tasks_) {
    if (std::ranges::find(publication.tasks, task, &PublishedTask::id) == publication.tasks.end()) drop(task, {});
  }
  informed_ = true;
  tasks_.clear();
  for (const PublishedTask& task : publication.tasks) {
    tasks_.insert_or_assign(task.id, Wanted{task.accepted, task.latest, task.table.parameter_count()});
    drop(task.id, task.accepted);
  }
}

void Acceptor::Drain() {
  draining_ = true;
  if (in_process_ == 0) hooks_.idle();
}

void Acceptor::Ended() {
  --in_process_;
  if (draining_ && in_process_ == 0) hooks_.idle();
}

void Acceptor::DropEnded() {
  std::vector<KeyId> over = keys_.Over(clock_.Now());
  if (over.size() == ended_) return;
  ended_ = over.size();
  spool_.DropSealedTo(std::move(over), [](const Result<uint64_t>& dropped) {
    if (!dropped) return LogFailure(LogLevel::kError, "spool.not_cleaned", dropped.error());
    if (*dropped > 0) LogInfo("spool.key_over_dropped", {{"uploads", *dropped}});
  });
}

Status Acceptor::Admit(const UploadSubject& subject) const {
  if (draining_) return Fail(Code::kShuttingDown, "this gateway is being stopped");
  if (!informed_) return Fail(Code::kBusy, "this gateway has not got a publication yet");
  if (subject.expires.unix_millis != 0 && subject.expires <= clock_.Now())
    return Fail(Code::kExpired, "the upload's time is over");
  if (keys_.IsOver(subject.key_id, clock_.Now()))
    return Fail(Code::kUnknownKey, "the aggregator's key {} has been replaced", subject.key_id.hex());
  const auto task = tasks_.find(subject.task);
  if (task == tasks_.end()) return Fail(Code::kUnknownTask, "no task " + subject.task.text());
  if (subject.kind != UploadKind::kUpdate) return {};
  const Wanted& wanted = task->second;
  RETURN_IF_ERROR(CheckUpdateSize(subject, wanted.parameter_count));
  // A version that is newer than this gateway's publication is none of its business: the aggregator knows.
  const bool accepted = std::ranges::find(wanted.accepted, subject.base_version) != wanted.accepted.end();
  if (!accepted && subject.base_version <= wanted.latest) {
    return Fail(Code::kStaleVersion, "version {} of {} is not accepted any more", Number(subject.base_version),
                subject.task.text());
  }
  return {};
}

void Acceptor::Offer(const SignedEnvelope& envelope, const VerifiedIdentity&, const DeviceId&,
                     std::function<void(Result<OfferAnswer>)> answer) {
  const UploadSubject& subject = envelope.header.subject;
  const Status admitted = Admit(subject);
  if (!admitted && IsTransient(admitted.error().code)) return answer(Fail(admitted.error()));
  ++in_process_;
  const auto reply = [this, answer = std::move(answer)](const Result<OfferAnswer>& result) {
    loop_.Post([this, answer, result] {
      answer(result);
      Ended();
    });
  };
  // The spool refuses it, unless it knows the upload: who did not hear that it was delivered must not give it up.
  spool_.Offer(envelope.header, envelope.bytes, reply, admitted);
}

void Acceptor::Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) {
  ++in_process_;
  spool_.Append(upload, index, std::move(chunk),
                [this, upload, taken = std::move(taken)](const Result<AppendAnswer>& result) {
                  loop_.Post([this, upload, taken, result] {
                    OnAppended(upload, taken, result);
                    Ended();
                  });
                });
}

void Acceptor::OnAppended(const UploadId& upload, const std::function<void(Status)>& taken,
                          const Result<AppendAnswer>& result) {
  // kUnknownUpload, a passing one: it was dropped while its chunks were coming, because it is too old for a new
  // publication or made room. Its sender offers it again and is told which.
  taken(result ? Status{} : Fail(result.error()));
  if (!result || !result->complete) return;
  hooks_.custody(upload);
  hooks_.arrived();
}

}  // namespace tributary
