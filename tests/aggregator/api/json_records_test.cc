#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "aggregator/api/event_feed.h"
#include "aggregator/api/gateway_routes.h"
#include "aggregator/api/json_fields.h"
#include "aggregator/api/json_tasks.h"
#include "aggregator/api/round_routes.h"
#include "tests/support/test_fleet.h"

namespace tributary::json_records_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TaskRequest SomeRequest() {
  TaskRequest request;
  request.task.id = TestTask("digits");
  request.task.table.tensors = {{"conv.weight", {2, 3}, 0, 6}, {"conv.bias", {2}, 6, 2}, {"scale", {}, 8, 1}};
  request.task.module.size = 5;
  request.task.plan.optimizer = Optimizer::kAdamW;
  request.task.plan.loss = Loss::kHuber;
  request.task.manifest.collection = "weather";
  request.task.manifest.metrics = {{"mae", MetricDirection::kSmaller}};
  request.task.plan.seed = UINT64_MAX;
  request.task.policy = {20, 15, 60, 0.5};
  request.task.server_optimizer = {.name = ServerOptimizerName::kFedAvgM, .momentum = 0.5};
  request.task.value_bound = 2;
  request.weights.mutable_view()[0] = 0xab;
  return request;
}

json SomeJson() { return json::parse(TaskRequestToJson(SomeRequest())); }

TEST(JsonRecords, ATaskRequestComesBackAsItWentOut) {
  const TaskRequest sent = SomeRequest();
  const auto back = TaskRequestFromJson(TaskRequestToJson(sent));
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->task.id, sent.task.id);
  EXPECT_EQ(back->task.table, sent.task.table);
  EXPECT_EQ(back->task.module, sent.task.module);
  EXPECT_EQ(back->task.manifest, sent.task.manifest);
  EXPECT_EQ(back->task.plan, sent.task.plan);
  EXPECT_EQ(back->task.policy, sent.task.policy);
  EXPECT_EQ(back->task.server_optimizer, sent.task.server_optimizer);
  EXPECT_EQ(back->task.value_bound, sent.task.value_bound);
  EXPECT_EQ(back->task.norm_bound, sent.task.norm_bound);
  EXPECT_EQ(back->task.max_weight, sent.task.max_weight);
  EXPECT_EQ(back->weights, sent.weights);
}

TEST(JsonRecords, PlanPolicyBoundsAndManifestHaveDefaults) {
  json body = SomeJson();
  for (const char* key : {"plan", "policy", "server_optimizer", "bounds", "manifest"}) body.erase(key);
  const auto request = TaskRequestFromJson(body.dump());
  ASSERT_TRUE(request) << request.error().ToString();
  EXPECT_EQ(request->task.plan, TrainingPlan());
  EXPECT_EQ(request->task.policy, RoundPolicy());
  EXPECT_EQ(request->task.server_optimizer, ServerOptimizerPlan());
  EXPECT_EQ(request->task.manifest, ManifestOfImages());
  EXPECT_FALSE(json::parse(TaskRequestToJson(*request)).contains("manifest")) << "older aggregators refuse the key";
  EXPECT_EQ(json::parse(ToJson(request->task))["manifest"]["inputs"][0]["field"], "image");
}

TEST(JsonRecords, ABadFieldIsNamed) {
  struct Case {
    const char* where;  // JSON pointer
    json value;
    const char* named;
  };
  const Case cases[] = {
      {"/id", "No Such", "id"},
      {"/id", 7, "id"},
      {"/id", "x\x1b[2J", "id"},
      {"/tensors/0/name", "w\u202e", "tensors[0].name"},
      {"/nonsense", 1, "nonsense"},
      {"/weights", "abc", "weights"},
      {"/module/size", -1, "module.size"},
      {"/module/size", 1e30, "module.size"},
      {"/module", json::array(), "module"},
      {"/tensors", json::object(), "tensors"},
      {"/tensors", json::array(), "tensors"},
      {"/tensors/0/shape", json::array({-1}), "tensors[0].shape"},
      {"/tensors/0/shape", json::array({1u << 20, 1u << 20}), "tensors[0].shape"},
      {"/tensors/0/shape", json::array({1, 1, 1, 1, 1, 1, 1, 1, 1}), "tensors[0].shape"},
      {"/tensors/1/name", nullptr, "tensors[1].name"},
      {"/plan/loss", "hinge", "plan.loss"},
      {"/plan/learning_rate", -1, "learning_rate"},
      {"/plan/batch_size", 0, "plan.batch_size"},
      {"/plan/batch_size", 1.5, "plan.batch_size"},
      {"/policy/report_goal", 0, "policy.report_goal"},
      {"/policy/minimum", 21, "policy.minimum"},
      {"/policy/inclusion", 0, "policy.inclusion"},
      {"/policy/goal", 3, "policy.goal"},
      {"/server_optimizer/name", "adam", "server_optimizer.name"},
      {"/server_optimizer/beta2", 1, "server_optimizer.beta2"},
      {"/bounds/value", 0, "bounds.value"},
      {"/bounds/norm", "x", "bounds.norm"},
      {"/manifest", nullptr, "tributary.json"},
      {"/manifest", json::array(), "tributary.json"},
      {"/manifest/inputs", json::array(), "tributary.json: inputs must name"},
      {"/manifest/inputs/1/role", "king", "inputs[1].role must be one of feature, target, weight"},
      {"/manifest/nonsense", 1, "tributary.json: nonsense is not a key"},
      {"/manifest/metrics/mae", "up", "metrics.mae must be one of smaller, larger"},
  };
  for (const auto& [where, value, named] : cases) {
    json body = SomeJson();
    body[json::json_pointer(where)] = value;
    const auto request = TaskRequestFromJson(body.dump());
    ASSERT_FALSE(request) << where;
    EXPECT_EQ(request.error().code, Code::kInvalidArgument) << where;
    EXPECT_THAT(request.error().message, HasSubstr(named)) << where;
  }
  for (const char* body : {"", "{", "[]", "null", "7", "\"x\"", "{}"}) EXPECT_FALSE(TaskRequestFromJson(body)) << body;
}

TEST(JsonRecords, ABodyThatWouldTakeForEverIsRefused) {
  std::string names = "{";
  for (int i = 0; i < 400'000; ++i) names += fmt::format("\"{}\":0,", i);
  const std::string bodies[] = {names + "\"x\":0}", std::string(1 << 20, '['), R"({"id": "a", "id": "b"})"};
  const char* faults[] = {"over 512 names", "too deeply", "stands twice"};
  for (size_t i = 0; i < std::size(bodies); ++i) {
    const auto request = TaskRequestFromJson(bodies[i]);
    ASSERT_FALSE(request);
    EXPECT_EQ(request.error().code, Code::kInvalidArgument);
    EXPECT_THAT(request.error().message, HasSubstr(faults[i]));
  }
}

TEST(JsonRecords, ARepeatedTensorNameIsRefused) {
  json body = SomeJson();
  body["tensors"][1]["name"] = body["tensors"][0]["name"];
  EXPECT_FALSE(TaskRequestFromJson(body.dump()));
}

TEST(JsonRecords, RoundsRequest) {
  EXPECT_EQ(RoundsRequestFromJson("{\"count\":3}"), 3u);
  for (const char* body :
       {"{}", "{\"count\":0}", "{\"count\":\"3\"}", "{\"count\":3,\"x\":1}", "{\"count\":1000001}"}) {
    EXPECT_EQ(RoundsRequestFromJson(body).error().code, Code::kInvalidArgument) << body;
  }
}

TEST(JsonRecords, WhatIsNotKnownYetIsNull) {
  RoundRecord round;
  round.task = TestTask("digits");
  round.number = 1;
  round.base = ModelVersion{1};
  const json body = json::parse(ToJson(round));
  for (const char* key : {"closed", "result_version", "global_accuracy", "aggregate_digest"})
    EXPECT_TRUE(body[key].is_null()) << key;
  EXPECT_EQ(body["state"], "collecting");
  EXPECT_EQ(body["refused"], json::object());
  EXPECT_EQ(body["staleness"], json::object());
  round.staleness = {18, 0, 2};
  EXPECT_EQ(json::parse(ToJson(round))["staleness"], json::parse(R"({"0": 18, "2": 2})"));
  EXPECT_EQ(body["device_failures"], json::object());
  EXPECT_TRUE(body["shortfall"].is_null());
  EXPECT_EQ(body["metrics"], json::parse(R"({"global": {}, "personal": {}, "local": {}})"));
}

TEST(JsonRecords, MetricsAreThereByNameAndAccuracyAlsoWhereOlderScriptsLook) {
  RoundRecord round;
  round.task = TestTask("digits");
  round.metrics = {.global = {{"accuracy", 0.75}, {"loss", 0.5}}, .personal = {{"mae", 2}}, .local = {}};
  const json body = json::parse(ToJson(round));
  EXPECT_EQ(body["metrics"],
            json::parse(R"({"global": {"accuracy": 0.75, "loss": 0.5}, "personal": {"mae": 2.0}, "local": {}})"));
  EXPECT_EQ(body["global_accuracy"], 0.75);
  EXPECT_TRUE(body["personal_accuracy"].is_null());
  EXPECT_TRUE(body["local_global_accuracy"].is_null());
}

TEST(JsonRecords, AnEventOfAnEvaluationCarriesItsMetrics) {
  CoreEvent event;
  EXPECT_TRUE(json::parse(ToJson(event))["metrics"].is_null());
  event.metrics = MetricViews{.global = {}, .personal = {{"loss", 0.25}}, .local = {{"loss", 0.5}}};
  EXPECT_EQ(json::parse(ToJson(event))["metrics"],
            json::parse(R"({"global": {}, "personal": {"loss": 0.25}, "local": {"loss": 0.5}})"));
}

TEST(JsonRecords, AnAccountSaysWhetherItHolds) {
  KindAccount account;
  account.offered = 10;
  account.delivered = 6;
  account.duplicate = 1;
  account.refused = {{Code::kNotFinite, 2}};
  account.dropped = {{Code::kQuotaExceeded, 1}};
  std::pair<UploadKind, KindAccount> entry{UploadKind::kUpdate, account};
  EXPECT_EQ(json::parse(ToJson(std::span<const std::pair<UploadKind, KindAccount>>(&entry, 1)))["items"][0]["holds"],
            true);
  entry.second.offered = 11;
  EXPECT_EQ(json::parse(ToJson(std::span<const std::pair<UploadKind, KindAccount>>(&entry, 1)))["items"][0]["holds"],
            false);
}

TEST(JsonRecords, TimesAreRfc3339) {
  EXPECT_EQ(Rfc3339({1'767'225'600'007}), "2026-01-01T00:00:00.007Z");
  EXPECT_EQ(Rfc3339({-1}), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace tributary::json_records_test
