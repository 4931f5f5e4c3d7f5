#include <nlohmann/json.hpp>

#include "tests/aggregator/api/api_fixture.h"

namespace tributary::list_turns_test {
namespace {

using nlohmann::json;

// More than the largest page, which is 1000.
constexpr uint64_t kMany = 1'010;

class ListTurnsTest : public ApiFixture {
 protected:
  ListTurnsTest() {
    OnCore([&] {
      const TaskId task = TestTask("digits");
      fake_.tasks[task].id = task;
      for (uint64_t number = 1; number <= kMany; ++number) {
        fake_.rounds[task].push_back(CompletedRound(task, number));
        fake_.versions[task].push_back(
            {.task = task, .version = ModelVersion{number}, .weights = {}, .created = kTestStart});
        const std::string name = std::to_string(1'000'000 + number);
        GatewayRecord& gateway = fake_.gateways.emplace_back();
        gateway.report.gateway = TestDevice("gw-" + name);
        MemberRecord& member = fake_.members.emplace_back();
        member.id = TestDevice("seen-" + name);
        member.role = "device";
        enrolment_.Add("enrolled-" + name, number % 2 == 0 ? EnrolmentState::kActive : EnrolmentState::kPending);
      }
    });
  }

  json Get(const std::string& path) {
    const auto reply = Client().Get("/api/v1/" + path);
    EXPECT_TRUE(reply) << reply.error().ToString();
    return reply ? json::parse(reply->body) : json();
  }

  // Every item of the list in pages of `limit`.
  std::vector<json> AllOf(const std::string& path, uint64_t limit) {
    std::vector<json> all;
    for (std::string cursor; all.size() <= 3 * kMany;) {
      const json page = Get(fmt::format("{}limit={}{}", path, limit, cursor));
      EXPECT_LE(page["items"].size(), limit);
      for (const json& item : page["items"]) all.push_back(item);
      if (page["next_cursor"].is_null()) return all;
      cursor = "&cursor=" + page["next_cursor"].get<std::string>();
    }
    ADD_FAILURE() << path << " has no end";
    return all;
  }
};

TEST_F(ListTurnsTest, APageOfAnySizeTakesTheCoreInTurnsOfAFewItems) {
  for (const char* list : {"tasks/digits/rounds?", "tasks/digits/versions?", "devices?", "gateways?"}) {
    EXPECT_EQ(Get(std::string(list) + "limit=1000")["items"].size(), 1000u) << list;
    EXPECT_EQ(Get(std::string(list) + "limit=1")["items"].size(), 1u) << list;
  }
  OnCore([&] { EXPECT_LE(fake_.largest_slice, kItemsOfTurn); });
}

TEST_F(ListTurnsTest, NothingIsMissingOrTwiceWhereverPagesAndTurnsEnd) {
  for (const uint64_t limit : {63, 64, 65, 505, 1000}) {
    const auto rounds = AllOf("tasks/digits/rounds?", limit);
    const auto versions = AllOf("tasks/digits/versions?", limit);
    ASSERT_EQ(rounds.size(), kMany) << limit;
    ASSERT_EQ(versions.size(), kMany) << limit;
    for (uint64_t i = 0; i < kMany; ++i) {
      EXPECT_EQ(rounds[i]["number"], i + 1);
      EXPECT_EQ(versions[i]["version"], i + 1);
    }
    EXPECT_EQ(AllOf("gateways?", limit).size(), kMany);
    std::set<std::string> ids;
    for (const json& device : AllOf("devices?", limit)) EXPECT_TRUE(ids.insert(device["id"]).second) << device["id"];
    EXPECT_EQ(ids.size(), 2 * kMany) << limit;
    EXPECT_EQ(AllOf("devices?state=pending&", limit).size(), kMany / 2);
  }
}

TEST_F(ListTurnsTest, ACursorAfterTheLastIsAnEmptyPage) {
  EXPECT_EQ(Get("tasks/digits/rounds?cursor=9223372036854775807")["items"].size(), 0u);
  EXPECT_EQ(Get("tasks/digits/versions?cursor=9223372036854775807")["items"].size(), 0u);
  EXPECT_EQ(Client().Get("/api/v1/tasks/digits/versions?cursor=9223372036854775808").error().code,
            Code::kInvalidArgument);
  EXPECT_EQ(Client().Get("/api/v1/devices?state=lost").error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::list_turns_test
