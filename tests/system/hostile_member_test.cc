#include "tests/support/hostile_member.h"

#include "protocol/base/plain_text.h"
#include "tests/system/synthetic_site.h"

// One enrolled member says whatever it likes, to the aggregator and to a gateway. The fleet goes on: nothing ends,
// nothing moves that is not the member's own, and an operator's terminal shows only what prints.
namespace tributary::hostile_member_test {
namespace {

constexpr uint64_t kParameters = 501;

class HostileMemberTest : public ::testing::TestWithParam<const char*> {
 protected:
  // Two honest devices complete a round before the rows are played, and another afterwards.
  void RunRound(uint64_t base) {
    Must(site_.api().StartRounds("synthetic", 1));
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_TRUE(site_.device(i).AwaitVersion(base)) << site_.Logs();
      site_.device(i).GiveUpdate();
    }
    ASSERT_TRUE(site_.site().Eventually([&] { return site_.VersionDigests().size() == base; })) << site_.Logs();
  }
  Json Round() { return Must(site_.api().Round("synthetic", 1)); }
  // The output of `tributary`, line by line.
  std::string Shown(const std::vector<std::string>& words) {
    std::vector<std::string> arguments = {"--url",
                                          "http://127.0.0.1:" + std::to_string(site_.site().HttpPortOf("aggregator")),
                                          "--token", site_.site().token()};
    arguments.insert(arguments.end(), words.begin(), words.end());
    const Ended ended = site_.site().Run("tributary", arguments);
    EXPECT_EQ(ended.code, 0) << words.front() << "\n" << ended.output;
    return ended.output;
  }

  SyntheticSite site_;
};

TEST_P(HostileMemberTest, EveryRowIsAnsweredAndTheFleetIsAsItWas) {
  const std::string server = GetParam();
  if (server != "aggregator") site_.AddAndStartGateway(server);
  site_.CreateTask(kParameters, 2);
  for (int i = 0; i < 2; ++i) site_.AddDevice(i, server);
  RunRound(1);
  const Json before = Round();
  const Identity rogue = site_.site().fleet().Issue(Role::kDevice, "rogue");
  const Publication publication = site_.device(0).publication();
  HostileMember member(site_.thread(), rogue, site_.site().AddressOf(server), publication);
  for (const HostileRow& row : HostileRows()) {
    const std::string answer = row.act(member);
    EXPECT_TRUE(row.IsAnsweredBy(answer, server != "aggregator")) << row.name << ": " << answer;
  }
  RunRound(2);
  EXPECT_EQ(Round().at("metrics"), before.at("metrics"));
  EXPECT_EQ(Round().at("evaluations"), before.at("evaluations"));
  for (const bool restarted : {false, true}) {
    if (restarted) {
      EXPECT_EQ(site_.site().Stop("aggregator"), 0);
      site_.site().Start("aggregator");
    }
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{"rounds", "list", "synthetic"},
                                               {"rounds", "show", "synthetic", "1"},
                                               {"devices", "list"},
                                               {"gateways", "list"},
                                               {"account"},
                                               {"--output", "json", "gateways", "list"}}) {
      const std::string shown = Shown(words);
      EXPECT_EQ(shown, PlainText(shown, LineBreaks::kKept)) << words.front();
    }
  }
  EXPECT_EQ(site_.Logs(), PlainText(site_.Logs(), LineBreaks::kKept));
  site_.ExpectAccountsHold();
}

INSTANTIATE_TEST_SUITE_P(At, HostileMemberTest, ::testing::Values("aggregator", "gateway-1"),
                         [](const auto& of) { return std::string(of.param) == "aggregator" ? "top" : "gateway"; });

}  // namespace
}  // namespace tributary::hostile_member_test
