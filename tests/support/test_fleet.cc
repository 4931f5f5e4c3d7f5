#include "tests/support/test_fleet.h"

#include "tests/support/derived_key.h"
#include "tests/support/must.h"

namespace tributary {
namespace {

Subject SubjectOf(Role role, std::string_view id) {
  Subject subject;
  subject.id = TestDevice(id);
  subject.role = role;
  if (role == Role::kDevice || role == Role::kEvaluator) subject.device_class = "test";
  return subject;
}

HpkeKeyPair FixedSealingKey() {
  const std::string_view ikm = "tributary test fleet, sealing key, 1st";  // 32 bytes at least
  return Must(DeriveHpkeKeyPair(AsBytes(ikm)));
}

}  // namespace

TestFleet::TestFleet(WallTime start)
    : start_(start),
      authority_(CertificateAuthority::Create("test fleet", start, kTestLifetime)),
      repository_(start),
      anchor_(Must(TrustAnchor::FromCertificate(authority_.certificate(), repository_.root()))),
      sealing_key_(FixedSealingKey()) {}

Identity TestFleet::Issue(Role role, std::string_view id) const { return IssueFor(role, id, start_, kTestLifetime); }

Identity TestFleet::IssueFor(Role role, std::string_view id, WallTime from, Millis lifetime) const {
  Subject subject = SubjectOf(role, id);
  CurveKeyPair curve = GenerateCurveKeyPair();
  subject.curve_public_key = curve.public_key;
  SigningKey key = SigningKey::Generate();
  Certificate certificate = Must(authority_.Issue(subject, key.public_key(), from, lifetime));
  TrustAnchor anchor = Must(TrustAnchor::FromCertificate(authority_.certificate(), repository_.root()));
  return Identity{
      std::move(subject), std::move(anchor), {std::move(certificate.der)}, std::move(key), std::move(curve.secret)};
}

Bytes TestFleet::Publish(const Publication& publication) const { return repository_.Publish(publication); }

Path TestFleet::IssueInto(const Path& folder, Role role, std::string_view id) const {
  const Status issued =
      IssueIdentity(authority_, SubjectOf(role, id), folder, start_, kTestLifetime, repository_.root());
  TRIBUTARY_CHECK(issued.has_value()) << issued.error().ToString();
  return folder;
}

DeviceId TestDevice(std::string_view id) { return Must(DeviceId::Parse(id)); }
TaskId TestTask(std::string_view id) { return Must(TaskId::Parse(id)); }

}  // namespace tributary
