// Who may do what over the API, and what is recorded of it.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"
#include "tests/aggregator/api/api_fixture.h"

namespace tributary::api_access_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class ApiAccessTest : public ApiFixture {
 protected:
  std::string TokenOf(HttpAccess role) {
    const std::string name(AccessName(role));
    return *tokens_.Add({name, role, kTestStart, {}}, random_);
  }
  HttpClient As(const std::string& token) { return *HttpClient::Create({.url = url(), .token = token}); }
  Result<HttpReply> Call(HttpClient& client, const HttpRoute& route) {
    std::string path = route.pattern;
    for (size_t open = 0; (open = path.find('{')) != std::string::npos;) {
      path.replace(open, path.find('}') - open + 1, "0");
    }
    if (route.method == "POST") return client.Post(path, "{}");
    if (route.method == "PUT") return client.Put(path, {});
    if (route.method == "DELETE") return client.Delete(path);
    return client.Get(path);
  }
  json Audit() { return json::parse(Client().Get("/api/v1/audit?limit=1000")->body); }
  std::string AuditText() { return std::string(AsText(*ReadFile(RealFileSystem(), folder_ / "audit.log", 1 << 20))); }
};

TEST_F(ApiAccessTest, EveryRouteTakesItsRoleAndThoseAboveAndNobodyBelow) {
  for (const HttpAccess role :
       {HttpAccess::kViewer, HttpAccess::kOperator, HttpAccess::kPublisher, HttpAccess::kAdmin}) {
    HttpClient client = As(TokenOf(role));
    for (const HttpRoute& route : server_.router().routes()) {
      if (route.pattern == "/api/v1/events") continue;  // endless for those who may
      clock_.Advance(std::chrono::seconds(10));         // so that the refusals are answered one by one
      const auto reply = Call(client, route);
      const bool forbidden = !reply && reply.error().code == Code::kForbidden;
      EXPECT_EQ(forbidden, role < route.access) << AccessName(role) << " " << route.method << " " << route.pattern;
      if (!forbidden) continue;
      EXPECT_THAT(reply.error().message, HasSubstr(AccessName(route.access)));
    }
  }
}

TEST_F(ApiAccessTest, NothingThatChangesAnythingIsAViewers) {
  for (const HttpRoute& route : server_.router().routes()) {
    if (route.method == "GET") continue;
    EXPECT_GE(route.access, HttpAccess::kOperator) << route.method << " " << route.pattern;
  }
}

TEST_F(ApiAccessTest, AChangeIsRecordedWithActorBeforeAndAfter) {
  OnCore([&] { fake_.tasks[TestTask("digits")].id = TestTask("digits"); });
  HttpClient alice = As(*tokens_.Add({"alice", HttpAccess::kOperator, kTestStart, {}}, random_));
  ASSERT_TRUE(alice.Post("/api/v1/tasks/digits/rounds", "{\"count\":3}"));
  ASSERT_FALSE(alice.Post("/api/v1/tasks/nobody/rounds", "{\"count\":3}"));
  ASSERT_FALSE(alice.Post("/api/v1/tasks/digits/rounds", "{\"count\":0}"));  // never tried
  const json items = Audit()["items"];
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[1]["actor"], "alice");
  EXPECT_EQ(items[1]["action"], "rounds.start");
  EXPECT_EQ(items[1]["target"], "tasks/digits");
  EXPECT_EQ(items[1]["outcome"], "done");
  EXPECT_EQ(items[1]["before"]["rounds_wanted"], 0);
  EXPECT_EQ(items[1]["after"]["rounds_wanted"], 2);
  EXPECT_EQ(items[1]["after"]["round"], 1);
  EXPECT_EQ(items[3]["outcome"], "unknown-task");
  EXPECT_EQ(Audit()["head"]["sequence"], 4);
}

TEST_F(ApiAccessTest, AnEntryIsDurableBeforeTheAnswerAndNoEntryMeansNoChange) {
  std::filesystem::create_directory(folder_ / "audit.log");  // cannot be written to
  OnCore([&] { fake_.tasks[TestTask("digits")].id = TestTask("digits"); });
  const auto refused = Client().Post("/api/v1/tasks/digits/rounds", "{\"count\":3}");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("nothing was changed"));
  OnCore([&] { EXPECT_TRUE(fake_.rounds[TestTask("digits")].empty()); });
}

TEST_F(ApiAccessTest, RefusedAttemptsAreRecordedButNoFloodOfThem) {
  HttpClient viewer = As(TokenOf(HttpAccess::kViewer));
  int forbidden = 0;
  for (int i = 0; i < 40; ++i) {
    const auto refused = viewer.Post("/api/v1/tasks", "{}");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, i < 20 ? Code::kForbidden : Code::kTooFast);
    forbidden += refused.error().code == Code::kForbidden ? 1 : 0;
  }
  EXPECT_EQ(forbidden, 20);
  const json items = Audit()["items"];
  ASSERT_EQ(items.size(), 20u);
  EXPECT_EQ(items[0]["actor"], "viewer");
  EXPECT_EQ(items[0]["target"], "POST /api/v1/tasks");
  EXPECT_EQ(items[0]["outcome"], "forbidden");
}

TEST_F(ApiAccessTest, FailedLoginsAreSlowedDownPerAddressAndGoodOnesAreNot) {
  HttpClient guesser = As("trb_" + std::string(64, '0'));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(guesser.Get("/api/v1/tasks").error().code, Code::kUnauthorized);
  EXPECT_EQ(guesser.Get("/api/v1/tasks").error().code, Code::kTooFast);
  EXPECT_EQ(HttpClient::Create({.url = url()})->Get("/api/v1/tasks").error().code, Code::kTooFast);
  EXPECT_TRUE(Client().Get("/api/v1/tasks"));  // from the same address
  clock_.Advance(Millis(6'000));
  EXPECT_EQ(guesser.Get("/api/v1/tasks").error().code, Code::kUnauthorized);
  EXPECT_EQ(guesser.Get("/api/v1/tasks").error().code, Code::kTooFast);
}

// A proof costs the core thread, which also counts updates, a pass over all leaves.
TEST_F(ApiAccessTest, StrangersGetFewProofs) {
  HttpClient stranger = *HttpClient::Create({.url = url()});
  const std::string path = "/api/v1/tasks/absent/versions/1/proofs/" + std::string(64, 'a');
  for (int i = 0; i < 10; ++i) EXPECT_EQ(stranger.Get(path).error().code, Code::kUnknownTask);
  EXPECT_EQ(stranger.Get(path).error().code, Code::kTooFast);
  EXPECT_TRUE(Client().Get("/api/v1/tasks"));  // from the same address
  clock_.Advance(Millis(6'000));
  EXPECT_EQ(stranger.Get(path).error().code, Code::kUnknownTask);
  EXPECT_EQ(stranger.Get(path).error().code, Code::kTooFast);
}

TEST_F(ApiAccessTest, ATokenThatIsRemovedOrExpiredCountsNoMore) {
  HttpClient alice = As(*tokens_.Add({"alice", HttpAccess::kViewer, kTestStart, kTestStart + Millis(1000)}, random_));
  EXPECT_TRUE(alice.Get("/api/v1/tasks"));
  clock_.Advance(Millis(1000));
  EXPECT_EQ(alice.Get("/api/v1/tasks").error().code, Code::kUnauthorized);
  HttpClient bob = As(*tokens_.Add({"bob", HttpAccess::kViewer, kTestStart, {}}, random_));
  EXPECT_TRUE(bob.Get("/api/v1/tasks"));
  ASSERT_TRUE(tokens_.Remove("bob"));
  EXPECT_EQ(bob.Get("/api/v1/tasks").error().code, Code::kUnauthorized);
}

// In every case that goes wrong, and at the most talkative level.
TEST_F(ApiAccessTest, NoTokenIsInLogsErrorsOrTheAudit) {
  const Path log = folder_ / "log";
  ASSERT_TRUE(StartLog("debug", log));
  const std::string viewer = TokenOf(HttpAccess::kViewer);
  const std::string wrong = "trb_" + std::string(64, '5');
  const std::string secret = FakeEnrolment::Secret();
  std::string errors;
  for (const std::string& token : {token_, viewer, wrong, wrong + "\t" + secret}) {
    HttpClient client = As(token);
    for (const HttpRoute& route : server_.router().routes()) {
      if (route.pattern == "/api/v1/events") continue;
      if (const auto reply = Call(client, route); !reply) errors += reply.error().ToString() + "\n";
    }
    ASSERT_TRUE(client.Post("/api/v1/enrolment-tokens", R"({"id":"floor-2"})") || token != token_);
  }
  // A failure of the environment is what the server logs by itself.
  std::filesystem::permissions(folder_ / "tokens", std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(Client().Get("/api/v1/tasks?token=" + token_).error().code, Code::kPermissions);
  ASSERT_TRUE(StartLog("info", {}));
  const std::string logged(AsText(*ReadFile(RealFileSystem(), log, 1 << 20)));
  EXPECT_THAT(logged, HasSubstr("http.failed"));
  for (const std::string& text : {logged, errors, AuditText()}) {
    ASSERT_FALSE(text.empty());
    for (const std::string& hidden : {token_, viewer, wrong, secret}) {
      EXPECT_THAT(text, Not(HasSubstr(hidden.substr(4))));
    }
    EXPECT_THAT(text, Not(HasSubstr("Bearer t")));
  }
}

TEST_F(ApiAccessTest, TheAuditComesInPagesAndSaysWhereItIsDamaged) {
  OnCore([&] { fake_.tasks[TestTask("digits")].id = TestTask("digits"); });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Client().Post("/api/v1/tasks/digits/rounds/cancel", ""));
  const json page = json::parse(Client().Get("/api/v1/audit?after=2&limit=2")->body);
  EXPECT_EQ(page["items"].size(), 2u);
  EXPECT_EQ(page["items"][0]["sequence"], 3);
  EXPECT_EQ(page["next"], 4);
  EXPECT_TRUE(page["damage"].is_null());
  EXPECT_FALSE(Client().Get("/api/v1/audit?limit=0"));
  std::string text = AuditText();
  text[text.find("\"sequence\":5") - 5] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "audit.log", AsBytes(text)));
  AuditLog fresh(RealFileSystem(), folder_ / "audit.log", clock_);
  const auto read = fresh.Read(0, 100);
  ASSERT_TRUE(read);
  EXPECT_EQ(json::parse(ToJson(*read))["items"].size(), 4u);
  EXPECT_THAT(json::parse(ToJson(*read))["damage"].get<std::string>(), HasSubstr("audit.log:5 "));
}

}  // namespace
}  // namespace tributary::api_access_test
