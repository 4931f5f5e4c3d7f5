#include "aggregator/enrol/own_certificate.h"

#include "protocol/base/log.h"
#include "protocol/member/certificate_keeper.h"

namespace tributary {
namespace {

constexpr Millis kAfterPassing = std::chrono::minutes(1);
constexpr Millis kAfterRefusal = std::chrono::hours(6);  // an operator has to do something

}  // namespace

OwnCertificate::OwnCertificate(const Parts& parts, Path identity_folder)
    : parts_(parts), folder_(std::move(identity_folder)) {
  // It was verified when it was loaded; one that ended since then keeps no date, and nothing is tried.
  own_ = parts_.identity.anchor.Verify(parts_.identity.chain, parts_.clock.Now()).value_or(VerifiedIdentity());
}

WallTime OwnCertificate::due() const { return RenewalTime(own_); }

void OwnCertificate::Look() {
  if (own_.public_key.empty() || asking_) return;
  if (parts_.clock.Now() < due() || parts_.clock.Monotonic() < again_) return;
  asking_ = true;
  parts_.core.Post([this, subject = parts_.identity.subject, public_key = own_.public_key] {
    auto chain = parts_.enrolment.RenewOwn(subject, public_key);
    parts_.loop.Post([this, chain = std::move(chain)] { OnAnswer(chain); });
  });
}

void OwnCertificate::OnAnswer(const Result<std::vector<Bytes>>& chain) {
  asking_ = false;
  const Status taken = chain ? Take(*chain) : Fail(chain.error());
  if (taken) return;
  again_ = parts_.clock.Monotonic() + (IsTransient(taken.error().code) ? kAfterPassing : kAfterRefusal);
  const int64_t left = own_.not_after.unix_millis - parts_.clock.Now().unix_millis;
  LogFailure(LogLevel::kWarning, "certificate.not_renewed", taken.error(),
             {{"member", own_.subject.id.text()}, {"hours_left", left / 3'600'000}});
}

Status OwnCertificate::Take(const std::vector<Bytes>& chain) {
  ASSIGN_OR_RETURN(const VerifiedIdentity next, parts_.identity.anchor.Verify(chain, parts_.clock.Now()));
  if (next.not_after <= own_.not_after) {
    return Fail(Code::kConflict,
                "the issuer in aggregator.issuer_dir ends no later than this aggregator's certificate: make another "
                "with `tributary ca issuer`");
  }
  RETURN_IF_ERROR(SaveCertificate(parts_.files, folder_, chain, parts_.clock.Now()));
  parts_.identity.chain = chain;
  own_ = next;
  LogInfo("certificate.renewed",
          {{"member", next.subject.id.text()}, {"serial", next.serial}, {"ends", next.not_after.unix_seconds()}});
  return {};
}

}  // namespace tributary
