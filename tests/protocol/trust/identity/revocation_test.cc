#include <rapidcheck.h>

#include <thread>

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "protocol/trust/identity/revocation_list.h"
#include "tests/protocol/trust/identity/openssl_command.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::identity_revocation_test {
namespace {

using testing::HasSubstr;

constexpr Millis kHour{3'600'000};

class RevocationTest : public testing::Test {
 protected:
  std::vector<Bytes> Chain(const CertificateAuthority& authority, std::string_view id = "dev-1") const {
    const Subject subject{TestDevice(id), Role::kDevice, "test", Bytes(32, 1)};
    std::vector<Bytes> chain = {Must(authority.Issue(subject, key_.public_key(), kTestStart, kTestLifetime)).der};
    for (const Certificate& issuer : authority.chain()) chain.push_back(issuer.der);
    return chain;
  }
  static Bytes Sign(const CertificateAuthority& by, uint64_t number, const std::set<std::string>& serials) {
    return Must(SignRevocations(by, number, serials, kTestStart, kHour));
  }
  static std::string Pem(const CertificateAuthority& by, const Bytes& crl) {
    std::vector<Bytes> chain;
    for (const Certificate& certificate : by.chain()) chain.push_back(certificate.der);
    return RevocationsToPem(chain, crl);
  }
  RevocationList List(const CertificateAuthority& by, uint64_t number, const std::set<std::string>& serials) const {
    return Must(ReadRevocations(Pem(by, Sign(by, number, serials)), fleet_.anchor()));
  }
  Code Refusal(std::string_view pem) const {
    const auto read = ReadRevocations(pem, fleet_.anchor());
    EXPECT_FALSE(read.has_value());
    return read ? Code{} : read.error().code;
  }
  static std::string SerialOf(const std::vector<Bytes>& chain) { return SerialNumber({chain.front()}); }
  Code Verdict(const std::vector<Bytes>& chain) const {
    const auto verified = fleet_.anchor().Verify(chain, kTestStart);
    return verified ? Code{} : verified.error().code;
  }

  const TestFleet fleet_;
  const CertificateAuthority& ca_ = fleet_.authority();
  const CertificateAuthority issuer_ = Must(ca_.CreateIssuer("issuer", kTestStart, kTestLifetime));
  const SigningKey key_ = SigningKey::Generate();
  TrustAnchor anchor_ = fleet_.anchor();  // the same beliefs as the fleet's
};

TEST_F(RevocationTest, TheTextFormKeepsEverything) {
  const std::set<std::string> serials = {"01", "7f00", "4a000000000000000000000000000001"};
  const std::string pem = Pem(ca_, Sign(ca_, 7, {"05"})) + Pem(issuer_, Sign(issuer_, uint64_t{1} << 40, serials));
  const auto list = Must(ReadRevocations(pem, fleet_.anchor()));
  ASSERT_EQ(list.issuers.size(), 2u);
  EXPECT_TRUE(list.issuers[0].chain.empty());
  EXPECT_EQ(list.issuers[0].number, 7u);
  EXPECT_EQ(list.issuers[0].public_key, ca_.key().public_key());
  EXPECT_EQ(list.issuers[1].number, uint64_t{1} << 40);
  EXPECT_EQ(list.issuers[1].serials, serials);
  EXPECT_EQ(list.issuers[1].chain.front().der, issuer_.certificate().der);
  EXPECT_TRUE(list.Has(issuer_.key().public_key(), "7f00"));
  EXPECT_FALSE(list.Has(issuer_.key().public_key(), "05")) << "a serial counts for its own issuer only";
  EXPECT_TRUE(list.Has(ca_.key().public_key(), "05"));
}

TEST_F(RevocationTest, AnEmptyTextIsAnEmptyList) {
  EXPECT_TRUE(Must(ReadRevocations("", fleet_.anchor())).issuers.empty());
  EXPECT_TRUE(List(issuer_, 1, {}).issuers.front().serials.empty());
}

TEST_F(RevocationTest, TheRevokedAreRefusedEverywhereAtOnce) {
  const auto chain = Chain(issuer_);
  const auto other = Chain(issuer_, "dev-2");
  const auto member = Must(fleet_.anchor().Verify(chain, kTestStart));
  EXPECT_TRUE(fleet_.anchor().Standing(member, kTestStart).has_value());
  anchor_.Revoke(List(issuer_, 1, {SerialOf(chain)}));  // by a copy of the anchor
  EXPECT_EQ(Verdict(chain), Code::kRevokedCertificate);
  EXPECT_EQ(fleet_.anchor().Standing(member, kTestStart).error().code, Code::kRevokedCertificate);
  EXPECT_THAT(fleet_.anchor().Standing(member, kTestStart).error().message, HasSubstr("dev-1"));
  EXPECT_EQ(Verdict(other), Code{});
}

TEST_F(RevocationTest, MembersFallWithTheirIssuer) {
  const auto chain = Chain(issuer_);
  const auto by_ca = Chain(ca_, "dev-2");
  const auto member = Must(fleet_.anchor().Verify(chain, kTestStart));
  anchor_.Revoke(List(ca_, 1, {SerialNumber(issuer_.certificate())}));
  EXPECT_EQ(Verdict(chain), Code::kRevokedCertificate);
  EXPECT_EQ(fleet_.anchor().Standing(member, kTestStart).error().code, Code::kRevokedCertificate);
  EXPECT_EQ(Verdict(Chain(issuer_, "dev-3")), Code::kRevokedCertificate) << "issued after that, by a thief";
  EXPECT_EQ(Verdict(by_ca), Code{});
}

TEST_F(RevocationTest, AnOlderListNeverReplacesANewer) {
  const auto chain = Chain(issuer_);
  anchor_.Revoke(List(issuer_, 5, {SerialOf(chain)}));
  for (const uint64_t number : {0, 4, 5}) {
    anchor_.Revoke(List(issuer_, number, {}));
    EXPECT_EQ(Verdict(chain), Code::kRevokedCertificate) << number;
  }
  anchor_.Revoke(List(ca_, 9, {}));  // another issuer's
  anchor_.Revoke({});                // no list is not an empty list
  EXPECT_EQ(Verdict(chain), Code::kRevokedCertificate);
  anchor_.Revoke(List(issuer_, 6, {}));
  EXPECT_EQ(Verdict(chain), Code{});
}

// In any order of lists, the one with the greatest number holds.
TEST_F(RevocationTest, TheOrderOfListsDoesNotMatter) {
  const auto chain = Chain(issuer_);
  std::vector<RevocationList> lists;  // an odd number revokes
  for (uint64_t number = 0; number < 16; ++number) {
    lists.push_back(List(issuer_, number, number % 2 ? std::set{SerialOf(chain)} : std::set<std::string>{}));
  }
  EXPECT_TRUE(rc::check([&](std::vector<uint8_t> numbers) {
    TrustAnchor anchor = Must(TrustAnchor::FromCertificate(ca_.certificate()));
    int newest = -1;
    for (uint8_t number : numbers) {
      number %= lists.size();
      anchor.Revoke(lists[number]);
      newest = std::max<int>(newest, number);
    }
    RC_ASSERT(anchor.Verify(chain, kTestStart).has_value() == (newest % 2 != 1));
  }));
}

TEST_F(RevocationTest, StandingEndsWithTheCertificate) {
  const auto member = Must(fleet_.anchor().Verify(Chain(issuer_), kTestStart));
  EXPECT_TRUE(fleet_.anchor().Standing(member, kTestStart + kTestLifetime + Millis(-1)).has_value());
  EXPECT_EQ(fleet_.anchor().Standing(member, kTestStart + kTestLifetime).error().code, Code::kExpiredCertificate);
}

TEST_F(RevocationTest, ListsOfOthersAreRefused) {
  const TestFleet other;
  EXPECT_EQ(Refusal(Pem(other.authority(), Sign(other.authority(), 1, {}))), Code::kBadSignature)
      << "another CA of the same name, in the place of ours";
  const auto foreign = Must(other.authority().CreateIssuer("issuer", kTestStart, kTestLifetime));
  EXPECT_EQ(Refusal(Pem(foreign, Sign(foreign, 1, {}))), Code::kUnknownCertificate);
  // Signed by an issuer, shown as another's of the same name, or as the CA's.
  const auto twin = Must(ca_.CreateIssuer("issuer", kTestStart, kTestLifetime));
  EXPECT_EQ(Refusal(Pem(issuer_, Sign(twin, 1, {}))), Code::kBadSignature);
  EXPECT_EQ(Refusal(Pem(ca_, Sign(issuer_, 1, {}))), Code::kUnknownCertificate);
  // A device's certificate in an issuer's place.
  const std::string device = CertificateToPem({fleet_.Issue(Role::kDevice, "dev-1").chain.front()});
  EXPECT_EQ(Refusal(device + Pem(ca_, Sign(ca_, 1, {}))), Code::kUnknownCertificate);
}

TEST_F(RevocationTest, BrokenTextsAreRefused) {
  const std::string pem = Pem(issuer_, Sign(issuer_, 1, {"05"}));
  EXPECT_EQ(Refusal("rubbish"), Code::kMalformed);
  EXPECT_EQ(Refusal(CertificateToPem(issuer_.certificate())), Code::kMalformed) << "an issuer without its list";
  EXPECT_EQ(Refusal(pem + CertificateToPem(issuer_.certificate())), Code::kMalformed);
  EXPECT_EQ(Refusal(pem + "-----BEGIN EVIL-----\nAAAA\n-----END EVIL-----\n"), Code::kMalformed);
  EXPECT_EQ(Refusal(std::string(limits::kRevocationBytes + 1, '\n')), Code::kTooLarge);
  for (size_t size = 10; size < pem.size() - 30; size += 37) {
    EXPECT_FALSE(ReadRevocations(pem.substr(0, size), fleet_.anchor()).has_value()) << size;
  }
}

TEST_F(RevocationTest, NoAlterationOfAByteIsAccepted) {
  const Bytes good = Sign(issuer_, 1, {"05", "06"});
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes altered = good;
    altered[i] ^= 1;
    EXPECT_FALSE(ReadRevocations(Pem(issuer_, altered), fleet_.anchor()).has_value()) << "byte " << i;
  }
}

TEST_F(RevocationTest, WhatAListCannotSayIsRefused) {
  for (const char* serial : {"", "xyz", "0", "000102030405060708090a0b0c0d0e0f1011121314"}) {
    EXPECT_EQ(SignRevocations(issuer_, 1, {serial}, kTestStart, kHour).error().code, Code::kInvalidArgument) << serial;
  }
  EXPECT_EQ(SignRevocations(issuer_, 1, {}, {-5000}, kHour).error().code, Code::kInvalidArgument);
}

// A list as long as the limit lets through: what limits.h says of members.
TEST_F(RevocationTest, HoldsThousandsOfMembers) {
  std::set<std::string> serials;
  for (uint64_t i = 0; i < 4500; ++i) {
    Bytes serial(8, 0x4a);
    AppendU64(serial, i);
    serials.insert(ToHex(serial));
  }
  const auto list = List(issuer_, 1, serials);
  EXPECT_EQ(list.issuers.front().serials, serials);
}

TEST_F(RevocationTest, OpensslCommandLineReadsAndUsesThem) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(RealFileSystem(), folder / name, AsBytes(text)).has_value());
    return (folder / name).string();
  };
  const auto chain = Chain(issuer_);
  const std::string crl = write("crl.pem", Pem(issuer_, Sign(issuer_, 3, {SerialOf(chain)})));
  const auto text = Openssl("crl -noout -text -in " + crl);
  ASSERT_TRUE(text.succeeded) << text.text;
  std::string upper = SerialOf(chain);
  std::ranges::transform(upper, upper.begin(), [](char c) { return static_cast<char>(toupper(c)); });
  EXPECT_THAT(text.text, HasSubstr("Serial Number: " + upper));
  EXPECT_THAT(text.text, HasSubstr("X509v3 CRL Number: \n                3"));
  const std::string ca = write("ca.pem", CertificateToPem(ca_.certificate()));
  const std::string issuer = write("issuer.pem", CertificateToPem(issuer_.certificate()));
  const auto verify = [&](const std::vector<Bytes>& member) {
    const std::string leaf = write("cert.pem", CertificateToPem({member.front()}));
    return Openssl("verify -crl_check -attime " + std::to_string(kTestStart.unix_seconds() + 60) + " -CAfile " +
                   ca + " -untrusted " + issuer + " -CRLfile " + crl + " " + leaf);
  };
  const auto revoked = verify(chain);
  EXPECT_FALSE(revoked.succeeded);
  EXPECT_THAT(revoked.text, HasSubstr("certificate revoked"));
  const auto good = verify(Chain(issuer_, "dev-2"));
  EXPECT_TRUE(good.succeeded) << good.text;
}

// Uploads are verified on many threads while a publication brings a new list.
TEST_F(RevocationTest, VerifyingAndRevokingGoOnSideBySide) {
  const auto chain = Chain(issuer_);
  const RevocationList revoking = List(issuer_, 1, {SerialOf(chain)});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (Verdict(chain) != Code::kRevokedCertificate) {
      }
    });
  }
  anchor_.Revoke(revoking);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Verdict(chain), Code::kRevokedCertificate);
}

}  // namespace
}  // namespace tributary::identity_revocation_test
