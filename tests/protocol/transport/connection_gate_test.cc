#include "protocol/transport/connection_gate.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "protocol/transport/tcp_connection.h"
#include "tests/support/manual_clock.h"

namespace tributary::connection_gate_test {
namespace {

const Bytes kKey(32, 1);
const Bytes kOther(32, 2);

TEST(TokenBucketTest, GivesTheBurstAndThenTheRate) {
  const Rate rate{2, 3};
  TokenBucket bucket(rate, Millis(0));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(rate, Millis(0)));
  EXPECT_FALSE(bucket.Take(rate, Millis(499)));
  EXPECT_TRUE(bucket.Take(rate, Millis(500)));
  EXPECT_FALSE(bucket.Take(rate, Millis(999)));
  EXPECT_TRUE(bucket.Take(rate, Millis(1'000)));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(rate, Millis(3'600'000)));  // never more than the burst
  EXPECT_FALSE(bucket.Take(rate, Millis(3'600'000)));
}

class ConnectionGateTest : public ::testing::Test {
 protected:
  static GateOptions Small() {
    GateOptions options;
    options.connections_per_address = 3;
    options.connects_per_address = {1, 5};
    options.handshakes_per_key = {1, 2};
    options.failures_per_address = {1, 2};
    options.failures_per_key = {0.1, 1};
    options.enrolments_per_address = {1, 2};
    options.remembered = 4;
    return options;
  }
  ManualClock clock_;
  ConnectionGate gate_{clock_, Small()};
};

TEST_F(ConnectionGateTest, AnAddressHasSoManyConnectionsAtOnce) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(gate_.Connected("10.0.0.1"), std::nullopt);
  EXPECT_EQ(gate_.Connected("10.0.0.1"), TurnedAway::kAddressFull);
  EXPECT_EQ(gate_.Connected("10.0.0.2"), std::nullopt);
  gate_.Disconnected("10.0.0.1");  // the one that was turned away …
  EXPECT_EQ(gate_.Connected("10.0.0.1"), TurnedAway::kAddressFull);
  gate_.Disconnected("10.0.0.1");
  gate_.Disconnected("10.0.0.1");  // … and one of the others
  EXPECT_EQ(gate_.Connected("10.0.0.1"), std::nullopt);
  EXPECT_EQ(gate_.turned_away().at(TurnedAway::kAddressFull), 2u);
}

TEST_F(ConnectionGateTest, AnAddressConnectsSoOften) {
  const auto connect = [&] {
    const auto verdict = gate_.Connected("10.0.0.1");
    gate_.Disconnected("10.0.0.1");
    return verdict;
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(connect(), std::nullopt);
  EXPECT_EQ(connect(), TurnedAway::kAddressTooFast);
  clock_.Advance(Millis(1'000));
  EXPECT_EQ(connect(), std::nullopt);
  EXPECT_EQ(connect(), TurnedAway::kAddressTooFast);
}

TEST_F(ConnectionGateTest, AKeyShakesHandsSoOften) {
  EXPECT_EQ(gate_.Handshaken("10.0.0.1", kKey), std::nullopt);
  EXPECT_EQ(gate_.Handshaken("10.0.0.2", kKey), std::nullopt);
  EXPECT_EQ(gate_.Handshaken("10.0.0.3", kKey), TurnedAway::kKeyTooFast);
  EXPECT_EQ(gate_.Handshaken("10.0.0.3", kOther), std::nullopt);
  clock_.Advance(Millis(1'000));
  EXPECT_EQ(gate_.Handshaken("10.0.0.1", kKey), std::nullopt);
}

TEST_F(ConnectionGateTest, AKeyThatFailedIsTurnedAwayForAWhile) {
  gate_.Failed("10.0.0.1", kKey);
  EXPECT_EQ(gate_.Handshaken("10.0.0.2", kKey), TurnedAway::kKeyFailed);
  EXPECT_EQ(gate_.Handshaken("10.0.0.1", kOther), std::nullopt);
  clock_.Advance(Millis(9'999));
  EXPECT_EQ(gate_.Handshaken("10.0.0.2", kKey), TurnedAway::kKeyFailed);
  clock_.Advance(Millis(1));
  EXPECT_EQ(gate_.Handshaken("10.0.0.2", kKey), std::nullopt);
}

TEST_F(ConnectionGateTest, AnAddressThatFailedLetsOnlyKnownKeysIn) {
  gate_.Proved(kOther);
  for (uint8_t i = 10; i < 12; ++i) gate_.Failed("10.0.0.1", Bytes(32, i));
  EXPECT_EQ(gate_.Handshaken("10.0.0.1", kKey), TurnedAway::kAddressFailed);
  EXPECT_EQ(gate_.Handshaken("10.0.0.1", kOther), std::nullopt);
  EXPECT_EQ(gate_.Handshaken("10.0.0.2", Bytes(32, 3)), std::nullopt);
  // A key that fails is known no more.
  clock_.Advance(Millis(1'000));
  gate_.Failed("10.0.0.1", kOther);
  clock_.Advance(Millis(500));
  EXPECT_NE(gate_.Handshaken("10.0.0.1", kOther), std::nullopt);
}

TEST_F(ConnectionGateTest, AnAddressAsksForCertificatesSoOften) {
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(gate_.MayEnrol("10.0.0.1"));
  EXPECT_FALSE(gate_.MayEnrol("10.0.0.1"));
  EXPECT_TRUE(gate_.MayEnrol("10.0.0.2"));
  EXPECT_EQ(gate_.Connected("10.0.0.1"), std::nullopt);  // for the rest it is as good as before
  EXPECT_EQ(gate_.turned_away(), (std::map<TurnedAway, uint64_t>{{TurnedAway::kEnrolsTooFast, 1}}));
  clock_.Advance(Millis(1'000));
  EXPECT_TRUE(gate_.MayEnrol("10.0.0.1"));
  EXPECT_FALSE(gate_.MayEnrol("10.0.0.1"));
}

TEST(RecentTest, ForgetsWhatWasAskedForTheLongestTimeAgo) {
  Recent<int> table(2);
  table.FindOrMake("one", 1);
  table.FindOrMake("two", 2);
  EXPECT_EQ(*table.Find("one"), 1);
  EXPECT_EQ(table.FindOrMake("three", 3), 3);
  EXPECT_EQ(table.Find("two"), nullptr);
  EXPECT_EQ(table.FindOrMake("one", 7), 1);
  table.Erase("one");
  table.Erase("one");
  EXPECT_EQ(table.Find("one"), nullptr);
  table.FindOrMake("four", 4);
  EXPECT_EQ(*table.Find("three"), 3);
}

TEST_F(ConnectionGateTest, WhatItRemembersIsBounded) {
  gate_.Failed("10.0.0.1", kKey);
  for (uint8_t i = 10; i < 14; ++i) gate_.Failed("10.0.1." + std::to_string(i), Bytes(32, i));
  EXPECT_EQ(gate_.Handshaken("10.0.0.1", kKey), std::nullopt);  // forgotten, for the newer four
  EXPECT_EQ(gate_.Handshaken("10.0.1.13", Bytes(32, 13)), TurnedAway::kKeyFailed);
}

TEST_F(ConnectionGateTest, EveryReasonHasItsName) {
  std::set<std::string_view> names;
  for (uint8_t i = 0; i <= static_cast<uint8_t>(TurnedAway::kEnrolsTooFast); ++i) {
    names.insert(TurnedAwayName(static_cast<TurnedAway>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(TurnedAway::kEnrolsTooFast) + 1);
  EXPECT_FALSE(names.contains("unknown"));
}

TEST(TcpPeerTest, AnAddressIsWhatOneCustomerHas) {
  EXPECT_EQ(AddressGroup("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(AddressGroup("::ffff:192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(AddressGroup("2001:db8:1:2:3:4:5:6"), AddressGroup("2001:db8:1:2::1"));
  EXPECT_NE(AddressGroup("2001:db8:1:2::1"), AddressGroup("2001:db8:1:3::1"));
  EXPECT_EQ(AddressGroup("no address"), "no address");
  EXPECT_EQ(TcpPeerOf(-1), TcpPeer{});
  EXPECT_EQ(TcpPeerOf(0).address, "");
}

}  // namespace
}  // namespace tributary::connection_gate_test
