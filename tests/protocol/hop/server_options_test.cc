#include "protocol/hop/server/server_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/base/process/config.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"

namespace tributary::server_options_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// With the least and the most that each may be.
struct Key {
  const char* name;
  int64_t min, max;
};
constexpr Key kKeys[] = {{"connections_per_address", 1, 1'000'000},
                         {"new_connections_per_address_per_second", 1, 100'000},
                         {"unproven_connections", 16, 100'000},
                         {"unproven_sessions", 16, 100'000},
                         {"handshake_seconds", 4, 60},
                         {"handshakes_per_key_per_minute", 6, 60'000},
                         {"failed_proofs_per_address_per_minute", 6, 600'000},
                         {"enrolments_per_address_per_minute", 60, 600'000}};

Status TryRead(const std::string& text, HopServer::Options& options) {
  ConfigReader reader = Must(ConfigReader::Parse(text, "a.toml"));
  ReadLimits(reader, options);
  return reader.Finish();
}
HopServer::Options Read(const std::string& text) {
  HopServer::Options options;
  Must(TryRead(text.empty() ? "" : "[limits]\n" + text, options));
  return options;
}
std::string Line(const char* key, int64_t value) { return std::string(key) + " = " + std::to_string(value) + "\n"; }

TEST(LimitsTest, WithoutKeysTheDefaultsStand) {
  const HopServer::Options read = Read(""), plain;
  const GateOptions &gate = read.transport.gate, plain_gate = plain.transport.gate;
  EXPECT_EQ(gate.connections_per_address, plain_gate.connections_per_address);
  EXPECT_EQ(gate.connects_per_address, plain_gate.connects_per_address);
  EXPECT_EQ(gate.handshakes_per_key, plain_gate.handshakes_per_key);
  EXPECT_EQ(gate.failures_per_address, plain_gate.failures_per_address);
  EXPECT_EQ(gate.enrolments_per_address, plain_gate.enrolments_per_address);
  EXPECT_EQ(read.transport.max_unproven, plain.transport.max_unproven);
  EXPECT_EQ(read.transport.unproven_timeout, plain.transport.unproven_timeout);
  EXPECT_EQ(read.transport.handshake_timeout, plain.transport.handshake_timeout);
  EXPECT_EQ(read.max_unproven, plain.max_unproven);
  EXPECT_EQ(read.proof_timeout, plain.proof_timeout);
}

TEST(LimitsTest, EachKeySetsItsLimit) {
  const HopServer::Options options = Read(
      "connections_per_address = 70\nnew_connections_per_address_per_second = 9\nunproven_connections = 50\n"
      "unproven_sessions = 40\nhandshake_seconds = 60\nhandshakes_per_key_per_minute = 6\n"
      "failed_proofs_per_address_per_minute = 120\nenrolments_per_address_per_minute = 300\n");
  const GateOptions& gate = options.transport.gate;
  EXPECT_EQ(gate.connections_per_address, 70u);
  EXPECT_EQ(gate.connects_per_address, (Rate{9, 70}));
  EXPECT_EQ(gate.handshakes_per_key, (Rate{0.1, 6}));
  EXPECT_EQ(gate.failures_per_address, (Rate{2, 20}));
  EXPECT_EQ(gate.enrolments_per_address, (Rate{5, 30}));
  EXPECT_EQ(options.transport.max_unproven, 50u);
  EXPECT_EQ(options.transport.unproven_timeout, Millis(60'000));
  EXPECT_EQ(options.transport.handshake_timeout, Millis(30'000));
  EXPECT_EQ(options.max_unproven, 40u);
  EXPECT_EQ(options.proof_timeout, Millis(30'000));
}

TEST(LimitsTest, BadValuesAreRefusedByName) {
  HopServer::Options options;
  for (const auto& [name, min, max] : kKeys) {
    for (const int64_t bad : {min - 1, max + 1}) {
      const Status read = TryRead("[limits]\n" + Line(name, bad), options);
      ASSERT_FALSE(read) << name << " " << bad;
      EXPECT_EQ(read.error().code, Code::kConfigInvalid);
      EXPECT_THAT(read.error().message,
                  AllOf(HasSubstr("a.toml:2"), HasSubstr("limits." + std::string(name)), HasSubstr(std::to_string(min)),
                        HasSubstr(std::to_string(max)), HasSubstr(std::to_string(bad))));
    }
    for (const int64_t good : {min, max}) EXPECT_TRUE(TryRead("[limits]\n" + Line(name, good), options)) << name;
    EXPECT_FALSE(TryRead("[limits]\n" + std::string(name) + " = \"many\"\n", options)) << name;
    EXPECT_THAT(LimitsManual(), HasSubstr("limits." + std::string(name)));
  }
  const Status unknown = TryRead("[limits]\nconnections = 3\n", options);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kConfigUnknownKey);
  for (const auto& key : kKeys) EXPECT_THAT(unknown.error().message, HasSubstr(key.name));
}

// ---- at a server

class LimitedServerTest : public ::testing::Test {
 protected:
  std::unique_ptr<RawClient> Stranger(const TestServer& server) {
    return std::make_unique<RawClient>(world_, server, GenerateCurveKeyPair().secret);
  }
  bool TurnsAway(TestServer& server, TurnedAway reason) {
    return world_.RunUntil([&] { return server->counts().turned_away.contains(reason); });
  }
  HopWorld world_;
};

TEST_F(LimitedServerTest, AnAddressHasTheConnectionsThatItIsGiven) {
  TestServer server(world_, Role::kGateway, "gateway-1", Read("connections_per_address = 2\n"));
  const auto first = Stranger(server), second = Stranger(server);
  ASSERT_TRUE(first->Greet());
  ASSERT_TRUE(second->Greet());
  EXPECT_TRUE(server->counts().turned_away.empty());
  const auto third = Stranger(server);
  EXPECT_TRUE(TurnsAway(server, TurnedAway::kAddressFull));
}

TEST_F(LimitedServerTest, UnprovenSessionsAreAsManyAsAreGiven) {
  TestServer server(world_, Role::kGateway, "gateway-1", Read("unproven_sessions = 16\n"));
  std::vector<std::unique_ptr<RawClient>> strangers;
  for (int i = 0; i < 17; ++i) {
    strangers.push_back(Stranger(server));
    ASSERT_TRUE(strangers.back()->Greet()) << i;
  }
  EXPECT_EQ(strangers.front()->AwaitRefused(), Code::kBusy);
}

TEST_F(LimitedServerTest, StrangersHaveTheTimeThatTheyAreGiven) {
  TestServer server(world_, Role::kGateway, "gateway-1", Read("handshake_seconds = 60\n"));
  const auto slow = Stranger(server);
  ASSERT_TRUE(slow->Greet());
  world_.clock.Advance(Millis(29'000));
  for (int i = 0; i < 20; ++i) world_.Turn();
  EXPECT_TRUE(slow->received.empty());
  world_.clock.Advance(Millis(2'000));
  EXPECT_EQ(slow->AwaitRefused(), Code::kTimeout);

  TestServer hasty(world_, Role::kGateway, "gateway-2", Read("handshake_seconds = 4\n"));
  const auto silent = Stranger(hasty);
  ASSERT_TRUE(world_.RunUntil([&] { return hasty->counts().unproven == 1; }));
  world_.clock.Advance(Millis(4'000));
  EXPECT_TRUE(TurnsAway(hasty, TurnedAway::kTooSlow));
}

}  // namespace
}  // namespace tributary::server_options_test
