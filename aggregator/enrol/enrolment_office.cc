#include "aggregator/enrol/enrolment_office.h"

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kDay = std::chrono::hours(24);
constexpr Millis kTidyInterval = std::chrono::minutes(1);
constexpr Millis kWarnInterval = kDay;

}  // namespace

Result<std::unique_ptr<EnrolmentOffice>> EnrolmentOffice::Open(const Parts& parts) {
  ASSIGN_OR_RETURN(auto registrar, MemberRegistrar::Open(parts));
  return std::unique_ptr<EnrolmentOffice>(new EnrolmentOffice(parts, std::move(registrar)));
}

EnrolmentOffice::EnrolmentOffice(const Parts& parts, std::unique_ptr<MemberRegistrar> registrar)
    : parts_(parts),
      registrar_(std::move(registrar)),
      applicants_(*registrar_, parts),
      operators_(*registrar_, parts.clock, parts.random) {}

void EnrolmentOffice::Tick() {
  if (!registrar_->DiskWorks() || !registrar_->SaveHeard()) return;
  const Millis now = parts_.clock.Monotonic();
  if (now - last_tidied_ < kTidyInterval) return;
  last_tidied_ = now;
  WarnOfIssuersEnd();
  if (auto tidied = registrar_->Tidy(); !tidied) {
    LogFailure(LogLevel::kWarning, "enrolment.not_tidied", tidied.error());
  }
}

Result<std::vector<Bytes>> EnrolmentOffice::RenewOwn(const Subject& own, ByteView public_key) const {
  ASSIGN_OR_RETURN(const MemberIssuer* issuer, registrar_->Issuer());
  TRIBUTARY_CHECK(own.id == parts_.self) << "a certificate for " << own.id.text() << " without a request";
  ASSIGN_OR_RETURN(StoredCertificate certificate,
                   issuer->Issue(own, public_key, parts_.clock.Now(), parts_.options.certificate_lifetime));
  return std::move(certificate.chain);
}

std::optional<WallTime> EnrolmentOffice::IssuerEnds() const {
  const auto issuer = registrar_->Issuer();
  return issuer ? std::optional((*issuer)->ends()) : std::nullopt;
}

// Members renew by themselves, but never beyond their issuer's end: an operator has to replace that one.
void EnrolmentOffice::WarnOfIssuersEnd() {
  const WallTime now = parts_.clock.Now();
  const auto ends = IssuerEnds();
  if (!ends || now < warned_of_end_ + kWarnInterval || *ends > now + parts_.options.certificate_lifetime / 3) return;
  warned_of_end_ = now;
  LogWarning("issuer.ends",
             {{"days", (ends->unix_millis - now.unix_millis) / kDay.count()},
              {"remedy",
               "Every member's certificate ends with it. Make another where the CA's key is (tributary ca issuer), "
               "name its folder in aggregator.issuer_dir and restart: members renew with it by themselves."}});
}

}  // namespace tributary
