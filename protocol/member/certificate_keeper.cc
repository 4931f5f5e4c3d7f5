#include "protocol/member/certificate_keeper.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kLook{60'000};
// After a refusal that does not pass by itself: an operator may mend it.
constexpr Millis kAfterRefusal{3'600'000};
// Certificates are valid from a day before they are made (aggregator/enrol), so that clocks set back harm nothing.
constexpr Millis kBackdated{24 * 3600 * 1000};

}  // namespace

WallTime RenewalTime(const VerifiedIdentity& own) {
  const int64_t end = own.not_after.unix_millis;
  // A life too short for the day before it is a test's, or somebody's own CA's: all of it counts.
  int64_t begin = own.not_before.unix_millis + kBackdated.count();
  if (begin >= end) begin = own.not_before.unix_millis;
  return {begin + (end - begin) / 3 * 2};
}

CertificateKeeper::CertificateKeeper(const Parts& parts, Path identity_folder, Target target)
    : parts_(parts), folder_(std::move(identity_folder)), target_(std::move(target)) {
  auto own = parts_.identity.anchor.Verify(parts_.identity.chain, parts_.clock.Now());
  // It may have ended, or be revoked, between loading and now; then there is nothing to renew.
  if (!own) problem_ = own.error();
  own_ = std::move(own).value_or(VerifiedIdentity());
}

CertificateKeeper::~CertificateKeeper() {
  *alive_ = false;
  Stop();
}

void CertificateKeeper::Start() {
  running_ = true;
  Look();
}

void CertificateKeeper::Stop() {
  running_ = false;
  parts_.loop.Cancel(timer_);
}

void CertificateKeeper::LookIn(Millis delay) {
  if (!running_) return;
  parts_.loop.Cancel(timer_);
  timer_ = parts_.loop.After(delay, [this] { Look(); });
}

void CertificateKeeper::Look() {
  if (!own_.public_key.empty() && !asking_ && parts_.clock.Now() >= due() && parts_.client.up()) Ask();
  LookIn(kLook);
}

void CertificateKeeper::Ask() {
  const auto target = target_();
  if (!target) return;
  if (request_.empty() || sealed_to_ != target->public_key) {
    auto request = SealRenewal(parts_.identity, *target, parts_.clock.Now());
    if (!request) {
      problem_ = request.error();
      return LogFailure(LogLevel::kError, "certificate.not_renewed", request.error());
    }
    request_ = std::move(*request);
    sealed_to_ = target->public_key;
  }
  const Status asked = parts_.client.Enrol(request_, [this, alive = alive_](const EnrolmentAnswer& answer) {
    if (*alive) OnAnswer(answer);
  });
  asking_ = asked.has_value();
  if (!asked) problem_ = asked.error();
}

void CertificateKeeper::OnAnswer(const EnrolmentAnswer& answer) {
  asking_ = false;
  if (answer.kind == EnrolmentAnswer::Kind::kIssued) {
    request_.clear();
    if (const Status taken = Take(answer.chain); !taken) {
      problem_ = taken.error();
      LogFailure(LogLevel::kError, "certificate.not_renewed", taken.error());
    }
    return LookIn(kLook);
  }
  const Refusal& refusal = answer.refusal;
  const Error why{refusal.code, refusal.sentence};
  const bool passing = answer.kind == EnrolmentAnswer::Kind::kPending || IsTransient(refusal.code);
  if (!passing) request_.clear();
  problem_ = why;
  LogFailure(passing ? LogLevel::kInfo : LogLevel::kError, "certificate.not_renewed", why);
  LookIn(passing ? std::max(refusal.retry.max, Millis(1'000)) : kAfterRefusal);
}

Status CertificateKeeper::Take(const std::vector<Bytes>& chain) {
  ASSIGN_OR_RETURN(const VerifiedIdentity next, parts_.identity.anchor.Verify(chain, parts_.clock.Now()));
  RETURN_IF_ERROR(SaveCertificate(parts_.files, folder_, chain, parts_.clock.Now()));
  parts_.identity.chain = chain;
  parts_.identity.subject = next.subject;
  own_ = next;
  problem_.reset();
  ++renewals_;
  LogInfo("certificate.renewed",
          {{"member", next.subject.id.text()}, {"serial", next.serial}, {"ends", next.not_after.unix_seconds()}});
  return {};
}

}  // namespace tributary
