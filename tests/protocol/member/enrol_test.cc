#include "protocol/member/enrol.h"

#include <sys/stat.h>

#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "protocol/trust/identity/invitation.h"
#include "tests/protocol/hop/fake_desk.h"
#include "tests/protocol/hop/hop_fixture.h"

namespace tributary::enrol_test {
namespace {

using Kind = EnrolmentAnswer::Kind;

// A server with a desk on this thread; the applicant, which blocks, on another one with the real clock.
class ApplyTest : public ::testing::Test {
 protected:
  ApplyTest() {
    server_.Stop();
    server_.desk = &desk_;
    server_.Start();
    Invitation invitation;
    invitation.fleet = "test fleet";
    invitation.role = Role::kDevice;
    invitation.token = SecretBytes::CopyOf(AsBytes("tri_" + std::string(64, 'a')));
    invitation.ca_pem = CertificateToPem(world_.fleet.authority().certificate());
    invitation.root = world_.fleet.anchor().publication_root();
    invitation.target.public_key = world_.fleet.sealing_key().public_key;
    application_.invitation = world_.folder / "invitation.json";
    TRIBUTARY_CHECK(
        WriteFileAtomically(RealFileSystem(), application_.invitation, EncodeInvitation(invitation)).has_value());
    application_.identity = world_.folder / "identity";
    application_.server.endpoint = server_.endpoint();
    application_.server.server_key = ToHex(server_.identity().subject.curve_public_key);
    application_.roles = {Role::kDevice, Role::kEvaluator};
  }
  // Applies while the server runs; what Apply says.
  Status Run() {
    Status status = Fail(Code::kTimeout, "");
    std::atomic<bool> over = false;
    std::thread applicant([&] {
      ManualClock clock;  // of its own, at the test's date
      SeededRandom random(7);
      status = Apply(application_, clock, random, RealFileSystem(), progress_);
      over = true;
    });
    for (int i = 0; i < 20'000 && !over; ++i) world_.Turn();
    applicant.join();
    return status;
  }
  // For the keys that the applicant made.
  EnrolmentAnswer Issue(Role role = Role::kDevice) {
    const auto pem = ReadSecretFile(application_.identity / "key.pem");
    const auto key = SigningKey::FromPem(*pem);
    const auto curve =
        FromHex(std::string(AsText(ReadSecretFile(application_.identity / "curve.key")->RevealForUse())).substr(0, 64));
    Subject subject{TestDevice("device-7"), role, "board", *CurvePublicKeyOf(SecretBytes::CopyOf(*curve))};
    const auto issued = world_.fleet.authority().Issue(subject, key->public_key(), kTestStart, kTestLifetime);
    TRIBUTARY_CHECK(issued.has_value()) << issued.error().ToString();
    return {Kind::kIssued, {issued->der}, {}};
  }

  HopWorld world_;
  FakeDesk desk_;
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  Application application_;
  std::ostringstream progress_;
};

TEST_F(ApplyTest, TheIdentityIsWholeWhenTheFleetIssues) {
  desk_.says = [this] { return Issue(); };
  const Status applied = Run();
  ASSERT_TRUE(applied) << applied.error().ToString();
  const auto identity = LoadIdentity(application_.identity, kTestStart);
  ASSERT_TRUE(identity) << identity.error().ToString();
  EXPECT_EQ(identity->subject.id, TestDevice("device-7"));
  EXPECT_EQ(identity->anchor.publication_root(), world_.fleet.anchor().publication_root());
  EXPECT_NE(progress_.str().find("enrolled as device-7"), std::string::npos) << progress_.str();
  for (const char* secret : {"key.pem", "curve.key"}) {
    struct stat of {};
    ASSERT_EQ(stat((application_.identity / secret).c_str(), &of), 0);
    EXPECT_EQ(of.st_mode & 0777, 0600u) << secret;
  }
  // The token is nowhere in what was made, nor in what was said.
  for (const auto& file : std::filesystem::recursive_directory_iterator(application_.identity)) {
    const auto bytes = ReadFile(RealFileSystem(), file.path(), limits::kMiB);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(AsText(*bytes).find("tri_"), std::string_view::npos) << file.path();
  }
  EXPECT_EQ(progress_.str().find("tri_"), std::string::npos);
  EXPECT_EQ(AsText(desk_.came.at(0)).find("tri_"), std::string_view::npos);
  // Once is enough.
  const Status again = Run();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
}

TEST_F(ApplyTest, AFinalRefusalIsSaidAndTheNextAttemptSendsTheSameRequest) {
  desk_.says = [] { return EnrolmentAnswer{Kind::kRefused, {}, {Code::kBadToken, "the token is used up", {}}}; };
  const Status refused = Run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kBadToken);
  EXPECT_EQ(refused.error().message, "the token is used up");
  desk_.says = [this] { return Issue(); };
  ASSERT_TRUE(Run());
  EXPECT_EQ(desk_.came.at(0), desk_.came.at(1));
}

TEST_F(ApplyTest, WhatCannotWorkIsSaidBeforeAnythingIsSent) {
  application_.roles = {Role::kGateway};
  EXPECT_EQ(Run().error().code, Code::kWrongRole);
  application_.roles = {Role::kDevice};
  application_.server.server_key = "12";
  EXPECT_EQ(Run().error().code, Code::kInvalidArgument);
  application_.server.server_key = ToHex(server_.identity().subject.curve_public_key);
  ASSERT_EQ(chmod(application_.invitation.c_str(), 0644), 0);
  EXPECT_EQ(Run().error().code, Code::kPermissions);
  application_.invitation = world_.folder / "nowhere.json";
  EXPECT_FALSE(Run());
  EXPECT_TRUE(desk_.came.empty());
  EXPECT_FALSE(std::filesystem::exists(application_.identity));
}

TEST_F(ApplyTest, ACertificateOfAnotherFleetIsNotTaken) {
  const TestFleet other;
  desk_.says = [&] { return EnrolmentAnswer{Kind::kIssued, other.Issue(Role::kDevice, "device-7").chain, {}}; };
  const Status applied = Run();
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, Code::kUnknownCertificate);
  EXPECT_FALSE(std::filesystem::exists(application_.identity / "cert.pem"));
}

}  // namespace
}  // namespace tributary::enrol_test
