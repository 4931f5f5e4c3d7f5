// The real `tributary`, run as a person would, against the API with a fake core behind it.
#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "aggregator/operator/command/api_client.h"
#include "aggregator/operator/command/child_process.h"
#include "protocol/base/http/ops_routes.h"
#include "protocol/trust/identity/identity.h"
#include "tests/aggregator/operator/tributary_fixture.h"
#include "tests/support/small_module.h"

namespace tributary::tributary_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Outcome = TributaryOutcome;

TEST_F(TributaryTest, HelpAndVersionAreEnoughToBegin) {
  const Outcome help = Tributary({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.output,
              AllOf(HasSubstr("Examples:"), HasSubstr("Exit codes:"), HasSubstr("--token-file"), HasSubstr("rounds")));
  EXPECT_THAT(Tributary({"--version"}).output, HasSubstr("tributary "));
  EXPECT_THAT(Tributary({"task", "create", "--help"}).output,
              AllOf(HasSubstr("--package"), HasSubstr("[training]"), HasSubstr("huber")));
  EXPECT_THAT(Tributary({"tokens", "--help"}).output, AllOf(HasSubstr("API tokens"), Not(HasSubstr("Exit codes:"))));
  EXPECT_THAT(Tributary({"rounds", "list", "--help"}).output,
              AllOf(HasSubstr("tributary --help"), Not(HasSubstr("Exit codes:"))));
  EXPECT_THAT(Tributary({"tokens", "list", "--help"}).output, Not(HasSubstr("API tokens")));
  EXPECT_THAT(Tributary({"rounds", "show", "--help"}).output,
              AllOf(HasSubstr("global"), HasSubstr("personal"), HasSubstr("local")));
}

TEST_F(TributaryTest, WrongUsageIsTwo) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{},
                                                                     {"nonsense"},
                                                                     {"task"},
                                                                     {"task", "show"},
                                                                     {"rounds", "start", "x", "--count", "0"},
                                                                     {"--output", "xml", "status"},
                                                                     {"task", "list", "--nonsense"}}) {
    EXPECT_EQ(Tributary(arguments).code, 2);
  }
}

TEST_F(TributaryTest, ATaskFromPackageAndPlan) {
  WritePackage();
  Write("plan.toml", "[training]\nlearning_rate = 0.01\n[round]\nreport_goal = 4\nminimum = 3\n");
  const Outcome made = Tributary({"task", "create", "digits", "--package", "m.tpkg", "--plan", "plan.toml"});
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("rounds start digits"));
  EXPECT_THAT(made.output, HasSubstr("plan.loss                 the model's own"));
  EXPECT_THAT(Tributary({"task", "show", "digits"}).output, HasSubstr("cross_entropy (unless the model has its own)"));
  OnCore([&] {
    const TaskRecord& task = fake_.tasks.at(TestTask("digits"));
    EXPECT_EQ(task.plan.learning_rate, 0.01);
    EXPECT_EQ(task.policy.report_goal, 4u);
    EXPECT_EQ(task.table.tensors[0].name, "w");
    EXPECT_EQ(*fake_.blobs().ReadAll(task.module.digest), SmallModule());
    EXPECT_EQ(task.manifest.metrics.at("mae"), MetricDirection::kSmaller);
  });
  EXPECT_THAT(Tributary({"task", "show", "digits"}).output, HasSubstr("manifest.metrics.mae      smaller"));
  EXPECT_THAT(Tributary({"task", "list"}).output, HasSubstr("digits"));
  EXPECT_THAT(Tributary({"task", "show", "digits"}).output, HasSubstr("plan.learning_rate        0.01"));
  const Json shown = Json::parse(Tributary({"task", "show", "digits", "--output", "json"}).output);
  EXPECT_EQ(shown["policy"]["minimum"], 3);
  EXPECT_EQ(Tributary({"task", "create", "digits", "--package", "m.tpkg"}).code, 1);  // exists
}

TEST_F(TributaryTest, ATaskThatCannotBeMade) {
  WritePackage();
  Write("plan.toml", "[training]\nlearning_rat = 1\n");
  Write("bad.tpkg", "not a package");
  const Outcome unknown_key = Tributary({"task", "create", "digits", "--package", "m.tpkg", "--plan", "plan.toml"});
  EXPECT_EQ(unknown_key.code, 2);
  EXPECT_THAT(unknown_key.output, AllOf(HasSubstr("plan.toml:2"), HasSubstr("what to do")));
  EXPECT_EQ(Tributary({"task", "create", "digits", "--package", "bad.tpkg"}).code, 2);
  EXPECT_EQ(Tributary({"task", "create", "digits", "--package", "none.tpkg"}).code, 3);
  EXPECT_EQ(Tributary({"task", "create", "No Name", "--package", "m.tpkg"}).code, 1);
}

TEST_F(TributaryTest, ExitCodesTellWhatKindOfFailure) {
  EXPECT_EQ(Tributary({"task", "show", "nobody"}).code, 3);
  const Outcome wrong = RunArgv({program_.string(), "--url", url(), "--token", "wrong", "task", "list"});
  EXPECT_EQ(wrong.code, 4);
  EXPECT_THAT(wrong.output, HasSubstr("the token is from --token"));
  const Outcome none = RunArgv({"env", "-u", "TRIBUTARY_TOKEN", program_.string(), "--url", url(), "task", "list"});
  EXPECT_EQ(none.code, 4);
  EXPECT_THAT(none.output, AllOf(HasSubstr("unauthorized"), HasSubstr("no token was given; use --token-file FILE")));
  server_.Stop();
  const Outcome away = Tributary({"task", "list"});
  EXPECT_EQ(away.code, 5);
  EXPECT_THAT(away.output, AllOf(HasSubstr("what to do"), HasSubstr(url() + " (from --url)")));
  const Outcome env = RunArgv({"env", "TRIBUTARY_URL=" + url(), program_.string(), "task", "list"});
  EXPECT_THAT(env.output, HasSubstr(url() + " (from TRIBUTARY_URL; --url overrides it)"));
  EXPECT_EQ(Json::parse(Tributary({"task", "list", "--output", "json"}).output)["code"], "unreachable");
}

TEST_F(TributaryTest, TokensComeFromFileAndEnvironment) {
  Write("token", token_ + "\n");
  EXPECT_EQ(RunArgv({program_.string(), "--url", url(), "--token-file", "token", "task", "list"}).code, 0);
  EXPECT_EQ(RunArgv({"env", "TRIBUTARY_TOKEN=" + token_, program_.string(), "--url", url(), "task", "list"}).code, 0);
  std::filesystem::permissions(folder_ / "token", std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(RunArgv({program_.string(), "--url", url(), "--token-file", "token", "task", "list"}).code, 1);
}

TEST_F(TributaryTest, RoundsStartListAndCancel) {
  CreateTask();
  EXPECT_EQ(Tributary({"rounds", "start", "digits", "--count", "3"}).code, 0);
  EXPECT_THAT(Tributary({"rounds", "list", "digits"}).output, HasSubstr("collecting"));
  EXPECT_EQ(Tributary({"rounds", "cancel", "digits"}).code, 0);
  EXPECT_THAT(Tributary({"rounds", "list", "digits"}).output, HasSubstr("cancelled"));
  EXPECT_EQ(Tributary({"rounds", "start", "nobody"}).code, 3);
}

TEST_F(TributaryTest, RoundsArePausedAndTasksChanged) {
  CreateTask();
  EXPECT_EQ(Tributary({"rounds", "pause", "digits"}).code, 2) << "without a reason";
  EXPECT_EQ(Tributary({"rounds", "pause", "digits", "--reason", "the sensors are exchanged"}).code, 0);
  EXPECT_THAT(Tributary({"task", "show", "digits"}).output, HasSubstr("the sensors are exchanged"));
  EXPECT_EQ(Tributary({"rounds", "resume", "digits"}).code, 0);
  Write("new.toml", "[round]\ndeadline_seconds = 7\n[server_optimizer]\nname = \"fedyogi\"\n");
  const Outcome changed = Tributary({"task", "set", "digits", "--plan", "new.toml"});
  EXPECT_EQ(changed.code, 0) << changed.output;
  EXPECT_THAT(changed.output, HasSubstr("follows next_settings"));
  const Json next = Json::parse(Tributary({"task", "show", "digits", "--output", "json"}).output)["next_settings"];
  EXPECT_EQ(next["policy"]["deadline_seconds"], 7);
  EXPECT_EQ(next["server_optimizer"]["name"], "fedyogi");
  Write("wrong.toml", "[training]\nepochs = 2\n");
  EXPECT_EQ(Tributary({"task", "set", "digits", "--plan", "wrong.toml"}).code, 2);
  EXPECT_THAT(Tributary({"models", "show", "digits", "1"}).output, HasSubstr("optimizer_state"));
}

TEST_F(TributaryTest, RoundsAndVersionsShowTheMetricsByName) {
  CreateTask();
  const TaskId task = TestTask("digits");
  OnCore([&] {
    fake_.rounds[task] = {CompletedRound(task, 1)};
    fake_.rounds[task][0].metrics.global = {{"loss", 0.5}, {"mae", 0.25}};
    fake_.rounds[task][0].metrics.personal = {};
    VersionRecord next = fake_.versions[task][0];
    fake_.versions[task][0].metrics.global = {{"loss", 0.75}, {"mae", 2}};
    next.version = ModelVersion{2};
    next.metrics.global = {{"loss", 1}, {"mae", 1}};
    fake_.versions[task].push_back(next);
  });
  EXPECT_THAT(Tributary({"rounds", "list", "digits"}).output,
              AllOf(HasSubstr("GLOBAL"), HasSubstr("loss 0.5, mae 0.25"), Not(HasSubstr("accuracy"))));
  EXPECT_THAT(Tributary({"models", "list", "digits"}).output,
              AllOf(HasSubstr("loss 0.75, mae 2"), HasSubstr("the best mae (smaller is better) of version 2")));
  OnCore([&] { fake_.tasks[task].manifest.metrics = {{"mae", MetricDirection::kLarger}}; });
  EXPECT_THAT(Tributary({"models", "list", "digits"}).output,
              HasSubstr("the best mae (larger is better) of version 1"));
  OnCore([&] { fake_.tasks[task].manifest.metrics = {}; });
  EXPECT_THAT(Tributary({"models", "list", "digits"}).output,
              HasSubstr("the best loss (smaller is better) of version 1"));
  const Outcome shown = Tributary({"rounds", "show", "digits", "1"});
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.output,
              AllOf(HasSubstr("metrics.global.mae        0.25"), HasSubstr("metrics.local.loss        0.75"),
                    HasSubstr("metrics.personal          -")));
  EXPECT_EQ(Tributary({"rounds", "show", "digits", "2"}).code, 3);
  EXPECT_EQ(Tributary({"rounds", "show", "digits", "0"}).code, 2);
}

TEST_F(TributaryTest, WatchingFollowsTheRoundsToTheirEnd) {
  CreateTask();
  const Path log = folder_ / "watch";
  auto child =
      ChildProcess::Start({.argv = Command({"rounds", "start", "digits", "--count", "2", "--watch"}), .log = log});
  ASSERT_TRUE(child);
  // The other side's part: each round ends, whenever the watcher may look.
  const TaskId task = TestTask("digits");
  const auto event = [&](const char* name, uint64_t round) {
    CoreEvent happened;
    happened.name = name;
    happened.task = task;
    happened.round = round;
    events_.Publish(happened);
  };
  for (bool started = false; !started; std::this_thread::yield())
    OnCore([&] { started = !fake_.rounds[task].empty(); });
  OnCore([&] {
    fake_.rounds[task] = {CompletedRound(task, 1), RoundRecord{}};
    fake_.rounds[task][1].task = task;
    fake_.rounds[task][1].number = 2;
    fake_.tasks[task].rounds_wanted = 0;
  });
  event("round.closed", 1);
  EXPECT_EQ(child->Poll(), std::nullopt);
  OnCore([&] { fake_.rounds[task][1] = CompletedRound(task, 2); });
  event("round.closed", 2);
  EXPECT_EQ(child->WaitFor(Millis(60'000)), 0);
  const std::string text(AsText(*ReadFile(RealFileSystem(), log, 100'000)));
  EXPECT_THAT(text, HasSubstr("round 2  completed  version 3  updates 20  refused not-finite 1, duplicate 2  global "
                              "accuracy 0.8125, loss 0.52  personal accuracy 0.875, loss 0.5"));
}

TEST_F(TributaryTest, WatchingARoundThatFailedSaysSo) {
  CreateTask();
  OnCore([&] {
    fake_.rounds[TestTask("digits")] = {CompletedRound(TestTask("digits"), 1)};
    fake_.rounds[TestTask("digits")][0].state = RoundState::kFailed;
  });
  const Outcome watched = Tributary({"rounds", "watch", "digits"});
  EXPECT_EQ(watched.code, 1);
  EXPECT_THAT(watched.output, HasSubstr("the last round failed"));
}

TEST_F(TributaryTest, WhyDevicesCannotTrainAndWhatToDo) {
  CreateTask();
  const TaskId task = TestTask("digits");
  OnCore([&] {
    MemberRecord seen;
    seen.id = TestDevice("d1");
    seen.role = "device";
    fake_.members.push_back(seen);
    DeviceStateRecord state;
    state.device = seen.id;
    state.report.failures[task] = {
        Code::kFewExamples, "3 examples, 48 are asked for", 2, ModelVersion{1}, kTestStart, true};
    fake_.reports.push_back(state);
    RoundRecord round = CompletedRound(task, 1);
    round.state = RoundState::kFailed;
    round.shortfall =
        "9 of 10 devices cannot train version 1: 9 few-examples; at most 1 updates can come, 2 are needed";
    round.device_failures = {{Code::kFewExamples, 9}};
    fake_.rounds[task] = {round};
  });
  EXPECT_THAT(Tributary({"devices", "list"}).output, AllOf(HasSubstr("FAILING"), HasSubstr("digits few-examples")));
  EXPECT_THAT(Tributary({"devices", "show", "d1"}).output,
              AllOf(HasSubstr("task digits fails on version 1: few-examples, 2 times"),
                    HasSubstr("what happened  3 examples, 48 are asked for"),
                    HasSubstr("what to do     " + std::string(Describe(Code::kFewExamples).remedy))));
  EXPECT_EQ(Json::parse(Tributary({"devices", "list", "--output", "json"}).output)["items"][0].count("failing"), 0u);
  const Outcome shown = Tributary({"rounds", "show", "digits", "1"});
  EXPECT_EQ(shown.code, 0) << shown.output;
  EXPECT_THAT(shown.output,
              AllOf(HasSubstr("9 of 10 devices cannot train"), HasSubstr("9 of the devices say few-examples"),
                    HasSubstr(std::string(Describe(Code::kFewExamples).remedy))));
  EXPECT_EQ(Json::parse(Tributary({"rounds", "show", "digits", "1", "--output", "json"}).output)["device_failures"],
            (Json{{"few-examples", 9}}));
  EXPECT_EQ(Tributary({"rounds", "show", "digits", "7"}).code, 3);
  EXPECT_THAT(Tributary({"rounds", "watch", "digits"}).output, HasSubstr("rounds show digits 1"));
}

TEST_F(TributaryTest, ExportRunsTheDeviceProgramOnCheckedBytes) {
  CreateTask();
  InstallDevice(
      "#!/bin/sh\n[ \"$1 $2 $4 $6\" = 'export --module --weights --out' ] && /bin/cat \"$3\" \"$5\" > \"$7\"\n"
      "echo The module takes scaled inputs\n");
  const Outcome made = Tributary({"models", "export", "digits", "--version", "1", "--out", "model.pt"});
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, AllOf(HasSubstr("torch.jit.load"), HasSubstr("The module takes scaled inputs")));
  const Bytes model = *ReadFile(RealFileSystem(), folder_ / "model.pt", 1 << 20);
  const Bytes module = SmallModule();
  ASSERT_EQ(model.size(), module.size() + 8);
  EXPECT_TRUE(std::equal(module.begin(), module.end(), model.begin()));
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("export-")));
  }
  EXPECT_EQ(Tributary({"models", "export", "digits", "--version", "9", "--out", "model.pt"}).code, 3);
  EXPECT_THAT(Tributary({"models", "list", "digits"}).output, HasSubstr("VERSION"));
}

TEST_F(TributaryTest, ExportWithoutOrWithAFailingDeviceProgram) {
  CreateTask();
  const Outcome missing = Tributary({"models", "export", "digits", "--out", "model.pt"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.output, HasSubstr("there is no tributary-device beside"));
  InstallDevice("#!/bin/sh\necho cannot read the module\nexit 9\n");
  const Outcome failed = Tributary({"models", "export", "digits", "--out", "model.pt"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT(failed.output, AllOf(HasSubstr("ended with 9"), HasSubstr("cannot read the module")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "model.pt"));
}

TEST_F(TributaryTest, AnAlteredBlobIsNotExported) {
  CreateTask();
  InstallDevice("#!/bin/sh\n/bin/cat \"$3\" > \"$7\"\n");
  OnCore([&] {
    const Path blob = fake_.blobs().PathOf(fake_.tasks.at(TestTask("digits")).module.digest);
    ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), blob, AsBytes("another module")));
  });
  const Outcome refused = Tributary({"models", "export", "digits", "--out", "model.pt"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output, HasSubstr("digest-mismatch"));
}

TEST_F(TributaryTest, StatusSaysWhetherTheAggregatorIsReady) {
  CreateTask();
  const Outcome without = Tributary({"status"});  // this server has no /readyz
  EXPECT_EQ(without.code, 5);
  // Routes are fixed once a server runs, so another one stands in for the whole program.
  Metrics metrics;
  std::atomic<bool> ready{true};
  HttpServer whole(HttpServer::Options{});
  AddAll(whole);
  AddOpsRoutes(whole, metrics, {{"disk", [&]() -> Status {
                                   if (ready) return {};
                                   return Fail(Code::kDiskFull, "0 bytes left");
                                 }}});
  ASSERT_TRUE(whole.Start());
  const std::string other = "http://127.0.0.1:" + std::to_string(whole.port());
  const Outcome good = Tributary({"--url", other, "status"});
  EXPECT_EQ(good.code, 0) << good.output;
  EXPECT_THAT(good.output, HasSubstr("digits"));
  ready = false;
  const Outcome bad = Tributary({"--url", other, "status"});
  EXPECT_EQ(bad.code, 5);
  EXPECT_THAT(bad.output, AllOf(HasSubstr("0 bytes left"), HasSubstr("Free space")));
}

TEST_F(TributaryTest, GatewaysInTheOrderOfTheTree) {
  OnCore([&] {
    const auto add = [&](std::vector<std::string> path) -> GatewayRecord& {
      GatewayRecord& gateway = fake_.gateways.emplace_back();
      gateway.report.gateway = TestDevice(path.back());
      gateway.path = {TestDevice("aggregator")};
      for (const std::string& step : path) gateway.path.push_back(TestDevice(step));
      return gateway;
    };
    GatewayRecord& site = add({"north", "a-site"});
    site.quiet = std::chrono::hours(5);
    site.report.trouble = "disk-full: 12 bytes are free";
    site.report.spool_bytes = 3 << 19;
    site.report.spool_limit_bytes = 1ull << 30;
    site.report.uplink[LinkPurpose::kUploads].up = 2048;
    site.report.uplink[LinkPurpose::kControl].up = 1024;
    site.report.accounts[0].offered = 1;
    site.report.accounts[0].refused[Code::kStaleVersion] = 1;
    add({"north-2"});
    add({"north"});
  });
  const std::string list = Tributary({"gateways", "list"}).output;
  EXPECT_THAT(list, HasSubstr("LATE, 5 h"));
  EXPECT_THAT(list, AllOf(HasSubstr("1.5 MiB of 1 GiB"), HasSubstr("3 KiB"), HasSubstr("disk-full")));
  EXPECT_LT(list.find("\nnorth "), list.find("\nnorth/a-site "));
  EXPECT_LT(list.find("\nnorth/a-site "), list.find("\nnorth-2 "));
  const Outcome shown = Tributary({"gateways", "show", "a-site"});
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.output, AllOf(HasSubstr("aggregator > north > a-site"), HasSubstr("disk-full: 12 bytes are free"),
                                  HasSubstr("Free space"), HasSubstr("stale-version 1"), HasSubstr("RESENT")));
  EXPECT_EQ(Json::parse(Tributary({"gateways", "show", "a-site", "--output", "json"}).output)["late"], true);
  EXPECT_EQ(Json::parse(Tributary({"gateways", "list", "--output", "json"}).output)["items"].size(), 3u);
  EXPECT_EQ(Tributary({"gateways", "show", "nobody"}).code, 3);
}

TEST_F(TributaryTest, MembersAccountAndCodes) {
  OnCore([&] {
    MemberRecord gateway;
    gateway.id = TestDevice("gateway-1");
    gateway.role = "gateway";
    fake_.members.push_back(gateway);
  });
  EXPECT_THAT(Tributary({"devices", "list"}).output, AllOf(HasSubstr("CLASS"), Not(HasSubstr("gateway-1"))));
  EXPECT_THAT(Tributary({"account"}).output, AllOf(HasSubstr("update"), HasSubstr("yes")));
  EXPECT_THAT(Tributary({"explain", "digest-mismatch"}).output, HasSubstr("what to do"));
  EXPECT_THAT(Tributary({"explain", "12"}).output, HasSubstr("digest-mismatch"));
  EXPECT_THAT(Tributary({"explain"}).output, HasSubstr("norm-exceeded"));
  EXPECT_EQ(Tributary({"explain", "nonsense"}).code, 3);
}

TEST_F(TributaryTest, AnInvitationGoesIntoAFileAndOnNoScreen) {
  const Outcome nowhere = Tributary({"tokens", "create", "floor-2"});
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_THAT(nowhere.output, HasSubstr("--out"));
  const Outcome made = Tributary({"tokens", "create", "floor-2", "--class", "phone", "--uses", "20", "--label", "west",
                                  "--wait-for-approval", "--out", "floor-2.invitation"});
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, AllOf(HasSubstr("enrol --invitation"), Not(HasSubstr(FakeEnrolment::Secret()))));
  const Path file = folder_ / "floor-2.invitation";
  EXPECT_EQ(std::filesystem::status(file).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const auto invitation = DecodeInvitation(*ReadFile(RealFileSystem(), file, 100'000));
  ASSERT_TRUE(invitation) << invitation.error().ToString();
  EXPECT_EQ(AsText(invitation->token.RevealForUse()), FakeEnrolment::Secret());
  OnCore([&] { EXPECT_FALSE(enrolment_.tokens.at("floor-2").approved); });
  const Outcome twice = Tributary({"tokens", "create", "other", "--out", "floor-2.invitation"});
  EXPECT_EQ(twice.code, 1);  // nothing is written over
  OnCore([&] { EXPECT_FALSE(enrolment_.tokens.contains("other")); });
  EXPECT_THAT(Tributary({"tokens", "list"}).output, AllOf(HasSubstr("floor-2"), HasSubstr("phone")));
  EXPECT_EQ(Tributary({"tokens", "remove", "floor-2"}).code, 0);
  EXPECT_EQ(Tributary({"tokens", "remove", "floor-2"}).code, 3);
}

TEST_F(TributaryTest, TheTwoKindsOfTokensAreToldApart) {
  EXPECT_THAT(Tributary({"tokens", "--help"}).output, HasSubstr("tributary-aggregator token add"));
  EXPECT_THAT(Tributary({"--help"}).output, AllOf(HasSubstr("API tokens"), HasSubstr("tributary tokens create")));
}

TEST_F(TributaryTest, DevicesAreApprovedRefusedAndRevoked) {
  OnCore([&] {
    enrolment_.Add("one", EnrolmentState::kPending);
    enrolment_.Add("two", EnrolmentState::kPending);
    enrolment_.Add("gateway-1", EnrolmentState::kActive, Role::kGateway);
  });
  EXPECT_THAT(Tributary({"devices", "list", "--state", "pending"}).output, AllOf(HasSubstr("one"), HasSubstr("two")));
  EXPECT_EQ(Tributary({"devices", "approve", "one"}).code, 0);
  EXPECT_EQ(Tributary({"devices", "refuse", "two"}).code, 2);  // a reason is due
  EXPECT_EQ(Tributary({"devices", "refuse", "two", "--reason", "not ours"}).code, 0);
  const Outcome revoked = Tributary({"devices", "revoke", "one", "--reason", "lost on a train"});
  EXPECT_THAT(revoked.output, AllOf(HasSubstr("revoked"), HasSubstr("next publication")));
  EXPECT_THAT(Tributary({"devices", "show", "one"}).output, HasSubstr("lost on a train (test)"));
  EXPECT_EQ(Tributary({"gateways", "revoke", "gateway-1", "--reason", "stolen"}).code, 0);
  EXPECT_EQ(Tributary({"devices", "refuse", "nobody", "--reason", "lost"}).code, 3);
  EXPECT_THAT(Tributary({"sealing-keys", "rotate", "--overlap-days", "3"}).output, HasSubstr("former"));
}

TEST_F(TributaryTest, TheAuditIsListedExportedAndVerified) {
  CreateTask();
  const std::string viewer = *tokens_.Add({"eve", HttpAccess::kViewer, kTestStart, {}}, random_);
  const Outcome forbidden = Tributary({"--token", viewer, "rounds", "start", "digits"});
  EXPECT_EQ(forbidden.code, 4);
  EXPECT_THAT(forbidden.output, HasSubstr("needs a token of the role operator"));
  const Outcome list = Tributary({"audit", "list"});
  EXPECT_EQ(list.code, 0) << list.output;
  EXPECT_THAT(list.output,
              AllOf(HasSubstr("task.create"), HasSubstr("forbidden"), HasSubstr("eve"), Not(HasSubstr("begun"))));
  ASSERT_EQ(Tributary({"audit", "export", "--out", "audit.jsonl"}).code, 0);
  const Bytes log = *ReadFile(RealFileSystem(), folder_ / "audit.log", 1'000'000);
  EXPECT_EQ(AsText(*ReadFile(RealFileSystem(), folder_ / "audit.jsonl", 1'000'000)), AsText(log));
  const Json whole = Json::parse(Tributary({"audit", "verify", "audit.jsonl", "--output", "json"}).output);
  EXPECT_EQ(Tributary({"audit", "verify", "audit.log", "--known", whole["head"].get<std::string>()}).code, 0);
  std::string cut(AsText(log));
  cut.erase(cut.rfind('\n', cut.size() - 2) + 1);  // its last entry
  Write("cut.jsonl", cut);
  EXPECT_EQ(Tributary({"audit", "verify", "cut.jsonl"}).code, 0);  // nothing in it says so
  EXPECT_EQ(Tributary({"audit", "verify", "cut.jsonl", "--known", whole["head"].get<std::string>()}).code, 1);
  cut[10] ^= 1;
  Write("cut.jsonl", cut);
  const Outcome damaged = Tributary({"audit", "verify", "cut.jsonl"});
  EXPECT_EQ(damaged.code, 1);
  EXPECT_THAT(damaged.output, HasSubstr("cut.jsonl:1 "));
}

}  // namespace
}  // namespace tributary::tributary_test
