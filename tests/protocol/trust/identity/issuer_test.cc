#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/revocation_list.h"
#include "tests/protocol/trust/identity/openssl_command.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::issuer_test {
namespace {

using testing::HasSubstr;

constexpr Millis kHour{3'600'000};

// An issuer below the fleet's CA, which may be online while the CA's key is not.
class IssuerTest : public testing::Test {
 protected:
  Certificate IssueDevice(const CertificateAuthority& authority, Millis lifetime = kTestLifetime) const {
    return Must(authority.Issue({TestDevice("dev-1"), Role::kDevice, "test", Bytes(32, 1)}, key_.public_key(),
                                kTestStart, lifetime));
  }
  std::vector<Bytes> Chain(const CertificateAuthority& authority, Millis lifetime = kTestLifetime) const {
    std::vector<Bytes> chain = {IssueDevice(authority, lifetime).der};
    for (const Certificate& issuer : authority.chain()) chain.push_back(issuer.der);
    return chain;
  }
  void Write(const char* name, const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / name, AsBytes(text)).has_value());
  }
  std::string At(const char* name) const { return (folder_ / name).string(); }

  const TestFleet fleet_;
  const CertificateAuthority issuer_ =
      Must(fleet_.authority().CreateIssuer("test fleet issuer 1", kTestStart, kTestLifetime));
  const SigningKey key_ = SigningKey::Generate();
  const TemporaryFolder folder_;
};

TEST_F(IssuerTest, ItsMembersAreMembersOfTheFleet) {
  const auto verified = fleet_.anchor().Verify(Chain(issuer_), kTestStart + kHour);
  ASSERT_TRUE(verified.has_value()) << verified.error().ToString();
  EXPECT_EQ(verified->subject.id.text(), "dev-1");
  EXPECT_EQ(verified->issuer_public_key, issuer_.key().public_key());
  ASSERT_EQ(verified->issuers.size(), 1u);
  EXPECT_EQ(verified->issuers.front().issuer_public_key, fleet_.authority().key().public_key());
  EXPECT_EQ(verified->issuers.front().serial, SerialNumber(issuer_.certificate()));
  EXPECT_EQ(CommonName(issuer_.certificate()), "test fleet issuer 1");
  EXPECT_EQ(CommonName(issuer_.root()), "test fleet");
}

TEST_F(IssuerTest, TheCasOwnMembersHaveNobodyBetween) {
  const auto verified = Must(fleet_.anchor().Verify(Chain(fleet_.authority()), kTestStart));
  EXPECT_EQ(verified.issuer_public_key, fleet_.authority().key().public_key());
  EXPECT_TRUE(verified.issuers.empty());
  EXPECT_TRUE(fleet_.authority().chain().empty());
}

TEST_F(IssuerTest, WithoutItsCertificateItsMembersAreUnknown) {
  EXPECT_EQ(fleet_.anchor().Verify(std::vector<Bytes>{IssueDevice(issuer_).der}, kTestStart).error().code,
            Code::kUnknownCertificate);
}

TEST_F(IssuerTest, MakesNoFurtherIssuers) {
  EXPECT_EQ(issuer_.CreateIssuer("issuer 2", kTestStart, kHour).error().code, Code::kInvalidArgument);
}

TEST_F(IssuerTest, NeedsANameAndDates) {
  EXPECT_EQ(fleet_.authority().CreateIssuer("", kTestStart, kHour).error().code, Code::kInvalidArgument);
  EXPECT_EQ(fleet_.authority().CreateIssuer(std::string(65, 'x'), kTestStart, kHour).error().code,
            Code::kInvalidArgument);
  EXPECT_TRUE(fleet_.authority().CreateIssuer(std::string(64, 'x'), kTestStart, kHour).has_value());
  EXPECT_EQ(fleet_.authority().CreateIssuer("x", kTestStart, Millis(0)).error().code, Code::kInvalidArgument);
}

TEST_F(IssuerTest, MembersEndWithTheirIssuer) {
  const auto brief = Must(fleet_.authority().CreateIssuer("brief", kTestStart, 2 * kHour));
  const auto chain = Chain(brief);
  EXPECT_EQ(fleet_.anchor().Verify(chain, kTestStart)->not_after, kTestStart + 2 * kHour);
  const auto late = fleet_.anchor().Verify(chain, kTestStart + 2 * kHour);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Code::kExpiredCertificate);
  EXPECT_THAT(late.error().message, HasSubstr("'brief' expired"));
}

TEST_F(IssuerTest, OpensslCommandLineVerifiesItsChains) {
  Write("ca.pem", CertificateToPem(issuer_.root()));
  Write("issuer.pem", CertificateToPem(issuer_.certificate()));
  Write("cert.pem", CertificateToPem(IssueDevice(issuer_)));
  const std::string at = " -attime " + std::to_string(kTestStart.unix_seconds() + 60);
  const auto whole = Openssl("verify -x509_strict" + at + " -CAfile " + At("ca.pem") + " -untrusted " +
                             At("issuer.pem") + " " + At("cert.pem"));
  EXPECT_TRUE(whole.succeeded) << whole.text;
  const auto without = Openssl("verify" + at + " -CAfile " + At("ca.pem") + " " + At("cert.pem"));
  EXPECT_FALSE(without.succeeded) << without.text;
  const auto text = Openssl("x509 -noout -text -in " + At("issuer.pem")).text;
  EXPECT_THAT(text, HasSubstr("CA:TRUE, pathlen:0"));
  EXPECT_THAT(text, HasSubstr("Certificate Sign, CRL Sign"));
}

// ---- as folders

TEST_F(IssuerTest, FoldersComeBackAsTheyWere) {
  const Bytes root = ToBytes(AsBytes("{\"signed\":1}"));
  ASSERT_TRUE(SaveAuthority(fleet_.authority(), folder_ / "ca", root).has_value());
  ASSERT_TRUE(SaveAuthority(issuer_, folder_ / "issuer", root).has_value());
  const auto ca = Must(LoadAuthority(folder_ / "ca"));
  EXPECT_TRUE(ca.chain().empty());
  const auto issuer = Must(LoadAuthority(folder_ / "issuer"));
  ASSERT_EQ(issuer.chain().size(), 1u);
  EXPECT_EQ(issuer.root().der, fleet_.authority().certificate().der);
  EXPECT_EQ(Must(ReadPublicationRoot(folder_ / "issuer")), root);
  for (const auto* authority : {&ca, &issuer}) {
    EXPECT_TRUE(fleet_.anchor().Verify(Chain(*authority), kTestStart).has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "issuer" / "ca.key")) << "the CA's key stays where it is";
  for (const char* secret : {"ca/ca.key", "issuer/issuer.key"}) {
    struct stat status {};
    ASSERT_EQ(stat(At(secret).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u) << secret;
  }
  EXPECT_EQ(SaveAuthority(issuer_, folder_ / "issuer", root).error().code, Code::kAlreadyExists);
}

TEST_F(IssuerTest, AFolderOfOtherPartsIsRefused) {
  ASSERT_TRUE(SaveAuthority(issuer_, folder_ / "issuer", {}).has_value());
  EXPECT_TRUE(Must(ReadPublicationRoot(folder_ / "issuer")).empty());
  const auto refusal = [&] { return LoadAuthority(folder_ / "issuer").error(); };
  Write("issuer/ca.pem", CertificateToPem(TestFleet().authority().certificate()));
  EXPECT_EQ(refusal().code, Code::kMalformed);
  EXPECT_THAT(refusal().message, HasSubstr("not of this CA"));
  Write("issuer/ca.pem", CertificateToPem(fleet_.authority().certificate()));
  const auto other = Must(fleet_.authority().CreateIssuer("other", kTestStart, kHour));
  Write("issuer/issuer.pem", CertificateToPem(other.certificate()));
  EXPECT_THAT(refusal().message, HasSubstr("key is not the one"));
  // A member's certificate issues nothing, whoever has its key.
  Write("issuer/issuer.pem", CertificateToPem(IssueDevice(fleet_.authority())));
  EXPECT_EQ(refusal().code, Code::kMalformed);
  std::filesystem::remove(folder_ / "issuer" / "issuer.key");
  EXPECT_EQ(refusal().code, Code::kMissingData);
  EXPECT_THAT(refusal().message, HasSubstr("issuer.key"));
  EXPECT_EQ(LoadAuthority(folder_ / "nowhere").error().code, Code::kMissingData);
}

TEST_F(IssuerTest, AnIssuersKeyThatOthersMayReadIsRefused) {
  ASSERT_TRUE(SaveAuthority(issuer_, folder_ / "issuer", {}).has_value());
  ASSERT_EQ(chmod(At("issuer/issuer.key").c_str(), 0644), 0);
  EXPECT_EQ(LoadAuthority(folder_ / "issuer").error().code, Code::kPermissions);
}

TEST_F(IssuerTest, IdentitiesCarryTheChainAndTheRoot) {
  const Bytes root = ToBytes(AsBytes("{\"signed\":1}"));
  const Path member = folder_ / "dev-1";
  ASSERT_TRUE(
      IssueIdentity(issuer_, {TestDevice("dev-1"), Role::kDevice, "test", {}}, member, kTestStart, kTestLifetime, root)
          .has_value());
  const auto identity = Must(LoadIdentity(member, kTestStart));
  EXPECT_EQ(identity.chain.size(), 2u);
  EXPECT_EQ(identity.anchor.publication_root(), root);
  EXPECT_EQ(identity.anchor.ca().der, fleet_.authority().certificate().der);
  EXPECT_TRUE(fleet_.anchor().Verify(identity.chain, kTestStart).has_value());
  Write("dev-1/root.json", std::string(limits::kRootBytes + 1, ' '));
  EXPECT_EQ(LoadIdentity(member, kTestStart).error().code, Code::kTooLarge);
}

}  // namespace
}  // namespace tributary::issuer_test
