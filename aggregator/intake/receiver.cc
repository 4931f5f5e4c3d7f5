#include "aggregator/intake/receiver.h"

#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

Status CheckDigest(const Spool& staging, const UploadHeader& header) {
  Sha256Stream digest;
  for (uint32_t i = 0; i < header.subject.chunk_count; ++i) {
    ASSIGN_OR_RETURN(const Bytes chunk, staging.ReadChunk(header.subject.id, i));
    digest.Update(chunk);
  }
  if (std::move(digest).Finish() == header.ciphertext_digest) return {};
  return Fail(Code::kCorrupt, "the {} bytes staged of upload {} are damaged; its sender has them and sends them again",
              header.ciphertext_size, header.subject.id.hex());
}

// The error that a sender is told. A fault of this machine passes, so nobody gives up an upload for it.
Error ForSender(const Error& error) {
  if (IsTransient(error.code) || !IsOfTheEnvironment(error.code)) return error;
  return {Code::kIo, error.ToString()};
}

}  // namespace

Receiver::Receiver(Spool& staging, UploadJudge& judge, Executor& core, Loop& loop, Hooks hooks)
    : staging_(staging), judge_(judge), core_(core), loop_(loop), hooks_(std::move(hooks)) {}

void Receiver::KeepOnly(const TaskId& task, const std::vector<ModelVersion>& accepted) {
  staging_.DropStale(task, accepted, [task](const Result<uint64_t>& dropped) {
    if (!dropped) LogFailure(LogLevel::kWarning, "staging.not_cleaned", dropped.error(), {{"task", task.text()}});
  });
}

void Receiver::DropRevoked(const TrustAnchor& anchor, const std::string& list) {
  if (list == revoked_) return;
  revoked_ = list;
  staging_.DropRevoked(anchor, [](const Result<uint64_t>& dropped) {
    if (!dropped) LogFailure(LogLevel::kWarning, "staging.not_cleaned", dropped.error());
  });
}

void Receiver::DropAbandoned() {
  staging_.DropExpired([](const Result<uint64_t>& dropped) {
    if (!dropped) LogFailure(LogLevel::kWarning, "staging.not_cleaned", dropped.error());
  });
}

void Receiver::DoneWith(const UploadSubject& subject, Code reason) {
  judge_.CountRefusal(subject.kind, subject, reason);
  if (staging_.ReadEnvelope(subject.id)) staging_.Drop(subject.id, reason, [](const Status&) {});
}

void Receiver::Offer(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
                     std::function<void(Result<OfferAnswer>)> answer) {
  core_.Post([this, envelope, author, via, answer = std::move(answer)] { Admit(envelope, author, via, answer); });
}

void Receiver::Admit(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
                     const std::function<void(Result<OfferAnswer>)>& answer) {
  const auto reply = [this, answer](const Result<OfferAnswer>& given) {
    loop_.Post([answer, given] { answer(given); });
  };
  if (stopped_) return reply(Fail(Code::kShuttingDown, "the aggregator is going down"));
  const UploadSubject& subject = envelope.header.subject;
  roles_[subject.device] = author.subject.role;
  const Status vetted = hooks_.vet(author, via);
  const Verdict verdict = vetted ? judge_.Admit(envelope.header) : Verdict(Fail(vetted.error()));
  switch (verdict.kind()) {
    case Verdict::Kind::kTake:
      return Stage(envelope, reply);
    case Verdict::Kind::kInSum:
      return reply(OfferAnswer{.next_chunk = subject.chunk_count});  // nothing to send
    case Verdict::Kind::kCounted:
      DoneWith(subject, Code::kDuplicate);
      return reply(OfferAnswer{.already = true});
    case Verdict::Kind::kRefused:
      const Error& error = verdict.error();
      if (!IsTransient(error.code) && !IsOfTheEnvironment(error.code)) DoneWith(subject, error.code);
      return reply(Fail(ForSender(error)));
  }
}

void Receiver::Stage(const SignedEnvelope& envelope, const std::function<void(Result<OfferAnswer>)>& reply) {
  const UploadSubject& subject = envelope.header.subject;
  staging_.Offer(envelope.header, envelope.bytes,
                 [this, reply, id = subject.id, count = subject.chunk_count](const Result<OfferAnswer>& result) {
                   if (!result) return reply(Fail(ForSender(result.error())));
                   reply(result);
                   // Whole already, and not in the sum: it could not be counted when it came.
                   if (!result->already && result->next_chunk == count) core_.Post([this, id] { Count(id, true); });
                 });
}

void Receiver::Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) {
  staging_.Append(
      upload, index, std::move(chunk), [this, upload, taken = std::move(taken)](const Result<AppendAnswer>& result) {
        loop_.Post([taken, status = result ? Status{} : Fail(ForSender(result.error()))] { taken(status); });
        if (result && result->complete) core_.Post([this, upload] { Count(upload, false); });
      });
}

void Receiver::Count(const UploadId& upload, bool found) {
  if (stopped_) return;
  const auto bytes = staging_.ReadEnvelope(upload);
  const auto envelope = bytes ? ParseEnvelope(*bytes) : Fail(bytes.error());
  if (!envelope) {
    // Freed meanwhile, or damaged: the sender, which waits for an answer, offers it again.
    LogFailure(LogLevel::kWarning, "staging.unreadable", envelope.error(), {{"upload", upload.hex()}});
    return Refuse(upload, {bytes ? Code::kCorrupt : envelope.error().code, envelope.error().message});
  }
  const auto role = roles_.find(envelope->header.subject.device);
  if (role == roles_.end()) {
    return Refuse(upload, {Code::kCorrupt, fmt::format("the envelope staged of upload {} names {}, who offered nothing",
                                                       upload.hex(), envelope->header.subject.device.text())});
  }
  if (const Status whole = found ? CheckDigest(staging_, envelope->header) : Status{}; !whole) {
    LogFailure(LogLevel::kWarning, "staging.damaged", whole.error(), {{"upload", upload.hex()}});
    return Refuse(upload, whole.error());
  }
  const Verdict verdict = judge_.Contribute(envelope->header, role->second,
                                            [&](uint32_t index) { return staging_.ReadChunk(upload, index); });
  switch (verdict.kind()) {
    case Verdict::Kind::kTake:
    case Verdict::Kind::kInSum:  // two offers of one whole upload may both come here; the second finds it in the sum
      return;                    // custody comes by OnCustody
    case Verdict::Kind::kCounted:
      return OnCustody({upload});
    case Verdict::Kind::kRefused:
      return Refuse(upload, verdict.error());
  }
}

void Receiver::Refuse(const UploadId& upload, const Error& error) {
  const Error told = ForSender(error);
  // The staged copy goes unless it may yet be counted. A passing reason lets the next offer start from chunk 0.
  if (!IsTransient(error.code)) staging_.Drop(upload, told.code, [](const Status&) {});
  loop_.Post([this, upload, told] { hooks_.refused(upload, told); });
}

void Receiver::OnCustody(const std::vector<UploadId>& uploads) {
  for (const UploadId& upload : uploads) {
    staging_.Delivered(upload, [](const Status&) {});
    loop_.Post([this, upload] { hooks_.custody(upload); });
  }
}

}  // namespace tributary
