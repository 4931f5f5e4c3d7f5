#include "protocol/member/membership.h"

#include <gtest/gtest.h>

#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"

namespace tributary::membership_test {
namespace {

// A member below one server.
class MembershipTest : public ::testing::Test {
 protected:
  void Open() {
    member_.reset();
    time_ = Must(TimeFloor::Open(world_.clock, RealFileSystem(), world_.folder / "time-floor"));
    member_ = Must(Membership::Open({world_.loop, *time_, world_.random, RealFileSystem(), identity_, world_.worker},
                                    {.server_keys_file = world_.folder / "server-keys",
                                     .publication_folder = world_.folder / "member",
                                     .identity_folder = {},
                                     .hop = server_.Address()}));
  }
  void Start() {
    Open();
    member_->Follow({.describe_self = [this] { return member_->DescribeSelf(SpoolAccount()); },
                     .on_adopted = [this](const Publication& adopted) { adopted_.push_back(adopted.number); }});
    member_->client().Start();
  }

  HopWorld world_;
  TestServer server_{world_, Role::kGateway, "gateway-1"};
  Identity identity_ = world_.fleet.Issue(Role::kDevice, "device-1");
  std::unique_ptr<TimeFloor> time_;
  std::unique_ptr<Membership> member_;
  std::vector<uint64_t> adopted_;
};

TEST_F(MembershipTest, FollowsThePublicationAndLearnsTheTimeFromIt) {
  Start();
  EXPECT_FALSE(member_->Target());
  server_->Publish(MakePublication(world_, server_.blobs, 1, ModelVersion{3}), 1, 1);
  ASSERT_TRUE(world_.RunUntil([&] { return adopted_.size() == 1; }));
  EXPECT_EQ(member_->Target()->public_key, world_.fleet.sealing_key().public_key);
  EXPECT_EQ(member_->DescribeSelf(SpoolAccount()).publication_number, 1u);
  EXPECT_GE(time_->floor(), kTestStart);
  EXPECT_EQ(member_->sessions(), 1u);
  EXPECT_EQ(member_->RejectedSince(), nullptr);
}

TEST_F(MembershipTest, WithoutALinkItServesWhatItKept) {
  Start();
  server_->Publish(MakePublication(world_, server_.blobs, 1, ModelVersion{3}), 1, 1);
  ASSERT_TRUE(world_.RunUntil([&] { return adopted_.size() == 1; }));
  server_.Stop();
  Open();
  EXPECT_EQ(adopted_.size(), 1u) << "nobody is called before Follow";
  Start();
  EXPECT_EQ(adopted_, (std::vector<uint64_t>{1, 1}));
}

TEST_F(MembershipTest, SaysWhyTheNewestPublicationIsNotBelievedUntilOneIs) {
  Start();
  const TestFleet other;
  const Bytes bytes = MakePublication(world_, server_.blobs, 1, ModelVersion{3});
  server_->Publish(other.Publish(PublicationOf(world_, bytes)), 1, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return member_->RejectedSince() != nullptr; }));
  EXPECT_TRUE(adopted_.empty());
  server_->Publish(MakePublication(world_, server_.blobs, 2, ModelVersion{3}), 2, 1);
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return adopted_.size() == 1; }));
  EXPECT_EQ(member_->RejectedSince(), nullptr);
}

TEST_F(MembershipTest, WhatCameByHandIsFollowed) {
  Start();
  const Bytes bytes = MakePublication(world_, member_->blobs(), 5, ModelVersion{3});
  ASSERT_TRUE(Must(member_->publications().Take(bytes, world_.clock.Now())));
  member_->Adopted();
  EXPECT_EQ(adopted_, std::vector<uint64_t>{5});
}

TEST(ServerAddressTest, AKeyIsSixtyFourHexadecimalDigits) {
  EXPECT_EQ(Must(HopOptionsFor({"tcp://here:1", std::string(64, 'a')}, 7)).retry_cap, Millis(7'000));
  for (const std::string& key : {std::string(), std::string(63, 'a'), std::string(64, 'g'), std::string(66, 'a')}) {
    const auto options = HopOptionsFor({"tcp://here:1", key}, 7);
    ASSERT_FALSE(options) << key;
    EXPECT_EQ(options.error().code, Code::kConfigInvalid);
  }
}

}  // namespace
}  // namespace tributary::membership_test
