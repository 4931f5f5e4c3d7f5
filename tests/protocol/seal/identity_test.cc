#include "protocol/seal/identity.h"

#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>

#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary {
namespace {

using testing::HasSubstr;

class IdentityTest : public testing::Test {
 protected:
  // Puts `file` of another member's folder in the place of this one's.
  void Exchange(const char* file) {
    fleet_.IssueInto(other_, Role::kDevice, "dev-2");
    std::filesystem::copy_file(other_ / file, folder_ / file, std::filesystem::copy_options::overwrite_existing);
  }
  void Write(const char* file, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / file, AsBytes(text)).has_value());
  }
  Error Refusal(WallTime now = kTestStart) const {
    auto loaded = LoadIdentity(folder_, now);
    EXPECT_FALSE(loaded.has_value());
    return loaded ? Error{} : loaded.error();
  }

  const TemporaryFolder root_;
  const TestFleet fleet_;
  const Path other_ = root_ / "dev-2";
  const Path folder_ = fleet_.IssueInto(root_ / "dev-1", Role::kDevice, "dev-1");
};

TEST_F(IdentityTest, LoadsWhatWasIssued) {
  const auto loaded = LoadIdentity(folder_, kTestStart);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_EQ(loaded->subject.id.text(), "dev-1");
  EXPECT_EQ(loaded->subject.device_class, "test");
  EXPECT_EQ(*CurvePublicKeyOf(loaded->curve_secret), loaded->subject.curve_public_key);
  const auto verified = fleet_.anchor().Verify(loaded->chain, kTestStart);
  ASSERT_TRUE(verified.has_value());
  EXPECT_TRUE(VerifySignature(verified->public_key, AsBytes("m"), loaded->key.Sign(AsBytes("m"))).has_value());
  for (const char* secret : {"key.pem", "curve.key"}) {
    struct stat status {};
    ASSERT_EQ(stat((folder_ / secret).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u) << secret;
  }
}

TEST_F(IdentityTest, APublisherHasNoCurveKey) {
  const Path folder = fleet_.IssueInto(root_ / "publisher", Role::kPublisher, "publisher");
  EXPECT_FALSE(std::filesystem::exists(folder / "curve.key"));
  const auto loaded = LoadIdentity(folder, kTestStart);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_TRUE(loaded->curve_secret.empty());
}

TEST_F(IdentityTest, IsNotIssuedTwiceIntoOneFolder) {
  const Subject subject{TestDevice("dev-9"), Role::kDevice, "test", {}};
  EXPECT_EQ(IssueIdentity(fleet_.authority(), subject, folder_, kTestStart, kTestLifetime).error().code,
            Code::kAlreadyExists);
  EXPECT_EQ(LoadIdentity(folder_, kTestStart)->subject.id.text(), "dev-1");
}

TEST_F(IdentityTest, AnInterruptedIssueIsDoneAgain) {
  std::filesystem::remove(folder_ / "cert.pem");
  fleet_.IssueInto(folder_, Role::kDevice, "dev-1");
  EXPECT_TRUE(LoadIdentity(folder_, kTestStart).has_value());
}

TEST_F(IdentityTest, AMissingFileIsNamed) {
  for (const char* file : {"ca.pem", "cert.pem", "key.pem", "curve.key"}) {
    std::filesystem::rename(folder_ / file, folder_ / "away");
    const Error error = Refusal();
    EXPECT_EQ(error.code, Code::kMissingData);
    EXPECT_THAT(error.message, HasSubstr(file));
    std::filesystem::rename(folder_ / "away", folder_ / file);
  }
  EXPECT_TRUE(LoadIdentity(folder_, kTestStart).has_value());
}

TEST_F(IdentityTest, ASecretThatOthersMayReadIsRefused) {
  for (const char* file : {"key.pem", "curve.key"}) {
    ASSERT_EQ(chmod((folder_ / file).c_str(), 0640), 0);
    const Error error = Refusal();
    EXPECT_EQ(error.code, Code::kPermissions);
    EXPECT_THAT(error.message, HasSubstr("0640"));
    ASSERT_EQ(chmod((folder_ / file).c_str(), 0600), 0);
  }
}

TEST_F(IdentityTest, AnotherMembersKeyIsAConflict) {
  Exchange("key.pem");
  EXPECT_EQ(Refusal().code, Code::kConflict);
}

TEST_F(IdentityTest, AnotherMembersCurveKeyIsAConflict) {
  Exchange("curve.key");
  EXPECT_EQ(Refusal().code, Code::kConflict);
}

TEST_F(IdentityTest, AnotherFleetsCaIsUnknown) {
  const TestFleet other;
  Write("ca.pem", CertificateToPem(other.authority().certificate()));
  EXPECT_EQ(Refusal().code, Code::kUnknownCertificate);
}

TEST_F(IdentityTest, IsRefusedOutsideItsTime) {
  EXPECT_EQ(Refusal(kTestStart + 2 * kTestLifetime).code, Code::kExpiredCertificate);
  EXPECT_EQ(Refusal({kTestStart.unix_millis - 10'000}).code, Code::kExpiredCertificate);
}

TEST_F(IdentityTest, DamagedFilesAreMalformedAndNamed) {
  for (const char* file : {"curve.key", "key.pem", "cert.pem", "ca.pem"}) {
    Write(file, "rubbish");
    const Error error = Refusal();
    EXPECT_EQ(error.code, Code::kMalformed) << file;
    EXPECT_THAT(error.message, HasSubstr(file));
  }
}

TEST_F(IdentityTest, ACurveKeyOfAnotherSizeIsMalformed) {
  Write("curve.key", "00112233\n");
  EXPECT_EQ(Refusal().code, Code::kMalformed);
}

// RFC 7748 section 6.1: Alice's key pair.
TEST(CurveKeys, PublicKeyOfAKnownSecret) {
  const SecretBytes secret(*FromHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  EXPECT_EQ(ToHex(*CurvePublicKeyOf(secret)), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
}

TEST(CurveKeys, AreFreshAndBelongTogether) {
  const CurveKeyPair one = GenerateCurveKeyPair();
  EXPECT_EQ(*CurvePublicKeyOf(one.secret), one.public_key);
  EXPECT_NE(GenerateCurveKeyPair().public_key, one.public_key);
  EXPECT_EQ(CurvePublicKeyOf(SecretBytes(size_t{31})).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary
