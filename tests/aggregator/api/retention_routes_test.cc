#include <nlohmann/json.hpp>

#include "tests/aggregator/api/api_fixture.h"
#include "tests/support/must.h"

namespace tributary::retention_routes_test {
namespace {

using nlohmann::json;

class RetentionRoutesTest : public ApiFixture {
 protected:
  RetentionRoutesTest() {
    OnCore([&] {
      const TaskId task = TestTask("digits");
      fake_.tasks[task].id = task;
      for (uint64_t number = 1; number <= 12; ++number) {
        const Digest weights{{static_cast<uint8_t>(number)}};
        fake_.versions[task].push_back(
            {.task = task, .version = ModelVersion{number}, .weights = {weights, 100}, .created = kTestStart});
      }
    });
  }
  Result<HttpReply> Post(const std::string& path, const json& body) {
    return Client().Post("/api/v1/tasks/digits/" + path, body.dump());
  }
  json Version(int number) {
    return json::parse(Must(Client().Get("/api/v1/tasks/digits/versions/" + std::to_string(number))).body);
  }
  AuditEntry LastAudit() { return Must(audit_.Read(0, 1000)).entries.back(); }
};

TEST_F(RetentionRoutesTest, AnOperatorPinsAndUnpinsAndItIsRecorded) {
  EXPECT_TRUE(Version(3)["pinned"].is_null());
  ASSERT_TRUE(Post("versions/3/pin", {{"reason", "shipped in 2.1"}}));
  EXPECT_EQ(Version(3)["pinned"], "shipped in 2.1");
  EXPECT_EQ(LastAudit().action, "models.pin");
  EXPECT_EQ(LastAudit().target, "tasks/digits/versions/3");
  EXPECT_EQ(json::parse(LastAudit().after)["pinned"], "shipped in 2.1");
  ASSERT_TRUE(Post("versions/3/unpin", {{"reason", "2.1 is over"}}));
  EXPECT_TRUE(Version(3)["pinned"].is_null());
  EXPECT_EQ(LastAudit().action, "models.unpin");
  EXPECT_EQ(Post("versions/3/pin", json::object()).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Post("versions/13/pin", {{"reason", "x"}}).error().code, Code::kUnknownVersion);
}

TEST_F(RetentionRoutesTest, PruningGoesOnUntilNothingMoreIsOld) {
  ASSERT_TRUE(Post("versions/2/pin", {{"reason", "shipped"}}));
  const auto reply = Post("prune", {{"keep", 9}});
  ASSERT_TRUE(reply) << reply.error().ToString();
  EXPECT_EQ(json::parse(reply->body), (json{{"task", "digits"}, {"keep", 9}, {"versions", 2}, {"bytes", 200}}));
  EXPECT_EQ(LastAudit().action, "models.prune");
  EXPECT_FALSE(Version(3)["pruned"].is_null());
  EXPECT_TRUE(Version(2)["pruned"].is_null());
  EXPECT_TRUE(Version(4)["pruned"].is_null());
  EXPECT_EQ(Post("prune", {{"keep", 7}}).error().code, Code::kInvalidArgument) << "devices may train from eight";
  EXPECT_EQ(Post("prune", json::object()).error().code, Code::kInvalidArgument);
}

TEST_F(RetentionRoutesTest, WhoAsksForPrunedWeightsIsToldSo) {
  const auto gone = Client().Get("/api/v1/blobs/" + Digest{{1}}.hex());
  EXPECT_EQ(gone.error().code, Code::kPruned) << gone.error().ToString();
  EXPECT_EQ(Client().Get("/api/v1/blobs/" + Digest{{99}}.hex()).error().code, Code::kUnknownBlob);
  EXPECT_EQ(Client().GetAnyStatus("/api/v1/blobs/" + Digest{{1}}.hex())->status, 410);
}

}  // namespace
}  // namespace tributary::retention_routes_test
