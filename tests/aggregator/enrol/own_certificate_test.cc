#include "aggregator/enrol/own_certificate.h"

#include <gtest/gtest.h>

#include "protocol/trust/identity/identity.h"
#include "tests/aggregator/enrol/enrol_fixture.h"

namespace tributary::own_certificate_test {
namespace {

constexpr Millis kDay = std::chrono::hours(24);

// Does what it is given when the test says so.
class HeldWork final : public Executor {
 public:
  void Post(std::function<void()> work) override { held_.push_back(std::move(work)); }
  size_t size() const { return held_.size(); }
  void RunAll() {
    for (const auto& work : std::exchange(held_, {})) work();
  }

 private:
  std::vector<std::function<void()>> held_;
};

// The aggregator of EnrolFixture, with a certificate for nine days.
class OwnCertificateTest : public testing::Test, protected EnrolFixture {
 protected:
  explicit OwnCertificateTest(bool with_issuer = true) : EnrolFixture(with_issuer), loop_(clock) {
    Must(IssueIdentity(fleet.authority(), {TestDevice("aggregator"), Role::kAggregator, "", {}}, identity_dir_,
                       clock.Now() + -kDay, 10 * kDay));
    identity_.emplace(Must(LoadIdentity(identity_dir_, clock.Now())));
    Restart();
  }
  void Restart() {
    own_ = std::make_unique<OwnCertificate>(
        OwnCertificate::Parts{loop_, core_, clock, RealFileSystem(), *identity_, enrolment()}, identity_dir_);
  }
  // Whether it asked the core; then it has the answer.
  bool Look() {
    own_->Look();
    const bool asked = core_.size() > 0;
    core_.RunAll();
    loop_.RunOnce(Millis(0));
    return asked;
  }

  const Path identity_dir_ = folder / "identity";
  std::optional<Identity> identity_;
  Loop loop_;
  HeldWork core_;
  std::unique_ptr<OwnCertificate> own_;
};

class OwnCertificateWithoutIssuer : public OwnCertificateTest {
 protected:
  OwnCertificateWithoutIssuer() : OwnCertificateTest(false) {}
};

TEST_F(OwnCertificateTest, AtTwoThirdsOfItsLifeItIsRenewedByItsOwnIssuer) {
  EXPECT_EQ(own_->due(), clock.Now() + 6 * kDay);
  const Identity before = Must(LoadIdentity(identity_dir_, clock.Now()));
  EXPECT_FALSE(Look());
  clock.Advance(6 * kDay);
  EXPECT_TRUE(Look());
  // In memory and on disk, with the same keys; everybody who knows the CA believes it.
  const Identity after = Must(LoadIdentity(identity_dir_, clock.Now()));
  EXPECT_EQ(after.chain, identity_->chain);
  EXPECT_NE(after.chain, before.chain);
  EXPECT_EQ(after.key.public_key(), before.key.public_key());
  EXPECT_EQ(after.subject.curve_public_key, before.subject.curve_public_key);
  const VerifiedIdentity own = Must(Verify(after.chain));
  EXPECT_EQ(own.subject.role, Role::kAggregator);
  EXPECT_EQ(own.not_after, clock.Now() + 10 * kDay);
  EXPECT_EQ(own_->not_after(), own.not_after);
  // And so on.
  EXPECT_FALSE(Look());
  clock.Advance(7 * kDay);
  EXPECT_TRUE(Look());
  EXPECT_EQ(own_->not_after(), clock.Now() + 10 * kDay);
}

TEST_F(OwnCertificateTest, ItAsksOnceWhileTheCoreIsBusy) {
  clock.Advance(6 * kDay);
  own_->Look();
  own_->Look();
  EXPECT_EQ(core_.size(), 1u);
}

TEST_F(OwnCertificateTest, AnIssuerThatEndsNoLaterIsNoHelp) {
  const CertificateAuthority brief = Must(fleet.authority().CreateIssuer("brief", clock.Now() + -kDay, 9 * kDay));
  issuer_dir = folder / "brief";
  Must(SaveAuthority(brief, issuer_dir, {}));
  Reopen();
  Restart();
  const auto chain = identity_->chain;
  EXPECT_EQ(enrolment().IssuerEnds(), clock.Now() + 8 * kDay);
  clock.Advance(6 * kDay);
  EXPECT_TRUE(Look());
  EXPECT_EQ(identity_->chain, chain);
  EXPECT_EQ(Must(LoadIdentity(identity_dir_, clock.Now())).chain, chain);
  EXPECT_FALSE(Look()) << "an operator has to do something first";
  clock.Advance(kDay / 4);
  EXPECT_TRUE(Look());
}

TEST_F(OwnCertificateWithoutIssuer, ItStaysAsItIs) {
  const auto chain = identity_->chain;
  EXPECT_EQ(enrolment().IssuerEnds(), std::nullopt);
  clock.Advance(6 * kDay);
  EXPECT_TRUE(Look());
  EXPECT_EQ(identity_->chain, chain);
}

}  // namespace
}  // namespace tributary::own_certificate_test
