#include <sys/stat.h>

#include <gtest/gtest.h>

#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/identity/invitation.h"
#include "protocol/trust/seal/opener.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::identity_folder_test {
namespace {

class IdentityFolder : public testing::Test {
 protected:
  Invitation Invite(std::string_view token = "tri_00ff") const {
    Invitation invitation;
    invitation.fleet = "test fleet";
    invitation.token = SecretBytes::CopyOf(AsBytes(token));
    invitation.ca_pem = CertificateToPem(fleet_.authority().certificate());
    invitation.root = ToBytes(AsBytes("{}"));
    invitation.target = {kDefaultAead, fleet_.sealing_key().public_key};
    return invitation;
  }
  Result<Bytes> Begin(const Invitation& invitation, const std::string& id = "d1") {
    return BeginIdentity(RealFileSystem(), folder_, invitation, id, kTestStart);
  }
  Status Complete(const std::vector<Bytes>& chain) {
    return CompleteIdentity(RealFileSystem(), folder_, chain, kTestStart);
  }
  CertificateRequest Opened(const Bytes& request) const {
    const SealedEnrolment sealed = Must(DecodeSealedEnrolment(request));
    HpkeOpener opener = Must(
        HpkeOpener::FromSender(sealed.aead, fleet_.sealing_key(), ByteView(sealed.sealed).first(32), EnrolmentInfo()));
    const Bytes plaintext = Must(opener.Open({}, ByteView(sealed.sealed).subspan(32)));
    return Must(ReadCertificateRequest(Must(DecodeEnrolment(plaintext)).certificate_request));
  }
  // As the fleet would answer.
  std::vector<Bytes> Issue(const Bytes& request, const std::string& id = "d1") const {
    const CertificateRequest asked = Opened(request);
    const Subject subject{TestDevice(id), Role::kDevice, "test", asked.curve_public_key};
    return {Must(fleet_.authority().Issue(subject, asked.public_key, kTestStart, kTestLifetime)).der};
  }

  TestFleet fleet_;
  TemporaryFolder temporary_;
  Path folder_ = temporary_ / "site/identity";
};

TEST_F(IdentityFolder, BecomesAnIdentityWithTheCertificate) {
  const Bytes request = Must(Begin(Invite()));
  EXPECT_EQ(Opened(request).id, TestDevice("d1"));
  EXPECT_EQ(LoadIdentity(folder_, kTestStart).error().code, Code::kMissingData);
  Must(Complete(Issue(request)));
  const auto identity = LoadIdentityAs(Role::kDevice, folder_, kTestStart);
  ASSERT_TRUE(identity) << identity.error().ToString();
  EXPECT_EQ(identity->subject.id, TestDevice("d1"));
  EXPECT_EQ(Must(ReadFile(RealFileSystem(), folder_ / "root.json", 100)), Invite().root);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "request"));
  EXPECT_EQ(Begin(Invite()).error().code, Code::kAlreadyExists);
}

TEST_F(IdentityFolder, AsksAgainWithTheVerySameBytes) {
  const Bytes first = Must(Begin(Invite()));
  EXPECT_EQ(Must(Begin(Invite())), first);
}

TEST_F(IdentityFolder, ANewInvitationIsAskedWithTheSameKeys) {
  const Bytes first = Must(Begin(Invite()));
  const Bytes second = Must(Begin(Invite("tri_11ee")));
  EXPECT_NE(first, second);
  EXPECT_EQ(Opened(first).public_key, Opened(second).public_key);
  EXPECT_EQ(Must(Begin(Invite("tri_11ee"))), second);
  EXPECT_NE(Must(Begin(Invite("tri_11ee"), "d2")), second) << "another id is another request";
}

TEST_F(IdentityFolder, TheFleetMayChooseTheId) { EXPECT_EQ(Opened(Must(Begin(Invite(), ""))).id, std::nullopt); }

TEST_F(IdentityFolder, KeysAreForTheirOwnerOnly) {
  Must(Begin(Invite()));
  for (const char* name : {"key.pem", "curve.key", "request"}) {
    struct stat status {};
    ASSERT_EQ(stat((folder_ / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(IdentityFolder, TakesNoCertificateForOtherKeysOrOfAnotherFleet) {
  const Bytes request = Must(Begin(Invite()));
  const auto others = Complete(fleet_.Issue(Role::kDevice, "d1").chain);
  ASSERT_FALSE(others);
  EXPECT_EQ(others.error().code, Code::kConflict);
  const TestFleet stranger;
  const CertificateRequest asked = Opened(request);
  const Subject subject{TestDevice("d1"), Role::kDevice, "test", asked.curve_public_key};
  const auto foreign =
      Complete({Must(stranger.authority().Issue(subject, asked.public_key, kTestStart, kTestLifetime)).der});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, Code::kUnknownCertificate);
  Must(Complete(Issue(request)));
}

TEST_F(IdentityFolder, NothingIsCompletedThatWasNotBegun) {
  EXPECT_EQ(Complete(fleet_.Issue(Role::kDevice, "d1").chain).error().code, Code::kMissingData);
}

TEST_F(IdentityFolder, AnInvitationWithoutARealCaMakesNoRequest) {
  Invitation invitation = Invite();
  const TestFleet stranger;
  invitation.ca_pem = CertificateToPem({stranger.Issue(Role::kDevice, "d9").chain.front()});
  EXPECT_FALSE(Begin(invitation));
}

// Each file is whole or not there; whichever of them an interrupted attempt left, the next one goes on with the keys it
// finds.
TEST_F(IdentityFolder, ContinuesWhatWasInterruptedAtAnyFile) {
  const Bytes first = Must(Begin(Invite()));
  for (const char* missing : {"request", "root.json", "ca.pem"}) {
    std::filesystem::remove(folder_ / "request");
    std::filesystem::remove(folder_ / missing);
    const Bytes again = Must(Begin(Invite()));
    EXPECT_EQ(Opened(again).public_key, Opened(first).public_key) << missing;
    EXPECT_EQ(Opened(again).curve_public_key, Opened(first).curve_public_key) << missing;
  }
  std::filesystem::remove(folder_ / "request");
  std::filesystem::remove(folder_ / "curve.key");
  Must(Complete(Issue(Must(Begin(Invite())))));
  EXPECT_TRUE(LoadIdentity(folder_, kTestStart));
}

}  // namespace
}  // namespace tributary::identity_folder_test
