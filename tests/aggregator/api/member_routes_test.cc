#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "aggregator/api/api_routes.h"
#include "tests/aggregator/api/api_fixture.h"

namespace tributary::member_routes_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class MemberRoutesTest : public ApiFixture {
 protected:
  json Get(const std::string& path) {
    const auto reply = Client().Get(path);
    EXPECT_TRUE(reply.has_value()) << path << " " << reply.error().ToString();
    return reply ? json::parse(reply->body) : json();
  }
  Result<HttpReply> Post(const std::string& path, const json& body) { return Client().Post(path, body.dump()); }
  std::string AuditText() { return std::string(AsText(*ReadFile(RealFileSystem(), folder_ / "audit.log", 1 << 20))); }
  json LastAudit() { return Get("/api/v1/audit?limit=1000")["items"].back(); }
};

TEST_F(MemberRoutesTest, ATokenIsMadeShownOnceListedAndRemoved) {
  const auto made = Post("/api/v1/enrolment-tokens", {{"id", "floor-2"},
                                                      {"device_class", "phone"},
                                                      {"labels", {"floor-2", "west"}},
                                                      {"expires_seconds", 3600},
                                                      {"uses", 20},
                                                      {"approved", false}});
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(made->status, 201);
  EXPECT_EQ(made->headers.at("cache-control"), "no-store");
  const json answer = json::parse(made->body);
  EXPECT_EQ(answer["invitation"]["token"], FakeEnrolment::Secret());
  EXPECT_EQ(answer["invitation"]["fleet"], "test");
  EXPECT_EQ(answer["token"]["created_by"], "test");
  EXPECT_EQ(answer["token"]["uses"], 20);
  EXPECT_EQ(answer["token"]["approved"], false);
  EXPECT_EQ(answer["token"]["expires"], "2026-01-01T01:00:00.000Z");
  const json list = Get("/api/v1/enrolment-tokens");
  ASSERT_EQ(list["items"].size(), 1u);
  EXPECT_EQ(list["items"][0], answer["token"]);
  EXPECT_THAT(list.dump(), Not(HasSubstr("tri_")));
  const auto removed = Client().Delete("/api/v1/enrolment-tokens/floor-2");
  ASSERT_TRUE(removed) << removed.error().ToString();
  EXPECT_EQ(Client().Delete("/api/v1/enrolment-tokens/floor-2").error().code, Code::kNotFound);
  EXPECT_TRUE(Get("/api/v1/enrolment-tokens")["items"].empty());
  // The record of it is not the token itself.
  EXPECT_THAT(AuditText(), HasSubstr("enrolment-token.create"));
  EXPECT_THAT(AuditText(), Not(HasSubstr("tri_")));
}

TEST_F(MemberRoutesTest, ATokenThatCannotBeMadeSaysWhy) {
  const std::string path = "/api/v1/enrolment-tokens";
  for (const json& wrong : std::vector<json>{{{"role", "device"}},
                                             {{"id", "Floor 2"}},
                                             {{"id", "x"}, {"role", "aggregator"}},
                                             {{"id", "x"}, {"role", "king"}},
                                             {{"id", "x"}, {"uses", 0}},
                                             {{"id", "x"}, {"uses", "many"}},
                                             {{"id", "x"}, {"expires_seconds", 59}},
                                             {{"id", "x"}, {"labels", "one"}},
                                             {{"id", "x"}, {"labels", json::array({1})}},
                                             {{"id", "x"}, {"labels", json(std::vector<std::string>(17, "a"))}},
                                             {{"id", "x"}, {"approved", "no"}},
                                             {{"id", "x"}, {"role", "gateway"}, {"device_class", "phone"}},
                                             {{"id", "x"}, {"secret", "tri_mine"}}}) {
    EXPECT_EQ(Post(path, wrong).error().code, Code::kInvalidArgument) << wrong.dump();
  }
  EXPECT_TRUE(Post(path, {{"id", "x"}}));
  EXPECT_EQ(Post(path, {{"id", "x"}}).error().code, Code::kAlreadyExists);
  OnCore([&] { enrolment_.has_issuer = false; });
  const auto none = Post(path, {{"id", "y"}});
  EXPECT_EQ(none.error().code, Code::kNotSupported);
  EXPECT_THAT(none.error().message, HasSubstr("aggregator.issuer_dir"));
}

TEST_F(MemberRoutesTest, ATokenWhoseInvitationFailsIsNoToken) {
  OnCore([&] { invitation_fails_ = true; });
  EXPECT_EQ(Post("/api/v1/enrolment-tokens", {{"id", "x"}}).error().code, Code::kMissingData);
  EXPECT_TRUE(Get("/api/v1/enrolment-tokens")["items"].empty());
}

TEST_F(MemberRoutesTest, DevicesAreWhoEnrolledWasSeenOrReported) {
  OnCore([&] {
    enrolment_.Add("applicant", EnrolmentState::kPending);
    enrolment_.Add("both", EnrolmentState::kActive);
    enrolment_.Add("gateway-1", EnrolmentState::kActive, Role::kGateway);
    for (const char* id : {"both", "by-hand"}) {
      MemberRecord seen;
      seen.id = TestDevice(id);
      seen.role = "device";
      seen.uploads = 3;
      fake_.members.push_back(seen);
    }
    DeviceStateRecord report;
    report.device = TestDevice("both");
    report.report.sequence = 9;
    report.report.withheld = "the publication expired";
    report.report.installed[TestTask("digits")].version = ModelVersion{4};
    report.report.rejections[Code::kRollback] = {2, "older than what is here", kTestStart};
    report.report.failures[TestTask("digits")] = {
        Code::kFewExamples, "3 examples, 48 are asked for", 2, ModelVersion{4}, kTestStart, true};
    fake_.reports.push_back(report);
  });
  const json items = Get("/api/v1/devices")["items"];
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0]["id"], "applicant");
  EXPECT_EQ(items[0]["enrolment"]["state"], "pending");
  EXPECT_TRUE(items[0]["last_seen"].is_null());
  EXPECT_EQ(items[1]["uploads"], 3);
  EXPECT_EQ(items[1]["report"]["sequence"], 9);
  EXPECT_EQ(items[1]["report"]["installed"][0]["version"], 4);
  EXPECT_EQ(items[1]["report"]["rejections"][0]["code"], "rollback");
  EXPECT_EQ(items[1]["report"]["failures"], (json::array({{{"task", "digits"},
                                                           {"code", "few-examples"},
                                                           {"sentence", "3 examples, 48 are asked for"},
                                                           {"remedy", Describe(Code::kFewExamples).remedy},
                                                           {"version", 4},
                                                           {"count", 2},
                                                           {"lasting", true},
                                                           {"last", "2026-01-01T00:00:00.000Z"}}})));
  EXPECT_TRUE(items[2]["enrolment"].is_null());
  EXPECT_EQ(Get("/api/v1/devices/both"), items[1]);
  EXPECT_EQ(Client().Get("/api/v1/devices/gateway-1").error().code, Code::kNotFound);
  EXPECT_EQ(Client().Get("/api/v1/devices/No%20Body").error().code, Code::kNotFound);
  EXPECT_EQ(Get("/api/v1/devices?state=pending")["items"].size(), 1u);
  const json page = Get("/api/v1/devices?limit=2");
  EXPECT_EQ(page["next_cursor"], "both");
  const json rest = Get("/api/v1/devices?limit=2&cursor=both");
  ASSERT_EQ(rest["items"].size(), 1u);
  EXPECT_TRUE(rest["next_cursor"].is_null());
}

TEST_F(MemberRoutesTest, AnOperatorApprovesRefusesAndRevokes) {
  OnCore([&] {
    enrolment_.Add("one", EnrolmentState::kPending);
    enrolment_.Add("two", EnrolmentState::kPending);
    enrolment_.Add("gateway-1", EnrolmentState::kActive, Role::kGateway);
  });
  EXPECT_EQ(json::parse(Post("/api/v1/devices/one/approve", json::object())->body)["state"], "active");
  EXPECT_EQ(Post("/api/v1/devices/one/approve", json::object()).error().code, Code::kConflict);
  EXPECT_EQ(Post("/api/v1/devices/two/refuse", json::object()).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Post("/api/v1/devices/two/refuse", {{"reason", ""}}).error().code, Code::kInvalidArgument);
  const auto refused = Post("/api/v1/devices/two/refuse", {{"reason", "not ours"}});
  ASSERT_TRUE(refused);
  EXPECT_EQ(json::parse(refused->body)["reason"], "not ours (test)");
  ASSERT_TRUE(Post("/api/v1/devices/one/revoke", {{"reason", "lost"}}));
  const json entry = LastAudit();
  EXPECT_EQ(entry["action"], "device.revoke");
  EXPECT_EQ(entry["target"], "devices/one");
  EXPECT_EQ(entry["before"]["state"], "active");
  EXPECT_EQ(entry["after"]["state"], "revoked");
  ASSERT_TRUE(Post("/api/v1/gateways/gateway-1/revoke", {{"reason", "lost"}}));
  EXPECT_EQ(LastAudit()["action"], "gateway.revoke");
  ASSERT_TRUE(Post("/api/v1/devices/nobody/revoke", {{"reason", "lost"}})) << "nobody has shown this name yet";
  EXPECT_TRUE(LastAudit()["before"].is_null());
  EXPECT_EQ(Post("/api/v1/devices/stranger/refuse", {{"reason", "lost"}}).error().code, Code::kNotFound);
}

TEST_F(MemberRoutesTest, AnIdChangesItsKeyOrBecomesFree) {
  OnCore([&] {
    enrolment_.Add("one", EnrolmentState::kActive);
    fake_.reports.push_back({TestDevice("one"), {}, kTestStart, {}});
    fake_.attention.insert({TestDevice("one"), {Code::kIdentityTwice, "look at it"}});
  });
  EXPECT_EQ(Get("/api/v1/devices/one")["attention"], "look at it");
  EXPECT_EQ(Get("/api/v1/devices/one")["attention_code"], "identity-twice");
  ASSERT_TRUE(Post("/api/v1/devices/one/forget-report", {{"reason", "new disk"}}));
  EXPECT_TRUE(Get("/api/v1/devices/one")["report"].is_null());
  EXPECT_EQ(Post("/api/v1/devices/one/forget", {{"reason", "gone"}}).error().code, Code::kConflict);
  EXPECT_EQ(json::parse(Post("/api/v1/devices/one/approve", {{"replaces_key", true}})->body)["state"], "pending");
  EXPECT_EQ(LastAudit()["before"]["state"], "active");
  EXPECT_EQ(Post("/api/v1/devices/one/approve", {{"replaces", true}}).error().code, Code::kInvalidArgument);
  ASSERT_TRUE(Post("/api/v1/devices/one/forget", {{"reason", "gone"}}));
  EXPECT_EQ(LastAudit()["action"], "device.forget");
}

TEST_F(MemberRoutesTest, SealingKeysRotate) {
  EXPECT_EQ(Get("/api/v1/sealing-keys")["items"].size(), 1u);
  const auto rotated = Post("/api/v1/sealing-keys", {{"overlap_days", 2}});
  ASSERT_TRUE(rotated) << rotated.error().ToString();
  const json items = json::parse(rotated->body)["items"];
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0]["state"], "current");
  EXPECT_EQ(items[1]["until"], "2026-01-03T00:00:00.000Z");
  EXPECT_EQ(LastAudit()["before"]["items"].size(), 1u);
  EXPECT_EQ(Post("/api/v1/sealing-keys", {{"overlap_days", 366}}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Post("/api/v1/sealing-keys", {{"overlap", 1}}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::member_routes_test
