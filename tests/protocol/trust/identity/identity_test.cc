#include "protocol/trust/identity/identity.h"

#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>

#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::identity_test {
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

// ---- a member that makes its own keys and is given a certificate

class PreparedIdentityTest : public IdentityTest {
 protected:
  MemberKeys Prepare() const {
    return Must(PrepareIdentity(mine_, fleet_.authority().certificate(), AsBytes("{\"root\":1}")));
  }
  std::vector<Bytes> Certify(const MemberKeys& keys, std::string_view id, WallTime from = kTestStart,
                             Role role = Role::kDevice) const {
    return {Must(fleet_.authority().Issue({TestDevice(id), role, "", keys.curve.public_key}, keys.key.public_key(),
                                          from, kTestLifetime))
                .der};
  }
  Status Save(const std::vector<Bytes>& chain, WallTime now = kTestStart) const {
    return SaveCertificate(RealFileSystem(), mine_, chain, now);
  }
  const Path mine_ = root_ / "mine";
};

TEST_F(PreparedIdentityTest, BecomesAnIdentityWithItsCertificate) {
  const MemberKeys keys = Prepare();
  EXPECT_EQ(LoadIdentity(mine_, kTestStart).error().code, Code::kMissingData);
  ASSERT_TRUE(Save(Certify(keys, "dev-7")).has_value());
  const auto loaded = LoadIdentity(mine_, kTestStart);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_EQ(loaded->subject.id.text(), "dev-7");
  EXPECT_EQ(loaded->key.public_key(), keys.key.public_key());
  EXPECT_EQ(AsText(loaded->anchor.publication_root()), "{\"root\":1}");
}

TEST_F(PreparedIdentityTest, GoesOnWithTheKeysItHas) {
  const MemberKeys keys = Prepare();
  const MemberKeys again = Prepare();
  EXPECT_EQ(again.key.public_key(), keys.key.public_key());
  EXPECT_EQ(again.curve.public_key, keys.curve.public_key);
  for (const char* secret : {"key.pem", "curve.key"}) {
    struct stat status {};
    ASSERT_EQ(stat((mine_ / secret).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u) << secret;
    ASSERT_EQ(chmod((mine_ / secret).c_str(), 0644), 0);
    EXPECT_EQ(PrepareIdentity(mine_, fleet_.authority().certificate(), {}).error().code, Code::kPermissions);
    ASSERT_EQ(chmod((mine_ / secret).c_str(), 0600), 0);
  }
}

TEST_F(PreparedIdentityTest, IsRenewedEvenAfterItsEnd) {
  const MemberKeys keys = Prepare();
  ASSERT_TRUE(Save(Certify(keys, "dev-7")).has_value());
  const WallTime later = kTestStart + kTestLifetime / 2;
  ASSERT_TRUE(Save(Certify(keys, "dev-7", later), later).has_value());
  EXPECT_TRUE(LoadIdentity(mine_, later).has_value());
  EXPECT_EQ(LoadIdentity(mine_, kTestStart).error().code, Code::kExpiredCertificate) << "the newer one is there";
}

TEST_F(PreparedIdentityTest, KeepsWhatItHasWhenTheNewOneIsWrong) {
  const MemberKeys keys = Prepare();
  ASSERT_TRUE(Save(Certify(keys, "dev-7")).has_value());
  EXPECT_EQ(Save(Certify(keys, "dev-8")).error().code, Code::kConflict) << "another id";
  EXPECT_EQ(Save(Certify(keys, "dev-7", kTestStart, Role::kGateway)).error().code, Code::kConflict) << "another role";
  EXPECT_EQ(Save(fleet_.Issue(Role::kDevice, "dev-7").chain).error().code, Code::kConflict) << "other keys";
  EXPECT_EQ(Save(TestFleet().Issue(Role::kDevice, "dev-7").chain).error().code, Code::kUnknownCertificate);
  EXPECT_EQ(Save(Certify(keys, "dev-7"), kTestStart + kTestLifetime).error().code, Code::kExpiredCertificate);
  EXPECT_EQ(Save({}).error().code, Code::kMalformed);
  MemberKeys moved = Prepare();
  moved.curve = GenerateCurveKeyPair();
  EXPECT_EQ(Save(Certify(moved, "dev-7")).error().code, Code::kConflict) << "another CURVE key";
  EXPECT_EQ(LoadIdentity(mine_, kTestStart)->subject.id.text(), "dev-7");
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
}  // namespace tributary::identity_test
