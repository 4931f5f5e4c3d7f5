#include "protocol/member/certificate_keeper.h"

#include <gtest/gtest.h>

#include "tests/protocol/hop/fake_desk.h"
#include "tests/protocol/hop/hop_fixture.h"

namespace tributary::certificate_keeper_test {
namespace {

using Kind = EnrolmentAnswer::Kind;
constexpr Millis kDay{24 * 3600 * 1000};
constexpr Millis kLife = 16 * kDay;  // of which the first day lies before it was made

// A device whose identity is in a folder, below a server with a desk.
class CertificateKeeperTest : public ::testing::Test {
 protected:
  CertificateKeeperTest() {
    const Status issued = IssueIdentity(world_.fleet.authority(), {TestDevice("device-1"), Role::kDevice, "board", {}},
                                        folder_, kTestStart + -kDay, kLife, world_.fleet.anchor().publication_root());
    TRIBUTARY_CHECK(issued.has_value()) << issued.error().ToString();
    identity_.emplace(Load());
    server_.Stop();
    server_.desk = &desk_;
    server_.Start();
    client_ = std::make_unique<HopClient>(HopClient::Parts{world_.loop, world_.clock, world_.random, *identity_},
                                          server_.Address(),
                                          HopClient::Hooks{[] { return hop::CheckIn{}; }, [](ByteView) {}});
    renewal_ = std::make_unique<CertificateKeeper>(
        CertificateKeeper::Parts{world_.loop, world_.clock, RealFileSystem(), *identity_, *client_}, folder_,
        [this]() -> std::optional<SealingTarget> {
          if (!has_publication_) return std::nullopt;
          return SealingTarget{kDefaultAead, world_.fleet.sealing_key().public_key};
        });
    client_->Start();
    renewal_->Start();
  }
  Identity Load() {
    auto identity = LoadIdentity(folder_, world_.clock.Now());
    TRIBUTARY_CHECK(identity.has_value()) << identity.error().ToString();
    return std::move(*identity);
  }
  // The next certificate for the keys it has, or for others.
  EnrolmentAnswer Issue(std::optional<Bytes> public_key = std::nullopt) {
    const auto issued = world_.fleet.authority().Issue(
        identity_->subject, public_key.value_or(identity_->key.public_key()), world_.clock.Now() + -kDay, kLife);
    TRIBUTARY_CHECK(issued.has_value());
    return {Kind::kIssued, {issued->der}, {}};
  }
  // Time passes quickly in a session and slowly without one: a handshake has its limit, and the sockets' own threads keep
  // real time.
  bool Until(const std::function<bool()>& condition) {
    for (int turns = 0; turns < 10'000 && !condition(); ++turns) {
      world_.Turn();
      world_.clock.Advance(client_->up() ? Millis(500) : Millis(20));
    }
    return condition();
  }
  // Time passes; a session that ends of it comes back.
  void Pass(Millis time) {
    world_.clock.Advance(time);
    world_.RunUntilWithTime([] { return false; }, Millis(20), 20);
    ASSERT_TRUE(Until([&] { return client_->up(); }));
  }
  void Pass(int days) {
    for (int i = 0; i < days; ++i) Pass(kDay);
  }

  HopWorld world_;
  Path folder_ = world_.folder / "identity";
  FakeDesk desk_;
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  std::optional<Identity> identity_;
  std::unique_ptr<HopClient> client_;
  std::unique_ptr<CertificateKeeper> renewal_;
  bool has_publication_ = true;
};

TEST_F(CertificateKeeperTest, AtTwoThirdsOfItsLifeItAsksAndTakesWhatComes) {
  EXPECT_EQ(renewal_->due(), kTestStart + 10 * kDay);
  desk_.says = [this] { return Issue(); };
  Pass(9);
  EXPECT_TRUE(desk_.came.empty());
  Pass(1);
  ASSERT_TRUE(Until([&] { return renewal_->renewals() == 1; }));
  EXPECT_EQ(desk_.came.size(), 1u);
  EXPECT_FALSE(renewal_->problem());
  EXPECT_GE(renewal_->not_after(), kTestStart + 24 * kDay);
  // In memory and on disk, with the same keys.
  const Identity kept = Load();
  EXPECT_EQ(kept.chain, identity_->chain);
  EXPECT_EQ(kept.key.public_key(), identity_->key.public_key());
  // It goes on: the next one, two thirds of a life later.
  Pass(11);
  ASSERT_TRUE(Until([&] { return renewal_->renewals() == 2; }));
  EXPECT_NE(identity_->chain, kept.chain);
}

TEST_F(CertificateKeeperTest, AskedToWaitItAsksAgainWithTheSameBytes) {
  Pass(10);
  ASSERT_TRUE(Until([&] { return desk_.came.size() == 3; }));
  EXPECT_EQ(desk_.came[0], desk_.came[1]);
  EXPECT_EQ(desk_.came[1], desk_.came[2]);
  EXPECT_EQ(renewal_->problem()->code, Code::kPending);
  desk_.says = [this] { return Issue(); };
  EXPECT_TRUE(Until([&] { return renewal_->renewals() == 1; }));
  EXPECT_FALSE(renewal_->problem());
}

TEST_F(CertificateKeeperTest, ARefusalLeavesTheCertificateAndIsAskedAgainMuchLater) {
  desk_.says = [] { return EnrolmentAnswer{Kind::kRefused, {}, {Code::kRevokedCertificate, "revoked", {}}}; };
  const auto chain = identity_->chain;
  Pass(10);
  ASSERT_TRUE(Until([&] { return desk_.came.size() == 1; }));
  Pass(kDay / 48);
  EXPECT_EQ(desk_.came.size(), 1u);
  EXPECT_EQ(renewal_->problem()->code, Code::kRevokedCertificate);
  EXPECT_EQ(Load().chain, chain);
  Pass(kDay / 48);
  EXPECT_TRUE(Until([&] { return desk_.came.size() > 1; }));
}

TEST_F(CertificateKeeperTest, ACertificateForOtherKeysIsNotTaken) {
  desk_.says = [this] { return Issue(Bytes(SigningKey::Generate().public_key())); };
  const auto chain = identity_->chain;
  Pass(10);
  ASSERT_TRUE(Until([&] { return !desk_.came.empty() && renewal_->problem().has_value(); }));
  EXPECT_EQ(renewal_->problem()->code, Code::kConflict);
  EXPECT_EQ(identity_->chain, chain);
  EXPECT_EQ(Load().chain, chain);
  EXPECT_EQ(renewal_->renewals(), 0u);
}

TEST_F(CertificateKeeperTest, WithoutAPublicationThereIsNobodyToSealTo) {
  has_publication_ = false;
  Pass(11);
  EXPECT_TRUE(desk_.came.empty());
  has_publication_ = true;
  EXPECT_TRUE(Until([&] { return !desk_.came.empty(); }));
}

}  // namespace
}  // namespace tributary::certificate_keeper_test
