#include "aggregator/api/api_routes.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_tasks.h"
#include "protocol/trust/seal/digest.h"
#include "tests/aggregator/api/api_fixture.h"
#include "tests/support/small_module.h"

namespace tributary::api_routes_test {
namespace {

using nlohmann::json;

class ApiRoutesTest : public ApiFixture {
 protected:
  Digest PutBlob(std::string_view bytes) {
    const Digest digest = Sha256(AsBytes(bytes));
    EXPECT_TRUE(Client().Put("/api/v1/blobs/" + digest.hex(), AsBytes(bytes)));
    return digest;
  }

  TaskRequest Request(std::string_view name) {
    TaskRequest request;
    request.task.id = TestTask(name);
    request.task.table.tensors = {{"w", {2}, 0, 2}};
    const Bytes module = SmallModule();
    request.task.module = {PutBlob(AsText(module)), module.size()};
    request.weights = PutBlob("8 bytes!");
    return request;
  }

  void CreateTask(std::string_view name) {
    ASSERT_TRUE(Client().Post("/api/v1/tasks", TaskRequestToJson(Request(name))));
  }

  Code CodeOf(const Result<HttpReply>& reply) {
    EXPECT_FALSE(reply.has_value());
    return reply ? Code::kMalformed : reply.error().code;
  }
  json Get(const std::string& path) {
    const auto reply = Client().Get(path);
    EXPECT_TRUE(reply.has_value()) << path << " " << reply.error().ToString();
    return json::parse(reply->body);
  }
};

TEST_F(ApiRoutesTest, EveryRouteButAProofsAsksForAToken) {
  for (const auto& route : server_.router().routes()) {
    // Devices have no token: who asks for a proof knows the random id of the upload.
    const bool open = route.pattern == "/api/v1/tasks/{task}/versions/{version}/proofs/{leaf}";
    EXPECT_EQ(route.access == HttpAccess::kOpen, open) << route.pattern;
  }
  HttpClient none = *HttpClient::Create({.url = url()});
  HttpClient wrong = *HttpClient::Create({.url = url(), .token = "trb_" + std::string(64, '0')});
  for (HttpClient* client : {&none, &wrong}) {
    EXPECT_EQ(CodeOf(client->Get("/api/v1/tasks")), Code::kUnauthorized);
    EXPECT_EQ(CodeOf(client->Post("/api/v1/tasks", "{}")), Code::kUnauthorized);
    EXPECT_EQ(CodeOf(client->Put("/api/v1/blobs/00", {})), Code::kUnauthorized);
    std::string last_id;
    EXPECT_EQ(client->Watch("/api/v1/events", last_id, [](const ServerSentEvent&) { return true; }).error().code,
              Code::kUnauthorized);
  }
  EXPECT_EQ(CodeOf(none.Get("/api/v1/nothing")), Code::kNotFound);
}

TEST_F(ApiRoutesTest, ATaskIsCreatedListedAndShown) {
  const auto made = Client().Post("/api/v1/tasks", TaskRequestToJson(Request("digits")));
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(made->status, 201);
  EXPECT_EQ(made->headers.at("location"), "/api/v1/tasks/digits");
  EXPECT_EQ(json::parse(made->body)["latest_version"], 1);
  EXPECT_EQ(Get("/api/v1/tasks")["items"].size(), 1u);
  EXPECT_EQ(Get("/api/v1/tasks/digits"), json::parse(made->body));
}

TEST_F(ApiRoutesTest, ATaskThatCannotBeMadeSaysWhy) {
  HttpClient client = Client();
  TaskRequest request = Request("digits");
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks", "{")), Code::kInvalidArgument);
  ASSERT_TRUE(client.Post("/api/v1/tasks", TaskRequestToJson(request)));
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks", TaskRequestToJson(request))), Code::kAlreadyExists);
  request.task.id = TestTask("other");
  request.weights = Sha256(AsBytes("nowhere"));
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks", TaskRequestToJson(request))), Code::kUnknownBlob);
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks", std::string(limits::kHttpBodyBytes + 1, ' '))), Code::kTooLarge);
  json body = json::parse(TaskRequestToJson(Request("other")));
  body["manifest"] = {{"format", "tributary-task-1"}, {"inputs", {{{"name", "x"}, {"dtype", "FP8"}}}}};
  const auto refused = client.Post("/api/v1/tasks", body.dump());
  EXPECT_EQ(CodeOf(refused), Code::kInvalidArgument);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("tributary.json: inputs[0].dtype 'FP8' is no element type"));
  body["manifest"]["inputs"][0]["dtype"] = "INT64";
  ASSERT_TRUE(client.Post("/api/v1/tasks", body.dump()));
  EXPECT_EQ(Get("/api/v1/tasks/other")["manifest"]["inputs"][0]["dtype"], "INT64");
}

TEST_F(ApiRoutesTest, AModuleThatDevicesWouldRefuseMakesNoTask) {
  TaskRequest request = Request("digits");
  const auto refusal = [&](const Bytes& module) {
    request.task.module = {PutBlob(AsText(module)), module.size()};
    const auto reply = Client().Post("/api/v1/tasks", TaskRequestToJson(request));
    return reply ? "made" : reply.error().ToString();
  };
  EXPECT_THAT(refusal(ModuleVector("state_dict.pt")), testing::HasSubstr("invalid-argument: module: not a TorchScript file"));
  // A state of a module that an attacker bent, and that would make devices read behind their memory.
  Bytes bent = SmallModule();
  const std::string_view sizes("(K\3K\4t", 6);
  const size_t at = AsText(bent).find(sizes);
  ASSERT_NE(at, std::string_view::npos);
  bent[at + 2] = 100;
  EXPECT_THAT(refusal(bent), testing::HasSubstr("model-refused: module: data.pkl"));
  EXPECT_EQ(Get("/api/v1/tasks")["items"].size(), 0u);
  EXPECT_EQ(refusal(SmallModule()), "made");
}

TEST_F(ApiRoutesTest, UnknownTasksRoundsAndVersions) {
  CreateTask("digits");
  HttpClient client = Client();
  for (const char* path : {"", "/rounds", "/rounds/1", "/versions", "/versions/1"}) {
    EXPECT_EQ(CodeOf(client.Get(std::string("/api/v1/tasks/nobody") + path)), Code::kUnknownTask) << path;
    EXPECT_EQ(CodeOf(client.Get(std::string("/api/v1/tasks/No%20Body") + path)), Code::kUnknownTask) << path;
  }
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks/nobody/rounds", "{\"count\":1}")), Code::kUnknownTask);
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks/nobody/rounds/cancel", "")), Code::kUnknownTask);
  EXPECT_EQ(CodeOf(client.Get("/api/v1/tasks/digits/rounds/1")), Code::kNotFound);
  EXPECT_EQ(CodeOf(client.Get("/api/v1/tasks/digits/rounds/x")), Code::kNotFound);
  EXPECT_EQ(CodeOf(client.Get("/api/v1/tasks/digits/versions/2")), Code::kUnknownVersion);
  EXPECT_EQ(CodeOf(client.Get("/api/v1/tasks/digits/versions/-1")), Code::kUnknownVersion);
}

TEST_F(ApiRoutesTest, BlobsAreCheckedAgainstTheirDigest) {
  HttpClient client = Client();
  const std::string big(3 * limits::kMiB + 7, 'b');
  const Digest digest = Sha256(AsBytes(big));
  const std::string path = "/api/v1/blobs/" + digest.hex();
  EXPECT_EQ(CodeOf(client.Get(path)), Code::kUnknownBlob);
  EXPECT_EQ(CodeOf(client.Put(path, AsBytes("something else"))), Code::kDigestMismatch);
  EXPECT_EQ(client.Put(path, AsBytes(big))->status, 201);
  EXPECT_EQ(client.Put(path, AsBytes(big))->status, 200);
  EXPECT_EQ(client.Get(path)->body, big);
  EXPECT_EQ(client.Get(path)->headers.at("etag"), "\"" + digest.hex() + "\"");
  EXPECT_EQ(client.Head(path)->headers.at("content-length"), std::to_string(big.size()));
  EXPECT_EQ(CodeOf(client.Put("/api/v1/blobs/xyz", {})), Code::kUnknownBlob);
}

TEST_F(ApiRoutesTest, ABlobUploadThatBrokeOffIsGoneOnWith) {
  const std::string big(3 * limits::kMiB, 'b');
  const Digest digest = Sha256(AsBytes(big));
  OnCore([&] { ASSERT_TRUE(fake_.mutable_blobs().AppendPart(digest, 0, AsBytes(big).first(limits::kMiB + 3))); });
  EXPECT_EQ(Client().Put("/api/v1/blobs/" + digest.hex(), AsBytes(big))->status, 201);
}

TEST_F(ApiRoutesTest, ManifestsNeedATokenAndProofsALeaf) {
  CreateTask("digits");
  EXPECT_TRUE(Get("/api/v1/tasks/digits/versions/1/manifest").contains("signed"));
  HttpClient stranger = *HttpClient::Create({.url = url(), .token = ""});
  EXPECT_EQ(CodeOf(stranger.Get("/api/v1/tasks/digits/versions/1/manifest")), Code::kUnauthorized);
  const std::string path = "/api/v1/tasks/digits/versions/1/proofs/";
  const std::string leaf(64, 'a');
  const auto proof = stranger.Get(path + leaf);
  ASSERT_TRUE(proof) << proof.error().ToString();
  EXPECT_EQ(json::parse(proof->body)["leaf"], leaf);
  EXPECT_EQ(CodeOf(stranger.Get(path + std::string(64, '0'))), Code::kNotFound);
  EXPECT_EQ(CodeOf(stranger.Get(path + "xyz")), Code::kNotFound);
  EXPECT_EQ(CodeOf(stranger.Get("/api/v1/tasks/digits/versions/9/proofs/" + leaf)), Code::kUnknownVersion);
}

TEST_F(ApiRoutesTest, RoundsStartAndAreCancelled) {
  CreateTask("digits");
  HttpClient client = Client();
  const auto started = client.Post("/api/v1/tasks/digits/rounds", "{\"count\":3}");
  ASSERT_TRUE(started) << started.error().ToString();
  EXPECT_EQ(started->status, 202);
  EXPECT_EQ(json::parse(started->body)["state"], "collecting");
  EXPECT_EQ(Get("/api/v1/tasks/digits")["rounds_wanted"], 2);
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks/digits/rounds", "{\"count\":0}")), Code::kInvalidArgument);
  EXPECT_EQ(json::parse(client.Post("/api/v1/tasks/digits/rounds/cancel", "")->body)["rounds_wanted"], 0);
  EXPECT_EQ(Get("/api/v1/tasks/digits/rounds/1")["state"], "cancelled");
}

TEST_F(ApiRoutesTest, DevicesAreAskedAgain) {
  CreateTask("digits");
  HttpClient client = Client();
  const std::string path = "/api/v1/tasks/digits/rounds/ask-again";
  EXPECT_EQ(CodeOf(client.Post(path, "{}")), Code::kRoundClosed);
  ASSERT_TRUE(client.Post("/api/v1/tasks/digits/rounds", "{\"count\":1}"));
  EXPECT_EQ(json::parse(client.Post(path, "{}")->body)["asked_again"], 1);
  EXPECT_EQ(json::parse(client.Post(path, "{\"device\":\"d1\"}")->body)["asked_again"], 2);
  OnCore([&] {
    EXPECT_EQ(fake_.rounds[TestTask("digits")].back().again.asked,
              std::vector<uint64_t>{AskedName(TestDevice("d1"))});
  });
  for (const char* wrong : {"{\"device\":\"no name\"}", "{\"devices\":[]}", "[]"})
    EXPECT_FALSE(client.Post(path, wrong)) << wrong;
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks/nobody/rounds/ask-again", "{}")), Code::kUnknownTask);
  EXPECT_EQ(Get("/api/v1/tasks/digits/rounds/1")["asked_again"], 2);
}

TEST_F(ApiRoutesTest, RoundsArePausedAndResumed) {
  CreateTask("digits");
  HttpClient client = Client();
  const std::string pause = "/api/v1/tasks/digits/rounds/pause";
  const auto paused = client.Post(pause, R"({"reason":"the sensors are exchanged"})");
  ASSERT_TRUE(paused) << paused.error().ToString();
  EXPECT_EQ(json::parse(paused->body)["paused"]["reason"], "the sensors are exchanged");
  EXPECT_EQ(Get("/api/v1/tasks/digits")["paused"]["since"], "2026-01-01T00:00:00.123Z");
  for (const char* wrong : {"{}", R"({"reason":""})", R"({"reason":"x","until":1})"})
    EXPECT_EQ(CodeOf(client.Post(pause, wrong)), Code::kInvalidArgument) << wrong;
  ASSERT_TRUE(client.Post("/api/v1/tasks/digits/rounds/resume", ""));
  EXPECT_TRUE(Get("/api/v1/tasks/digits")["paused"].is_null());
  EXPECT_EQ(CodeOf(client.Post("/api/v1/tasks/nobody/rounds/resume", "")), Code::kUnknownTask);
}

TEST_F(ApiRoutesTest, SettingsThatAreNotNamedStay) {
  CreateTask("digits");
  HttpClient client = Client();
  const std::string path = "/api/v1/tasks/digits/settings";
  ASSERT_TRUE(client.Post(path, R"({"policy":{"deadline_seconds":7}})"));
  ASSERT_TRUE(client.Post(path, R"({"server_optimizer":{"name":"fedadam"}})"));
  const json next = Get("/api/v1/tasks/digits")["next_settings"];
  EXPECT_EQ(next["policy"]["deadline_seconds"], 7);
  EXPECT_EQ(next["server_optimizer"]["name"], "fedadam");
  for (const char* wrong :
       {R"({"plan":{"epochs":2}})", R"({"policy":{"goal":2}})", R"({"policy":{"deadline_seconds":0}})", "[]"})
    EXPECT_EQ(CodeOf(client.Post(path, wrong)), Code::kInvalidArgument) << wrong;
}

TEST_F(ApiRoutesTest, PartialUploadsAreListedAndDropped) {
  for (const char* device : {"d1", "d2", "d2"}) {
    SpooledUpload upload;
    upload.task = TestTask("digits");
    upload.device = TestDevice(device);
    upload.base_version = ModelVersion{3};
    upload.chunk_size = 4096;
    upload.chunk_count = 2;
    upload.ciphertext_size = 8'000;
    upload.next_chunk = 1;
    staged_.push_back(upload);
  }
  EXPECT_EQ(Get("/api/v1/staging")["items"].size(), 3u);
  const json one = Get("/api/v1/staging?device=d1")["items"];
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0]["device"], "d1");
  EXPECT_EQ(one[0]["stored_bytes"], 4'112);
  EXPECT_EQ(one[0]["held_bytes"], 8'000);
  HttpClient client = Client();
  EXPECT_EQ(json::parse(client.Post("/api/v1/staging/drop", "{\"device\":\"d2\"}")->body)["dropped"], 2);
  EXPECT_EQ(json::parse(client.Post("/api/v1/staging/drop", "{}")->body)["dropped"], 1);
  EXPECT_FALSE(client.Post("/api/v1/staging/drop", "{\"device\":\"no name\"}"));
  EXPECT_TRUE(staged_.empty());
}

TEST_F(ApiRoutesTest, RoundsComeInPages) {
  CreateTask("digits");
  OnCore([&] {
    for (uint64_t number : {5, 3, 1, 2, 4})
      fake_.rounds[TestTask("digits")].push_back(CompletedRound(TestTask("digits"), number));
  });
  const json first = Get("/api/v1/tasks/digits/rounds?limit=2");
  ASSERT_EQ(first["items"].size(), 2u);
  EXPECT_EQ(first["items"][1]["number"], 2);
  const json second = Get("/api/v1/tasks/digits/rounds?limit=3&cursor=" + first["next_cursor"].get<std::string>());
  ASSERT_EQ(second["items"].size(), 3u);
  EXPECT_EQ(second["items"][0]["number"], 3);
  EXPECT_TRUE(second["next_cursor"].is_null());
  EXPECT_EQ(second["items"][0]["refused"], json({{"duplicate", 2}, {"not-finite", 1}}));
  HttpClient client = Client();
  for (const char* query : {"limit=0", "limit=1001", "limit=x", "cursor=-1", "cursor="}) {
    EXPECT_EQ(CodeOf(client.Get(std::string("/api/v1/tasks/digits/rounds?") + query)), Code::kInvalidArgument) << query;
  }
}

TEST_F(ApiRoutesTest, VersionsNameTheirWeights) {
  CreateTask("digits");
  const json versions = Get("/api/v1/tasks/digits/versions");
  ASSERT_EQ(versions["items"].size(), 1u);
  EXPECT_EQ(versions["items"][0]["weights"]["digest"], Sha256(AsBytes("8 bytes!")).hex());
  EXPECT_EQ(Get("/api/v1/tasks/digits/versions/1"), versions["items"][0]);
}

TEST_F(ApiRoutesTest, DevicesAndEvaluatorsAreListed) {
  OnCore([&] {
    for (const auto& [id, role] :
         std::map<std::string, std::string>{{"device-000", "device"}, {"eval", "evaluator"}, {"gw", "gateway"}}) {
      MemberRecord member;
      member.id = TestDevice(id);
      member.role = role;
      fake_.members.push_back(member);
    }
  });
  EXPECT_EQ(Get("/api/v1/devices")["items"].size(), 2u);
}

TEST_F(ApiRoutesTest, AGatewayTellsItsWholeState) {
  GatewayRecord gateway;
  gateway.report.gateway = TestDevice("site-7");
  gateway.report.parent = TestDevice("north");
  gateway.path = {TestDevice("aggregator"), TestDevice("north"), TestDevice("site-7")};
  gateway.quiet = Millis(3'600'500);
  gateway.report.trouble = "disk-full: /var/lib/tributary has 12 bytes free";
  gateway.report.uplink[LinkPurpose::kUploads] = {.up = 1000, .down = 20, .resent = 3};
  gateway.report.accounts[0].offered = 3;
  gateway.report.accounts[0].refused[Code::kStaleVersion] = 2;
  gateway.report.oldest_spooled_millis = 7'999;
  OnCore([&] { fake_.gateways = {gateway}; });
  const json shown = Get("/api/v1/gateways/site-7");
  EXPECT_EQ(shown["path"], (json{"aggregator", "north", "site-7"}));
  EXPECT_EQ(shown["late"], true);
  EXPECT_EQ(shown["quiet_seconds"], 3600);
  EXPECT_EQ(shown["oldest_spooled_seconds"], 7);
  EXPECT_EQ(shown["trouble"]["code"], "disk-full");
  EXPECT_EQ(shown["trouble"]["sentence"], "/var/lib/tributary has 12 bytes free");
  EXPECT_EQ(shown["trouble"]["remedy"], Describe(Code::kDiskFull).remedy);
  EXPECT_EQ(shown["uplink"]["uploads"], (json{{"up", 1000}, {"down", 20}, {"resent", 3}}));
  EXPECT_EQ(shown["uplink"]["blobs"], (json{{"up", 0}, {"down", 0}, {"resent", 0}}));
  EXPECT_EQ(shown["accounts"][0]["refused"], json({{"stale-version", 2}}));
  EXPECT_EQ(shown["accounts"][0]["holds"], false) << "one of three is nowhere";
  EXPECT_EQ(shown["holds"], false);
  EXPECT_EQ(CodeOf(Client().Get("/api/v1/gateways/nobody")), Code::kNotFound);
  EXPECT_EQ(Get("/api/v1/gateways")["items"][0], shown);
}

TEST_F(ApiRoutesTest, AListOfGatewaysHasPages) {
  OnCore([&] {
    for (int i = 0; i < 5; ++i) {
      GatewayRecord gateway;
      gateway.report.gateway = TestDevice("gw-" + std::to_string(i));
      fake_.gateways.push_back(gateway);
    }
  });
  const json first = Get("/api/v1/gateways?limit=2");
  EXPECT_EQ(first["items"].size(), 2u);
  EXPECT_EQ(first["items"][0]["trouble"], nullptr);
  EXPECT_EQ(first["next_cursor"], "gw-1");
  const json last = Get("/api/v1/gateways?limit=3&cursor=gw-1");
  EXPECT_EQ(last["items"].size(), 3u);
  EXPECT_EQ(last["items"][0]["id"], "gw-2");
  EXPECT_EQ(last["next_cursor"], nullptr);
  HttpClient client = Client();
  for (const char* query : {"limit=0", "limit=1001", "cursor=NOT%20AN%20ID", "cursor="})
    EXPECT_EQ(CodeOf(client.Get(std::string("/api/v1/gateways?") + query)), Code::kInvalidArgument) << query;
}

TEST_F(ApiRoutesTest, TheAccountHasALinePerKind) {
  OnCore([&] { fake_.accounts[UploadKind::kUpdate].offered = 1; });
  const json account = Get("/api/v1/account");
  ASSERT_EQ(account["items"].size(), 4u);
  EXPECT_EQ(account["items"][0]["kind"], "update");
  EXPECT_EQ(account["items"][0]["holds"], false);
  EXPECT_EQ(account["items"][1]["holds"], true);
}

TEST_F(ApiRoutesTest, CodesAreAllThere) { EXPECT_EQ(Get("/api/v1/codes")["items"].size(), AllCodes().size()); }

TEST_F(ApiRoutesTest, ACoreThatDoesNotAnswerIsBusy) {
  HttpServer server(HttpServer::Options{});
  class Nobody final : public Executor {
    void Post(std::function<void()>) override {}
  } nobody;
  AddApiRoutes(server, {{nobody, Millis(1)}, fake_, fake_, fake_, events_, tokens_, audit_, clock_});
  ASSERT_TRUE(server.Start());
  HttpClient client =
      *HttpClient::Create({.url = "http://127.0.0.1:" + std::to_string(server.port()), .token = token_});
  const auto reply = client.GetAnyStatus("/api/v1/tasks");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(json::parse(reply->body)["code"], "busy");
  EXPECT_EQ(reply->headers.at("retry-after"), "1");
}

class ApiEventsTest : public ApiRoutesTest {
 protected:
  void Publish(uint64_t reports, std::string_view task = "digits") {
    CoreEvent event;
    event.name = "round.contribution";
    event.task = TestTask(task);
    event.contributions = reports;
    events_.Publish(event);
  }

  // Watches until `enough` events have come; publishes with `publish` once the stream has begun.
  std::vector<ServerSentEvent> Watch(
      std::string last_id, size_t enough, const std::function<void()>& publish = [] {}, const std::string& query = "") {
    std::vector<ServerSentEvent> seen;
    HttpClient client = Client();
    EXPECT_TRUE(client.Watch("/api/v1/events" + query, last_id, [&](const ServerSentEvent& event) {
      if (event.name == "hello") publish();
      seen.push_back(event);
      return seen.size() < enough;
    }));
    return seen;
  }
};

TEST_F(ApiEventsTest, BeginWithHelloAndThenComeAsTheyHappen) {
  Publish(1);
  const auto seen = Watch("", 2, [&] { Publish(2); });
  EXPECT_EQ(seen[0], (ServerSentEvent{"life-1", "hello", "{}"}));
  EXPECT_EQ(seen[1].id, "life-2");
  EXPECT_EQ(seen[1].name, "round.contribution");
  EXPECT_EQ(json::parse(seen[1].data)["contributions"], 2);
}

TEST_F(ApiEventsTest, GoOnBehindTheLastEventId) {
  for (uint64_t i = 1; i <= 3; ++i) Publish(i);
  const auto seen = Watch("life-1", 3);
  EXPECT_EQ(seen[1].id, "life-2");
  EXPECT_EQ(seen[2].id, "life-3");
}

TEST_F(ApiEventsTest, SayWhenSomeAreLost) {
  for (uint64_t i = 1; i <= 20; ++i) Publish(i);  // eight are remembered
  for (const char* id : {"life-1", "earlier-19"}) {
    const auto seen = Watch(id, 3);
    EXPECT_EQ(seen[1].name, "events.lost");
    EXPECT_EQ(json::parse(seen[2].data)["contributions"], 13);
  }
}

TEST_F(ApiEventsTest, MayBeOfOneTaskOnly) {
  const auto seen = Watch(
      "", 2,
      [&] {
        Publish(1, "other");
        Publish(2, "digits");
      },
      "?task=digits");
  EXPECT_EQ(json::parse(seen[1].data)["task"], "digits");
  std::string last_id;
  EXPECT_EQ(Client()
                .Watch("/api/v1/events?task=No%20Such", last_id, [](const ServerSentEvent&) { return true; })
                .error()
                .code,
            Code::kInvalidArgument);
}

TEST_F(ApiEventsTest, SayWhichDeviceFailsAndWhy) {
  const auto seen = Watch("", 2, [&] {
    CoreEvent event;
    event.name = "device.failing";
    event.task = TestTask("digits");
    event.version = ModelVersion{3};
    event.detail = "d1: few-examples: 3 examples, 48 are asked for";
    events_.Publish(event);
  });
  const json shown = json::parse(seen[1].data);
  EXPECT_EQ(shown["name"], "device.failing");
  EXPECT_EQ(shown["version"], 3);
  EXPECT_EQ(shown["detail"], "d1: few-examples: 3 examples, 48 are asked for");
}

TEST_F(ApiEventsTest, TellOfMembersToo) {
  const auto enrolled = [&] {
    EnrolmentEvent event;
    event.name = "member.enrolled";
    event.at = kTestStart;
    event.id = TestDevice("d1");
    event.device_class = "phone";
    events_.Publish(event);
  };
  const auto seen = Watch("", 2, enrolled);
  EXPECT_EQ(seen[1].name, "member.enrolled");
  const json expected = {
      {"name", "member.enrolled"}, {"at", "2026-01-01T00:00:00.000Z"},
      {"task", nullptr},           {"round", nullptr},
      {"contributions", 0},        {"version", nullptr},
      {"metrics", nullptr},        {"detail", nullptr},
      {"member", {{"id", "d1"}, {"role", "device"}, {"device_class", "phone"}}}};
  EXPECT_EQ(json::parse(seen[1].data), expected);
  const auto of_task = Watch(
      "", 2,
      [&] {
        enrolled();
        Publish(2, "digits");
      },
      "?task=digits");
  EXPECT_EQ(of_task[1].name, "round.contribution") << "members are of no task";
}

TEST_F(ApiEventsTest, EndWithTheFeed) {
  std::string last_id;
  HttpClient client = Client();
  const Status ended = client.Watch("/api/v1/events", last_id, [&](const ServerSentEvent&) {
    events_.Close();
    return true;
  });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kUnreachable);
}

}  // namespace
}  // namespace tributary::api_routes_test
