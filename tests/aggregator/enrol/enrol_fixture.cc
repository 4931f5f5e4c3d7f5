#include "tests/aggregator/enrol/enrol_fixture.h"

#include "protocol/trust/identity/identity.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

EnrolFixture::EnrolFixture(bool with_issuer, bool opened)
    : anchor(Must(TrustAnchor::FromCertificate(fleet.authority().certificate()))),
      ca_revocations(folder / "ca-crl.pem") {
  if (with_issuer) {
    issuer_dir = folder / "issuer";
    const CertificateAuthority issuer = Must(fleet.authority().CreateIssuer("test issuer", kTestStart, kTestLifetime));
    Must(SaveAuthority(issuer, issuer_dir, {}));
  }
  options.certificate_lifetime = std::chrono::hours(24 * 10);
  if (opened) Reopen();
}

EnrolmentOffice::Parts EnrolFixture::PartsOfIt() {
  return {.folder = folder.path(),
          .files = RealFileSystem(),
          .clock = clock,
          .random = random,
          .anchor = anchor,
          .self = TestDevice("aggregator"),
          .sealing_keys = *keys_,
          .issuer_dir = issuer_dir,
          .ca_revocations = ca_revocations,
          .options = options,
          .revocations_changed = [this] { ++announced; },
          .happened = [this](const EnrolmentEvent& event) { events.push_back(event); }};
}

void EnrolFixture::Reopen() {
  enrolment_.reset();
  keys_.emplace(Must(SealingKeys::Open(RealFileSystem(), folder.path(), clock.Now())));
  anchor = Must(TrustAnchor::FromCertificate(fleet.authority().certificate()));
  enrolment_ = Must(EnrolmentOffice::Open(PartsOfIt()));
}

std::string EnrolFixture::MakeToken(const std::string& id, uint32_t uses, bool approved, Role role) {
  EnrolmentTokenRecord token;
  token.id = id;
  token.role = role;
  if (role != Role::kGateway) token.device_class = "phone";
  token.labels = {"north", "batch-3"};
  token.expires = clock.Now() + std::chrono::hours(24);
  token.uses = uses;
  token.approved = approved;
  token.created_by = "anna";
  return Must(enrolment_->operators().CreateToken(token)).secret;
}

SealingTarget EnrolFixture::target() const { return {kDefaultAead, keys_->current().public_key}; }

Bytes EnrolFixture::AskAt(const Applicant& applicant, const std::string& secret, std::optional<std::string> id,
                          WallTime created) const {
  std::optional<DeviceId> wanted;
  if (id) wanted = TestDevice(*id);
  EnrolmentRequest request;
  request.certificate_request = Must(MakeCertificateRequest(applicant.key, wanted, applicant.curve.public_key));
  request.created = created;
  request.authority = SecretBytes::CopyOf(AsBytes(secret));
  return Must(SealEnrolment(request, target()));
}

Bytes EnrolFixture::Ask(const Applicant& applicant, const std::string& secret, std::optional<std::string> id) const {
  return AskAt(applicant, secret, std::move(id), clock.Now());
}

EnrolmentAnswer EnrolFixture::Decide(const Bytes& request) {
  return enrolment_->applicants().Decide(Sha256(request), request);
}

std::vector<Bytes> EnrolFixture::Enrolled(const Applicant& applicant, const std::string& id,
                                          const std::string& secret) {
  const EnrolmentAnswer answer = Decide(Ask(applicant, secret, id));
  TRIBUTARY_CHECK(answer.kind == EnrolmentAnswer::Kind::kIssued) << answer.refusal.sentence;
  return answer.chain;
}

Identity EnrolFixture::IdentityOf(const Applicant& applicant, const std::vector<Bytes>& chain) const {
  const VerifiedIdentity verified = Must(fleet.anchor().Verify(chain, clock.Now()));
  return Identity{verified.subject, fleet.anchor(), chain, Must(SigningKey::FromPem(applicant.key.ToPem())),
                  SecretBytes::CopyOf(applicant.curve.secret.RevealForUse())};
}

Result<VerifiedIdentity> EnrolFixture::Verify(const std::vector<Bytes>& chain) const {
  return anchor.Verify(chain, clock.Now());
}

Code RefusalOf(const EnrolmentAnswer& answer) {
  TRIBUTARY_CHECK(answer.kind == EnrolmentAnswer::Kind::kRefused) << "not refused: " << answer.refusal.sentence;
  return answer.refusal.code;
}

}  // namespace tributary
