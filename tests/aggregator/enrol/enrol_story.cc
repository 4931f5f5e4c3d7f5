#include "tests/aggregator/enrol/enrol_story.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

using Kind = EnrolmentAnswer::Kind;

// Whoever asks has the same keys in every run.
const Applicant& ApplicantOf(const std::string& name) {
  static std::map<std::string, Applicant> applicants;
  return applicants[name];
}

}  // namespace

EnrolStory::EnrolStory(EnrolFixture& site, PowerDisk& disk, Path folder, EnrolMemory known)
    : memory(std::move(known)),
      site_(site),
      disk_(disk),
      folder_(std::move(folder)),
      anchor_(Must(TrustAnchor::FromCertificate(site.fleet.authority().certificate()))) {}

Status EnrolStory::Open() {
  enrolment_.reset();
  EnrolmentOffice::Parts parts = site_.PartsOfIt();
  parts.folder = folder_;
  parts.anchor = anchor_ = Must(TrustAnchor::FromCertificate(site_.fleet.authority().certificate()));
  parts.ca_revocations.clear();
  ASSIGN_OR_RETURN(enrolment_, EnrolmentOffice::Open(parts));
  return {};
}

std::vector<EnrolStory::Step> EnrolStory::Steps() {
  const auto revoke = [this](const char* id) {
    return [this, id]() -> Status {
      ASSIGN_OR_RETURN(const EnrolledMember member, enrolment_->operators().Revoke(TestDevice(id), "stolen", "anna"));
      EXPECT_EQ(member.state, EnrolmentState::kRevoked);
      return {};
    };
  };
  return {{"token open", [this] { return MakeToken("open", 1, true, "d1"); }},
          {"token closed", [this] { return MakeToken("closed", 2, false, "d2"); }},
          {"token shared", [this] { return MakeToken("shared", 2, true, "d3"); }},
          {"d1", [this] { return Enrol("d1", "open"); }},
          {"d2 asks", [this] { return Enrol("d2", "closed"); }},
          {"d4 asks", [this] { return Enrol("d4", "closed"); }},
          {"approve", [this] { return DecideAbout("d2", true); }},
          {"d2", [this] { return Enrol("d2", "closed"); }},
          {"refuse", [this] { return DecideAbout("d4", false); }},
          {"d3", [this] { return Enrol("d3", "shared"); }},
          {"renewal", [this] { return Renew(); }},
          {"revoke d1", revoke("d1")},
          {"hidden", [this] { return ShowHiddenCertificate(); }},
          {"remove",
           [this]() -> Status {
             if (!Has("shared")) return {};
             return enrolment_->operators().RemoveToken("shared");
           }},
          {"revoke d3", revoke("d3")}};
}

Status EnrolStory::Take(const Step& step) {
  RETURN_IF_ERROR(step.take());
  memory.told[step.name] = disk_.operations();
  if (!enrolment_->Revocations().empty()) memory.list_numbers[step.name] = List().issuers.at(0).number;
  return {};
}

bool EnrolStory::Has(const std::string& token) {
  return std::ranges::any_of(Must(enrolment_->operators().Tokens()),
                             [&](const auto& record) { return record.id == token; });
}

std::optional<EnrolledMember> EnrolStory::Member(const std::string& id) {
  auto found = enrolment_->operators().Find(TestDevice(id));
  if (found) return *found;
  EXPECT_EQ(found.error().code, Code::kNotFound) << found.error().ToString();
  return std::nullopt;
}

RevocationList EnrolStory::List() { return Must(ReadRevocations(enrolment_->Revocations(), site_.fleet.anchor())); }

// Of the issuer's making, and shown only after its member was revoked.
const std::vector<Bytes>& EnrolStory::HiddenChain() {
  if (!memory.hidden.empty()) return memory.hidden;
  const CertificateAuthority issuer = Must(LoadAuthority(site_.issuer_dir));
  const Applicant& hidden = ApplicantOf("hidden");
  const Subject subject{TestDevice("d1"), Role::kDevice, "phone", hidden.curve.public_key};
  return memory.hidden = {Must(issuer.Issue(subject, hidden.key.public_key(), kTestStart, kTestLifetime)).der,
                          issuer.certificate().der};
}

bool EnrolStory::Revoked(const std::vector<Bytes>& chain) const {
  const auto verified = anchor_.Verify(chain, site_.clock.Now());
  return !verified && verified.error().code == Code::kRevokedCertificate;
}

Status EnrolStory::MakeToken(const std::string& id, uint32_t uses, bool approved, const std::string& member) {
  if (Has(id) || Member(member)) return {};
  EnrolmentTokenRecord token;
  token.id = id;
  token.device_class = "phone";
  token.expires = site_.clock.Now() + std::chrono::hours(24);
  token.uses = uses;
  token.approved = approved;
  ASSIGN_OR_RETURN(const auto made, enrolment_->operators().CreateToken(token));
  // Nobody had the secret of one that was not durable.
  memory.secrets[id] = made.secret;
  memory.requests.clear();
  return {};
}

EnrolmentAnswer EnrolStory::Decide(const std::string& applicant) {
  const Bytes& request = memory.requests.at(applicant);
  return enrolment_->applicants().Decide(Sha256(request), request);
}

Status EnrolStory::Enrol(const std::string& name, const std::string& token) {
  if (!memory.requests.contains(name)) {
    memory.requests[name] = site_.Ask(ApplicantOf(name), memory.secrets.at(token), name);
  }
  const EnrolmentAnswer answer = Decide(name);
  if (answer.kind == Kind::kIssued) {
    memory.chains[name] = answer.chain;
    return {};
  }
  EXPECT_TRUE(answer.chain.empty());
  const Code code = answer.refusal.code;
  const bool decided = code == Code::kPending || code == Code::kRevokedCertificate || code == Code::kForbidden;
  if (decided) return {};
  return Fail(code, answer.refusal.sentence);
}

Status EnrolStory::Renew() {
  if (Member("d3")->state == EnrolmentState::kRevoked) return {};
  const std::vector<Bytes>& present = memory.chains.at("d3");
  const std::string name = "renewal";
  if (!memory.requests.contains(name)) {
    static const CurveKeyPair next = GenerateCurveKeyPair();
    memory.requests[name] = Must(
        SealRenewal(site_.IdentityOf(ApplicantOf("d3"), present), site_.target(), site_.clock.Now(), next.public_key));
  }
  const EnrolmentAnswer answer = Decide(name);
  if (answer.kind != Kind::kIssued) return Fail(answer.refusal.code, answer.refusal.sentence);
  memory.chains[name] = answer.chain;
  return {};
}

Status EnrolStory::DecideAbout(const std::string& name, bool approve) {
  if (Member(name)->state != EnrolmentState::kPending) return {};
  const DeviceId id = TestDevice(name);
  const auto decided = approve ? enrolment_->operators().Approve(id, "anna")
                               : enrolment_->operators().RefuseEnrolment(id, "not ours", "anna");
  if (!decided) return Fail(decided.error());
  return {};
}

Status EnrolStory::ShowHiddenCertificate() {
  if (auto verified = anchor_.Verify(HiddenChain(), site_.clock.Now())) enrolment_->Saw(*verified);
  enrolment_->Tick();
  if (Revoked(HiddenChain())) return {};
  RETURN_IF_ERROR(enrolment_->Health());
  return Fail(Code::kConflict, "its certificate is still believed, though the disk works");
}

void EnrolStory::CheckWhatWasTold(uint64_t point) {
  const auto told = [&](const std::string& step) { return memory.told.contains(step) && memory.told[step] <= point; };
  for (const auto& [name, chain] : memory.chains) {
    if (!told(name)) continue;
    const EnrolmentAnswer answer = Decide(name);
    const auto member = Member(name == "renewal" ? "d3" : name);
    ASSERT_TRUE(member) << name;
    if (member->state == EnrolmentState::kRevoked) {
      EXPECT_EQ(RefusalOf(answer), Code::kRevokedCertificate) << name;
      EXPECT_TRUE(Revoked(chain)) << name;
    } else {
      EXPECT_EQ(answer.chain, chain) << name;
    }
  }
  EXPECT_TRUE(Has("open") || !told("token open"));
  EXPECT_FALSE(Has("shared") && told("remove"));
  EXPECT_TRUE(Member("d2") || !told("d2 asks"));
  if (told("refuse")) {
    EXPECT_EQ(RefusalOf(Decide("d4")), Code::kForbidden);
  }
  for (const std::string id : {"d1", "d3"}) {
    const auto member = Member(id);
    EXPECT_TRUE(!told("revoke " + id) || member->state == EnrolmentState::kRevoked) << id;
  }
  EXPECT_TRUE(Revoked(HiddenChain()) || !told("hidden"));
  for (const auto& [step, number] : memory.list_numbers) {
    EXPECT_TRUE(!told(step) || List().issuers.at(0).number >= number) << step;
  }
}

void EnrolStory::CheckNothingIsHalfDone() {
  std::map<std::string, uint32_t> came_by;
  const std::string text = enrolment_->Revocations();
  for (const EnrolledMember& member : Must(enrolment_->operators().EnrolledMembers())) {
    ++came_by[member.token];
    const bool has_certificate = !member.serial.empty();
    const bool should = member.state == EnrolmentState::kActive || member.state == EnrolmentState::kRevoked;
    EXPECT_EQ(has_certificate, should) << member.id.text();
    if (member.state != EnrolmentState::kRevoked) continue;
    ASSERT_FALSE(text.empty());
    EXPECT_TRUE(List().issuers.at(0).serials.contains(member.serial)) << member.id.text();
    EXPECT_FALSE(enrolment_->Standing(member.id));
  }
  for (const EnrolmentTokenRecord& token : Must(enrolment_->operators().Tokens())) {
    EXPECT_EQ(token.used, came_by[token.id]) << token.id;
    EXPECT_LE(token.used, token.uses) << token.id;
  }
}

void EnrolStory::CheckTheEnd() {
  CheckNothingIsHalfDone();
  CheckWhatWasTold(~uint64_t{0});
  std::map<std::string, EnrolmentState> states;
  for (const EnrolledMember& member : Must(enrolment_->operators().EnrolledMembers()))
    states[member.id.text()] = member.state;
  const std::map<std::string, EnrolmentState> expected = {{"d1", EnrolmentState::kRevoked},
                                                          {"d2", EnrolmentState::kActive},
                                                          {"d3", EnrolmentState::kRevoked},
                                                          {"d4", EnrolmentState::kRefused}};
  EXPECT_EQ(states, expected);
  std::map<std::string, uint32_t> used;
  for (const EnrolmentTokenRecord& token : Must(enrolment_->operators().Tokens())) used[token.id] = token.used;
  EXPECT_EQ(used, (std::map<std::string, uint32_t>{{"open", 1}, {"closed", 2}}));
  for (const std::string token : {"open", "closed", "shared"}) {
    const Bytes late = site_.Ask(ApplicantOf("late"), memory.secrets.at(token), "late");
    EXPECT_EQ(RefusalOf(enrolment_->applicants().Decide(Sha256(late), late)), Code::kBadToken) << token;
  }
  EXPECT_TRUE(enrolment_->Health());
}

}  // namespace tributary
