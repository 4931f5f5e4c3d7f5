#include "aggregator/intake/receiver.h"

#include <limits>

#include "protocol/base/log.h"
#include "protocol/seal/digest.h"

namespace tributary {
namespace {

Result<bool> DigestFits(const Spool& staging, const SpooledUpload& upload) {
  Sha256Stream digest;
  for (uint32_t i = 0; i < upload.chunk_count; ++i) {
    ASSIGN_OR_RETURN(const Bytes chunk, staging.ReadChunk(upload.id, i));
    digest.Update(chunk);
  }
  return std::move(digest).Finish() == upload.ciphertext_digest;
}

}  // namespace

Receiver::Receiver(Spool& staging, UploadJudge& judge, Executor& core, Loop& loop, Hooks hooks)
    : staging_(staging), judge_(judge), core_(core), loop_(loop), hooks_(std::move(hooks)) {}

Status Receiver::CountStaged(const TrustAnchor& anchor, WallTime now) {
  ASSIGN_OR_RETURN(const auto whole, staging_.Pending(std::numeric_limits<int32_t>::max()));
  for (const SpooledUpload& upload : whole) {
    const auto fits = DigestFits(staging_, upload);
    if (!fits || !*fits) {
      LogWarning("staging.damaged", {{"upload", upload.id.hex()}, {"bytes", upload.ciphertext_size}});
      // kIo is a passing reason: the sender's next offer starts from chunk 0.
      staging_.Drop(upload.id, Code::kIo, [](const Status&) {});
      continue;
    }
    ASSIGN_OR_RETURN(const Bytes bytes, staging_.ReadEnvelope(upload.id));
    ASSIGN_OR_RETURN(const SignedEnvelope envelope, ParseEnvelope(bytes));
    const auto author = VerifyEnvelope(envelope, anchor, now);
    if (!author) {
      judge_.CountRefusal(upload.kind, envelope.header.subject, author.error().code);
      staging_.Drop(upload.id, author.error().code, [](const Status&) {});
      continue;
    }
    roles_[upload.device] = author->subject.role;
    const Status wanted = judge_.Admit(envelope.header);
    if (wanted) {
      Count(envelope.header, author->subject.role);
    } else if (wanted.error().code == Code::kDuplicate) {
      OnCustody({upload.id});
    } else if (!IsTransient(wanted.error().code)) {
      judge_.CountRefusal(upload.kind, envelope.header.subject, wanted.error().code);
      staging_.Drop(upload.id, wanted.error().code, [](const Status&) {});
    }
  }
  return {};
}

void Receiver::Offer(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
                     std::function<void(OfferVerdict)> answer) {
  core_.Post([this, envelope, author = author.subject, via, answer = std::move(answer)] {
    Admit(envelope, author, via, answer);
  });
}

void Receiver::Admit(const SignedEnvelope& envelope, const Subject& author, const DeviceId& via,
                     const std::function<void(OfferVerdict)>& answer) {
  const auto reply = [this, answer](const OfferVerdict& verdict) {
    loop_.Post([answer, verdict] { answer(verdict); });
  };
  if (stopped_) return reply(OfferVerdict::Refused({Code::kShuttingDown, "the aggregator is going down"}));
  const UploadSubject& subject = envelope.header.subject;
  roles_[subject.device] = author.role;
  judge_.SawAuthor(author, via);
  const Status wanted = judge_.Admit(envelope.header);
  if (!wanted) {
    const Error& error = wanted.error();
    // In the sum and waiting for its checkpoint: nothing to send, custody follows.
    if (error.code == Code::kBusy) return reply(OfferVerdict::ResumeAt(subject.chunk_count));
    if (!IsTransient(error.code)) judge_.CountRefusal(subject.kind, subject, error.code);
    return reply(error.code == Code::kDuplicate ? OfferVerdict::AlreadyHere() : OfferVerdict::Refused(error));
  }
  staging_.Offer(envelope.header, envelope.bytes,
                 [this, reply, id = subject.id, count = subject.chunk_count](const Result<OfferAnswer>& result) {
                   if (!result) return reply(OfferVerdict::Refused(result.error()));
                   if (result->already) return reply(OfferVerdict::AlreadyHere());
                   reply(OfferVerdict::ResumeAt(result->next_chunk));
                   // Whole already, and not in the sum: it could not be counted when it came.
                   if (result->next_chunk == count) core_.Post([this, id] { Count(id); });
                 });
}

void Receiver::Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) {
  staging_.Append(upload, index, std::move(chunk),
                  [this, upload, taken = std::move(taken)](const Result<AppendAnswer>& result) {
                    loop_.Post([taken, status = result ? Status{} : Fail(result.error())] { taken(status); });
                    if (result && result->complete) core_.Post([this, upload] { Count(upload); });
                  });
}

void Receiver::Count(const UploadId& upload) {
  if (stopped_) return;
  const auto bytes = staging_.ReadEnvelope(upload);
  if (!bytes) return LogFailure(LogLevel::kError, "staging.unreadable", bytes.error(), {{"upload", upload.hex()}});
  const auto envelope = ParseEnvelope(*bytes);
  if (!envelope)
    return LogFailure(LogLevel::kError, "staging.unreadable", envelope.error(), {{"upload", upload.hex()}});
  const auto role = roles_.find(envelope->header.subject.device);
  TRIBUTARY_CHECK(role != roles_.end()) << "an upload was staged without an offer";
  Count(envelope->header, role->second);
}

void Receiver::Count(const UploadHeader& header, Role role) {
  const UploadId& id = header.subject.id;
  const Status counted = judge_.Contribute(header, role, [&](uint32_t index) { return staging_.ReadChunk(id, index); });
  if (counted) return;  // custody comes by OnCustody
  const Error error = counted.error();
  // Two offers of one whole upload may both come here; the second finds it in the sum.
  if (error.code == Code::kBusy) return;
  if (error.code == Code::kDuplicate) return OnCustody({id});
  if (!IsTransient(error.code)) staging_.Drop(id, error.code, [](const Status&) {});
  loop_.Post([this, id, error] { hooks_.refused(id, error); });
}

void Receiver::OnCustody(const std::vector<UploadId>& uploads) {
  for (const UploadId& upload : uploads) {
    staging_.Delivered(upload, [](const Status&) {});
    loop_.Post([this, upload] { hooks_.custody(upload); });
  }
}

}  // namespace tributary
