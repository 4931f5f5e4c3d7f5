#include <rapidcheck.h>

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/chain_cache.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "protocol/trust/seal/digest.h"
#include "tests/protocol/trust/identity/odd_certificate.h"
#include "tests/protocol/trust/identity/openssl_command.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::certificate_test {
namespace {

using testing::HasSubstr;

constexpr Millis kHour{3'600'000};
using Extensions = std::vector<std::pair<std::string, std::string>>;

const std::string kCurveUri = "urn:tributary:curve:" + std::string(64, '1');
const std::string kGoodNames = "URI:urn:tributary:id:dev-1,URI:urn:tributary:role:device,URI:" + kCurveUri;

Extensions LeafExtensions(const std::string& names, const std::string& basic = "critical,CA:FALSE",
                          const std::string& usage = "critical,digitalSignature") {
  Extensions extensions = {{"basicConstraints", basic},
                           {"keyUsage", usage},
                           {"subjectKeyIdentifier", "hash"},
                           {"authorityKeyIdentifier", "keyid:always"}};
  if (!names.empty()) extensions.emplace_back("subjectAltName", names);
  return extensions;
}

class CertificateTest : public testing::Test {
 protected:
  Code Refusal(std::vector<Bytes> chain, WallTime now = kTestStart) const {
    const auto verified = fleet_.anchor().Verify(chain, now);
    EXPECT_FALSE(verified.has_value());
    return verified ? Code{} : verified.error().code;
  }
  Certificate Odd(Extensions extensions) const {
    return Issue({.name = "dev-1", .public_key = key_.public_key(), .extensions = std::move(extensions)},
                 fleet_.authority().certificate(), fleet_.authority().key());
  }
  Code RefusalOfNames(const std::string& names) const { return Refusal({Odd(LeafExtensions(names)).der}); }

  const TestFleet fleet_;
  const SigningKey key_ = SigningKey::Generate();
};

TEST_F(CertificateTest, SaysWhatItWasIssuedWith) {
  for (const Role role : {Role::kDevice, Role::kEvaluator, Role::kGateway, Role::kAggregator}) {
    const Identity identity = fleet_.Issue(role, "member-1");
    const auto verified = fleet_.anchor().Verify(identity.chain, kTestStart + kHour);
    ASSERT_TRUE(verified.has_value()) << verified.error().ToString();
    EXPECT_EQ(verified->subject.id.text(), "member-1");
    EXPECT_EQ(verified->subject.role, role);
    EXPECT_EQ(verified->subject.device_class, identity.subject.device_class);
    EXPECT_EQ(verified->subject.curve_public_key, identity.subject.curve_public_key);
    EXPECT_EQ(verified->public_key, identity.key.public_key());
    EXPECT_EQ(verified->not_after, kTestStart + kTestLifetime);
    EXPECT_EQ(verified->serial.size(), 32u);
    EXPECT_EQ(RoleByName(RoleName(role)), role);
  }
  EXPECT_EQ(RoleByName("root"), std::nullopt);
}

TEST_F(CertificateTest, SerialsDiffer) {
  const auto first = fleet_.anchor().Verify(fleet_.Issue(Role::kDevice, "dev-1").chain, kTestStart);
  const auto second = fleet_.anchor().Verify(fleet_.Issue(Role::kDevice, "dev-1").chain, kTestStart);
  EXPECT_NE(first->serial, second->serial);
}

TEST_F(CertificateTest, OfAnotherCaIsUnknownEvenWithTheSameName) {
  const TestFleet other;
  EXPECT_EQ(Refusal(other.Issue(Role::kDevice, "dev-1").chain), Code::kUnknownCertificate);
}

TEST_F(CertificateTest, IsValidFromItsFirstSecondToItsLast) {
  const auto chain = fleet_.IssueFor(Role::kDevice, "dev-1", kTestStart + kHour, 2 * kHour).chain;
  const auto verify = [&](Millis after) { return fleet_.anchor().Verify(chain, kTestStart + after); };
  const auto early = verify(kHour - Millis(1000));
  ASSERT_FALSE(early.has_value());
  EXPECT_EQ(early.error().code, Code::kExpiredCertificate);
  EXPECT_THAT(early.error().message, HasSubstr("not valid before 1 s from now"));
  EXPECT_TRUE(verify(kHour).has_value());
  EXPECT_TRUE(verify(3 * kHour - Millis(1000)).has_value());
  const auto late = verify(8 * kHour);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Code::kExpiredCertificate);
  EXPECT_THAT(late.error().message, HasSubstr("'dev-1' expired 5 h ago"));
}

TEST_F(CertificateTest, ExpiresWithItsCa) {
  const auto chain = fleet_.IssueFor(Role::kDevice, "dev-1", kTestStart, 2 * kTestLifetime).chain;
  EXPECT_EQ(fleet_.anchor().Verify(chain, kTestStart)->not_after, kTestStart + kTestLifetime);
  EXPECT_EQ(Refusal(chain, kTestStart + kTestLifetime + kHour), Code::kExpiredCertificate);
}

// A chain that verified is remembered; that must never show.
TEST_F(CertificateTest, ARememberedChainIsJudgedAsAnUnknownOne) {
  const auto chain = fleet_.IssueFor(Role::kDevice, "dev-1", kTestStart + kHour, 2 * kHour).chain;
  const auto fresh = [&] { return *TrustAnchor::FromCertificate(fleet_.authority().certificate()); };
  ASSERT_TRUE(fleet_.anchor().Verify(chain, kTestStart + kHour).has_value());
  for (int64_t millis = 0; millis < 4 * kHour.count(); millis += 599'500) {
    const WallTime now = kTestStart + Millis(millis);
    const auto remembered = fleet_.anchor().Verify(chain, now);
    const auto unknown = fresh().Verify(chain, now);
    ASSERT_EQ(remembered.has_value(), unknown.has_value()) << millis;
    if (unknown) {
      EXPECT_EQ(remembered->serial, unknown->serial);
    } else {
      EXPECT_EQ(remembered.error().ToString(), unknown.error().ToString());
    }
  }
}

// More members than are remembered.
TEST_F(CertificateTest, TheForgottenVerifyAgain) {
  const std::vector<Bytes> other = fleet_.Issue(Role::kDevice, "dev-2").chain;
  Bytes leaf = fleet_.Issue(Role::kDevice, "dev-1").chain.front();
  // One member's chain with another's behind it is a chain of its own.
  EXPECT_EQ(fleet_.anchor().Verify(std::vector<Bytes>{leaf, other.front()}, kTestStart)->subject.id.text(), "dev-1");
  EXPECT_EQ(fleet_.anchor().Verify(std::vector<Bytes>{other.front(), leaf}, kTestStart)->subject.id.text(), "dev-2");
  ChainCache cache;
  const auto entry = std::make_shared<const VerifiedChain>();
  const auto digest = [](uint32_t i) {
    Bytes bytes;
    AppendU32(bytes, i);
    return Sha256(bytes);
  };
  for (uint32_t i = 0; i < 5 * ChainCache::kGeneration; ++i) {
    cache.Keep(digest(i), entry);
    ASSERT_LE(cache.size(), 2 * ChainCache::kGeneration);
    ASSERT_EQ(cache.Find(digest(0)), entry) << "in use all the time, so never forgotten: " << i;
  }
  EXPECT_EQ(cache.Find(digest(1)), nullptr);
}

TEST_F(CertificateTest, AnIntermediateMayIssueWhenItIsACaAndSent) {
  const SigningKey sub_key = SigningKey::Generate();
  const auto sub_ca = [&](const std::string& basic, const std::string& usage) {
    return Issue({.name = "sub", .public_key = sub_key.public_key(), .extensions = LeafExtensions("", basic, usage)},
                 fleet_.authority().certificate(), fleet_.authority().key());
  };
  const auto leaf_of = [&](const Certificate& issuer) {
    return Issue({.name = "dev-1", .public_key = key_.public_key(), .extensions = LeafExtensions(kGoodNames)}, issuer,
                 sub_key);
  };
  const Certificate good = sub_ca("critical,CA:TRUE", "critical,keyCertSign");
  EXPECT_TRUE(fleet_.anchor().Verify(std::vector<Bytes>{leaf_of(good).der, good.der}, kTestStart).has_value());
  EXPECT_EQ(Refusal({leaf_of(good).der}), Code::kUnknownCertificate);
  EXPECT_EQ(Refusal({good.der}), Code::kUnknownCertificate);
  // A member's certificate issues nothing.
  const Certificate member = sub_ca("critical,CA:FALSE", "critical,digitalSignature");
  EXPECT_EQ(Refusal({leaf_of(member).der, member.der}), Code::kUnknownCertificate);
  const Certificate no_usage = sub_ca("critical,CA:TRUE", "critical,digitalSignature");
  EXPECT_EQ(Refusal({leaf_of(no_usage).der, no_usage.der}), Code::kUnknownCertificate);
}

TEST_F(CertificateTest, NamesAreReadStrictly) {
  ASSERT_TRUE(fleet_.anchor().Verify(std::vector<Bytes>{Odd(LeafExtensions(kGoodNames)).der}, kTestStart).has_value());
  for (const std::string& bad :
       {std::string(),                                                            // no names at all
        std::string("URI:urn:tributary:role:device,URI:") + kCurveUri,            // no id
        std::string("URI:urn:tributary:id:dev-1,URI:") + kCurveUri,               // no role
        std::string("URI:urn:tributary:id:dev-1,URI:urn:tributary:role:device"),  // no CURVE key
        kGoodNames + ",URI:urn:tributary:id:dev-1", kGoodNames + ",URI:urn:tributary:id:dev-2",
        kGoodNames + ",URI:urn:tributary:colour:red", kGoodNames + ",URI:https://example.org",
        kGoodNames + ",DNS:dev-1",
        kGoodNames + ",URI:urn:tributary:class:", kGoodNames + ",URI:urn:tributary:class:A B",
        "URI:urn:tributary:id:Dev/1,URI:urn:tributary:role:device,URI:" + kCurveUri,
        "URI:urn:tributary:id:dev-1,URI:urn:tributary:role:root,URI:" + kCurveUri,
        std::string("URI:urn:tributary:id:dev-1,URI:urn:tributary:role:device,URI:urn:tributary:curve:") +
            std::string(62, '1'),
        std::string("URI:urn:tributary:id:dev-1,URI:urn:tributary:role:device,URI:urn:tributary:curve:") +
            std::string(64, 'A')}) {
    EXPECT_EQ(RefusalOfNames(bad), Code::kMalformed) << bad;
  }
}

TEST_F(CertificateTest, AMemberIsNoCaAndMaySign) {
  EXPECT_EQ(Refusal({Odd(LeafExtensions(kGoodNames, "critical,CA:TRUE", "critical,keyCertSign")).der}),
            Code::kUnknownCertificate);
  EXPECT_EQ(Refusal({Odd(LeafExtensions(kGoodNames, "critical,CA:FALSE", "critical,keyAgreement")).der}),
            Code::kUnknownCertificate);
  Extensions unknown_critical = LeafExtensions(kGoodNames);
  unknown_critical.emplace_back("1.2.3.4", "critical,DER:0500");
  EXPECT_EQ(Refusal({Odd(unknown_critical).der}), Code::kUnknownCertificate);
}

TEST_F(CertificateTest, OtherKindsOfKeyAreMalformed) {
  const auto leaf = Issue({.name = "dev-1", .public_key = {}, .extensions = LeafExtensions(kGoodNames)},
                          fleet_.authority().certificate(), fleet_.authority().key());
  EXPECT_EQ(Refusal({leaf.der}), Code::kMalformed);
}

TEST_F(CertificateTest, SizesAreCheckedBeforeParsing) {
  const Bytes good = fleet_.Issue(Role::kDevice, "dev-1").chain.front();
  EXPECT_EQ(Refusal({}), Code::kMalformed);
  EXPECT_EQ(Refusal(std::vector<Bytes>(limits::kCertificateChain + 1, good)), Code::kTooLarge);
  EXPECT_EQ(Refusal({Bytes(limits::kCertificateBytes + 1)}), Code::kTooLarge);
  EXPECT_EQ(Refusal({good, Bytes(limits::kCertificateBytes + 1)}), Code::kTooLarge);
}

TEST_F(CertificateTest, OnlyTheExactDerIsACertificate) {
  const Bytes good = fleet_.Issue(Role::kDevice, "dev-1").chain.front();
  Bytes trailing = good;
  trailing.push_back(0);
  EXPECT_EQ(Refusal({trailing}), Code::kMalformed);
  EXPECT_EQ(Refusal({Bytes()}), Code::kMalformed);
  EXPECT_EQ(Refusal({good, Bytes{0x30, 0x00}}), Code::kMalformed);
  // The outer length in three bytes where two are enough: BER, not DER.
  ASSERT_EQ(good[1], 0x82);
  Bytes ber = {good[0], 0x83, 0x00};
  ber.insert(ber.end(), good.begin() + 2, good.end());
  EXPECT_EQ(Refusal({ber}), Code::kMalformed);
  for (size_t size = 0; size < good.size(); size += 7) {
    EXPECT_EQ(Refusal({Bytes(good.begin(), good.begin() + static_cast<long>(size))}), Code::kMalformed) << size;
  }
}

TEST_F(CertificateTest, NoAlterationOfAByteIsAccepted) {
  const Bytes good = fleet_.Issue(Role::kDevice, "dev-1").chain.front();
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes altered = good;
    altered[i] ^= 1;
    const auto verified = fleet_.anchor().Verify(std::vector<Bytes>{altered}, kTestStart);
    ASSERT_FALSE(verified.has_value()) << "byte " << i;
    EXPECT_THAT(verified.error().code,
                testing::AnyOf(Code::kMalformed, Code::kUnknownCertificate, Code::kExpiredCertificate))
        << "byte " << i;
  }
}

TEST_F(CertificateTest, GarbageIsRefused) {
  EXPECT_TRUE(rc::check([this](const Bytes& garbage) {
    RC_ASSERT(!fleet_.anchor().Verify(std::vector<Bytes>{garbage}, kTestStart).has_value());
    RC_ASSERT(!TrustAnchor::FromCertificate({garbage}).has_value());
    RC_ASSERT(!CertificatesFromPem(AsText(garbage)).has_value());
  }));
}

TEST_F(CertificateTest, AnAnchorIsACaCertificate) {
  EXPECT_EQ(TrustAnchor::FromCertificate({fleet_.Issue(Role::kDevice, "dev-1").chain.front()}).error().code,
            Code::kMalformed);
  // A CA certificate, but not signed by its own key.
  EXPECT_EQ(
      TrustAnchor::FromCertificate(Odd(LeafExtensions("", "critical,CA:TRUE", "critical,keyCertSign"))).error().code,
      Code::kMalformed);
}

TEST_F(CertificateTest, TheAuthorityRefusesWhatACertificateCannotSay) {
  const auto issue = [&](const Subject& subject, ByteView key, Millis lifetime = kHour) {
    const auto issued = fleet_.authority().Issue(subject, key, kTestStart, lifetime);
    return issued ? Code{} : issued.error().code;
  };
  const Subject good{TestDevice("dev-1"), Role::kDevice, "phone", Bytes(32, 1)};
  EXPECT_EQ(issue(good, key_.public_key()), Code{});
  EXPECT_EQ(issue(good, Bytes(31)), Code::kInvalidArgument);
  EXPECT_EQ(issue(good, key_.public_key(), Millis(0)), Code::kInvalidArgument);
  EXPECT_EQ(issue(good, key_.public_key(), Millis::max()), Code::kInvalidArgument);
  EXPECT_EQ(issue({good.id, good.role, "a,URI:urn:tributary:role:gateway", good.curve_public_key}, key_.public_key()),
            Code::kInvalidArgument);
  EXPECT_EQ(issue({good.id, good.role, "phone", {}}, key_.public_key()), Code::kInvalidArgument);
  EXPECT_EQ(issue({{}, good.role, "phone", good.curve_public_key}, key_.public_key()), Code::kInvalidArgument);
}

TEST_F(CertificateTest, TheAuthorityIsLoadedFromItsPem) {
  const auto& authority = fleet_.authority();
  const std::string pem = CertificateToPem(authority.certificate());
  const auto again = CertificateAuthority::Load(authority.key().ToPem(), pem);
  ASSERT_TRUE(again.has_value()) << again.error().ToString();
  const auto issued =
      again->Issue({TestDevice("dev-1"), Role::kGateway, "", Bytes(32, 1)}, key_.public_key(), kTestStart, kHour);
  EXPECT_TRUE(fleet_.anchor().Verify(std::vector<Bytes>{issued->der}, kTestStart).has_value());
  EXPECT_EQ(CertificateAuthority::Load(key_.ToPem(), pem).error().code, Code::kMalformed);
  EXPECT_EQ(CertificateAuthority::Load(authority.key().ToPem(), pem + pem).error().code, Code::kMalformed);
  EXPECT_EQ(CertificateAuthority::Load(authority.key().ToPem(), pem.substr(0, pem.size() / 2)).error().code,
            Code::kMalformed);
  EXPECT_EQ(CertificatesFromPem(std::string(1 << 20, 'x')).error().code, Code::kTooLarge);
  EXPECT_EQ(CertificatesFromPem(pem + pem)->size(), 2u);
}

// The operator's own tool reads what we issue.
TEST_F(CertificateTest, OpensslCommandLineShowsTheNames) {
  const TemporaryFolder folder;
  const Path path = folder / "cert.pem";
  const Identity identity = fleet_.Issue(Role::kDevice, "dev-1");
  ASSERT_TRUE(
      WriteFileAtomically(RealFileSystem(), path, AsBytes(CertificateToPem({identity.chain.front()}))).has_value());
  const auto [succeeded, text] = Openssl("x509 -noout -text -in " + path.string());
  ASSERT_TRUE(succeeded) << text;
  EXPECT_THAT(text, HasSubstr("URI:urn:tributary:id:dev-1"));
  EXPECT_THAT(text, HasSubstr("URI:urn:tributary:role:device"));
  EXPECT_THAT(text, HasSubstr("URI:urn:tributary:class:test"));
  EXPECT_THAT(text, HasSubstr("URI:urn:tributary:curve:" + ToHex(identity.subject.curve_public_key)));
  EXPECT_THAT(text, HasSubstr("CA:FALSE"));
  EXPECT_THAT(text, HasSubstr("Digital Signature"));
}

}  // namespace
}  // namespace tributary::certificate_test
