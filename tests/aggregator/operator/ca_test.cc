// `tributary ca …`, parsed and run in this process.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>

#include "aggregator/operator/ceremony/ca_commands.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::ca_test {
namespace {

using testing::HasSubstr;

class CaTest : public testing::Test {
 protected:
  void SetUp() override { Make({"init", "--dir", In("ca"), "--name", "field"}); }

  ExitCode Ca(std::vector<std::string> arguments) {
    Context context;
    CLI::App app;
    AddCaCommands(app, context);
    arguments.insert(arguments.begin(), "ca");
    std::ranges::reverse(arguments);  // as CLI11 takes them
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    try {
      app.parse(arguments);
    } catch (const CLI::ParseError&) {
      context.exit_code = ExitCode::kUsage;
    }
    said_ = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
    return context.exit_code;
  }
  void Make(std::vector<std::string> arguments) { ASSERT_EQ(Ca(std::move(arguments)), ExitCode::kOk) << said_; }
  void MakeIssuer() { Make({"issuer", "--ca", In("ca"), "--out", In("issuer")}); }
  void Issue(const std::string& ca, const std::string& id) {
    Make({"issue", "--ca", In(ca), "--role", "device", "--id", id, "--out", In(id)});
  }
  std::string In(const std::string& name) const { return (folder_ / name).string(); }
  void Write(const std::string& name, const std::string& text) const {
    Must(WriteFileAtomically(RealFileSystem(), folder_ / name, AsBytes(text)));
  }
  Identity Load(const std::string& id) const { return Must(LoadIdentity(folder_ / id, SystemClock().Now())); }
  // A member's verdict on the list in `file`.
  Code Verdict(const std::string& file, const Identity& member) const {
    const auto authority = Must(LoadAuthority(folder_ / "ca"));
    TrustAnchor anchor = Must(TrustAnchor::FromCertificate(authority.certificate()));
    const Bytes text = Must(ReadFile(RealFileSystem(), folder_ / file, 100'000));
    anchor.Revoke(Must(ReadRevocations(AsText(text), anchor)));
    const auto verified = anchor.Verify(member.chain, SystemClock().Now());
    return verified ? Code{} : verified.error().code;
  }

  const TemporaryFolder folder_;
  std::string said_;
};

TEST_F(CaTest, AnIssuerWorksWithoutTheCasKey) {
  Write("ca/root.json", "{\"signed\":1}");
  MakeIssuer();
  EXPECT_THAT(said_, HasSubstr("issuer field issuer 20"));
  for (const char* file : {"issuer.pem", "issuer.key", "ca.pem", "root.json"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / "issuer" / file)) << file;
  }
  struct stat status {};
  ASSERT_EQ(stat(In("issuer/issuer.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  std::filesystem::rename(folder_ / "ca", folder_ / "offline");
  Issue("issuer", "dev-1");
  const Identity member = Load("dev-1");
  EXPECT_EQ(member.chain.size(), 2u);
  EXPECT_EQ(AsText(member.anchor.publication_root()), "{\"signed\":1}");
}

TEST_F(CaTest, IdentitiesGetTheRootThatTheCaHas) {
  Issue("ca", "before");
  EXPECT_TRUE(Load("before").anchor.publication_root().empty());
  Write("ca/root.json", "{\"signed\":2}");
  Issue("ca", "after");
  EXPECT_EQ(AsText(Load("after").anchor.publication_root()), "{\"signed\":2}");
}

TEST_F(CaTest, WhatIsThereIsNeverWrittenOver) {
  MakeIssuer();
  EXPECT_EQ(Ca({"issuer", "--ca", In("ca"), "--out", In("issuer")}), ExitCode::kFailed);
  EXPECT_THAT(said_, HasSubstr("exists"));
  EXPECT_EQ(Ca({"init", "--dir", In("ca"), "--name", "field"}), ExitCode::kFailed);
  EXPECT_EQ(Ca({"init", "--dir", In("issuer"), "--name", "field"}), ExitCode::kFailed) << "its ca.pem is another's";
}

TEST_F(CaTest, AnIdentityIsRenewedForItsOwnKeys) {
  MakeIssuer();
  Issue("ca", "dev-1");
  const Identity before = Load("dev-1");
  Make({"renew", "--ca", In("issuer"), "--days", "700", In("dev-1")});
  EXPECT_THAT(said_, HasSubstr("dev-1 has another certificate"));
  const WallTime issuer_ends = Must(EndOf(Must(LoadAuthority(folder_ / "issuer")).certificate()));
  EXPECT_THAT(said_, HasSubstr("it ends on " + DateOf(issuer_ends))) << "as its issuer does";
  const Identity after = Load("dev-1");
  EXPECT_EQ(after.chain.size(), 2u) << "by the issuer now";
  EXPECT_EQ(after.subject.id, before.subject.id);
  EXPECT_EQ(after.key.public_key(), before.key.public_key());
  EXPECT_EQ(after.subject.curve_public_key, before.subject.curve_public_key);
}

TEST_F(CaTest, AnIdentityThatIsOverIsRenewedToo) {
  const auto ca = Must(LoadAuthority(folder_ / "ca"));
  constexpr Millis kDay = std::chrono::hours(24);
  Must(IssueIdentity(ca, {Must(DeviceId::Parse("aggregator")), Role::kAggregator, "", {}}, folder_ / "aggregator",
                     SystemClock().Now() + -3 * kDay, 2 * kDay));
  EXPECT_EQ(LoadIdentity(folder_ / "aggregator", SystemClock().Now()).error().code, Code::kExpiredCertificate);
  Make({"renew", "--ca", In("ca"), In("aggregator")});
  EXPECT_EQ(Load("aggregator").subject.role, Role::kAggregator);
}

TEST_F(CaTest, AnotherFleetsCaRenewsNothing) {
  Issue("ca", "dev-1");
  const auto chain = Load("dev-1").chain;
  Make({"init", "--dir", In("other"), "--name", "other"});
  EXPECT_EQ(Ca({"renew", "--ca", In("other"), In("dev-1")}), ExitCode::kFailed);
  EXPECT_THAT(said_, HasSubstr("was not issued by this fleet's CA"));
  EXPECT_EQ(Load("dev-1").chain, chain);
}

TEST_F(CaTest, AnIssuerMakesNoIssuersAndRevokesNone) {
  MakeIssuer();
  EXPECT_EQ(Ca({"issuer", "--ca", In("issuer"), "--out", In("second")}), ExitCode::kUsage);
  EXPECT_THAT(said_, HasSubstr("the CA's, where ca.key is"));
  EXPECT_EQ(Ca({"revoke-issuer", "--ca", In("issuer"), "--issuer", In("issuer/issuer.pem"), "--out", In("crl.pem")}),
            ExitCode::kUsage);
}

TEST_F(CaTest, ARevokedIssuerTakesItsMembersWithIt) {
  MakeIssuer();
  Issue("issuer", "dev-1");
  Issue("ca", "dev-2");
  Make({"revoke-issuer", "--ca", In("ca"), "--issuer", In("issuer/issuer.pem"), "--out", In("crl.pem")});
  EXPECT_THAT(said_, HasSubstr("revocation list 1"));
  EXPECT_EQ(Verdict("crl.pem", Load("dev-1")), Code::kRevokedCertificate);
  EXPECT_EQ(Verdict("crl.pem", Load("dev-2")), Code{});
}

TEST_F(CaTest, TheListGrowsAndForgetsNobody) {
  MakeIssuer();
  Issue("issuer", "dev-1");
  Issue("ca", "dev-2");
  Make({"revoke-issuer", "--ca", In("ca"), "--serial", SerialNumber({Load("dev-2").chain.front()}), "--out",
        In("crl.pem")});
  EXPECT_EQ(Verdict("crl.pem", Load("dev-2")), Code::kRevokedCertificate);
  EXPECT_EQ(Verdict("crl.pem", Load("dev-1")), Code{});
  // The first list has gone elsewhere; what it said is in the CA's folder.
  std::filesystem::remove(folder_ / "crl.pem");
  Make({"revoke-issuer", "--ca", In("ca"), "--issuer", In("issuer/issuer.pem"), "--out", In("second.pem")});
  EXPECT_THAT(said_, HasSubstr("revocation list 2 of the CA, with 2 certificates"));
  EXPECT_EQ(Verdict("second.pem", Load("dev-1")), Code::kRevokedCertificate);
  EXPECT_EQ(Verdict("second.pem", Load("dev-2")), Code::kRevokedCertificate);
}

TEST_F(CaTest, WhatIsNoIssuerOfThisCaIsNotRevoked) {
  Issue("ca", "dev-1");
  const auto revoke = [&](const std::string& what) {
    return Ca({"revoke-issuer", "--ca", In("ca"), "--issuer", In(what), "--out", In("crl.pem")});
  };
  EXPECT_EQ(revoke("dev-1/cert.pem"), ExitCode::kFailed) << "a member: by its serial number";
  EXPECT_EQ(revoke("nothing.pem"), ExitCode::kNotFound);
  Make({"init", "--dir", In("other"), "--name", "field"});
  Make({"issuer", "--ca", In("other"), "--out", In("other-issuer")});
  EXPECT_EQ(revoke("other-issuer/issuer.pem"), ExitCode::kFailed);
  EXPECT_EQ(Ca({"revoke-issuer", "--ca", In("ca"), "--out", In("crl.pem")}), ExitCode::kUsage);
  EXPECT_EQ(Ca({"revoke-issuer", "--ca", In("ca"), "--serial", "xyz", "--out", In("crl.pem")}), ExitCode::kUsage);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "crl.pem"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "ca/crl.pem"));
}

TEST_F(CaTest, ADamagedListOfTheCaIsNotBegunAnew) {
  MakeIssuer();
  Write("ca/crl.pem", "rubbish");
  EXPECT_EQ(Ca({"revoke-issuer", "--ca", In("ca"), "--issuer", In("issuer/issuer.pem"), "--out", In("crl.pem")}),
            ExitCode::kFailed);
  EXPECT_THAT(said_, HasSubstr("ca/crl.pem"));
}

TEST_F(CaTest, AKeyThatOthersMayReadIsRefused) {
  ASSERT_EQ(chmod(In("ca/ca.key").c_str(), 0640), 0);
  EXPECT_EQ(Ca({"issuer", "--ca", In("ca"), "--out", In("issuer")}), ExitCode::kFailed);
  EXPECT_THAT(said_, HasSubstr("0640"));
}

}  // namespace
}  // namespace tributary::ca_test
