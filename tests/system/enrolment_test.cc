#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "protocol/hop/client/client.h"
#include "protocol/member/enrol.h"
#include "protocol/trust/identity/enrolment_request.h"
#include "tests/system/files_contain.h"
#include "tests/system/synthetic_site.h"

// How members come, are renewed, and are put out, through real processes.
namespace tributary::system_enrolment_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A client with an identity, on the test's thread, that tries for as long as it is asked to.
class Knocker {
 public:
  Knocker(const Identity& identity, const Site::Address& at)
      : client_({loop_, clock_, random_, identity}, OptionsFor(at),
                HopClient::Hooks{[] { return hop::CheckIn{}; }, [](ByteView) {}}) {
    client_.Start();
  }
  HopClient& client() { return client_; }
  bool Until(const std::function<bool()>& condition) {
    const Millis end = clock_.Monotonic() + kPatience;
    while (!condition() && clock_.Monotonic() < end) loop_.RunOnce(Millis(50));
    return condition();
  }

 private:
  static HopClient::Options OptionsFor(const Site::Address& at) {
    HopClient::Options options;
    options.endpoint = at.endpoint;
    options.server_key = Must(FromHex(at.server_key));
    options.retry_cap = Millis(500);
    return options;
  }
  SystemClock clock_;
  SystemRandom random_;
  Loop loop_{clock_};
  HopClient client_;
};

class EnrolmentSystemTest : public ::testing::Test {
 protected:
  // An operator's token; the invitation's file, and the secret in it.
  Path Invite(const std::string& id, const std::string& role, bool approved) {
    Json wanted = {{"id", id}, {"role", role}, {"uses", 1}, {"approved", approved}};
    if (role != "gateway") wanted["device_class"] = "board";
    if (role != "gateway") wanted["labels"] = {"kitchen-in-aarhus"};
    const Json made = Must(site_.api().CreateEnrolmentToken(wanted));
    secret_ = made.at("invitation").at("token");
    const Path file = site_.folder() / (id + ".json");
    Must(WriteFileAtomically(RealFileSystem(), file, AsBytes(made.at("invitation").dump())));
    return file;
  }
  // Enrols through `server` while `meanwhile` does what an operator does.
  Status Enrol(const Path& invitation, const std::string& server, const std::string& id,
               const std::function<void()>& meanwhile) {
    Application application;
    application.invitation = invitation;
    application.identity = site_.folder() / id;
    application.server.endpoint = site_.AddressOf(server).endpoint;
    application.server.server_key = site_.AddressOf(server).server_key;
    application.id = id;
    application.roles = {Role::kDevice};
    application.retry_cap = Millis(500);
    Status status;
    std::thread applicant([&] {
      SystemClock clock;
      SystemRandom random;
      status = Apply(application, clock, random, RealFileSystem(), progress_);
    });
    meanwhile();
    applicant.join();
    return status;
  }
  // The events of a member that people who watch were told, up to its end.
  std::vector<std::string> ToldOf(const std::string& id) {
    HttpClient::Options options;
    options.url = "http://127.0.0.1:" + std::to_string(site_.HttpPortOf("aggregator"));
    options.token = site_.token();
    std::vector<std::string> told;
    std::string last_id = "an-earlier-life";
    Must(Must(HttpClient::Create(options)).Watch("/api/v1/events", last_id, [&](const ServerSentEvent& event) {
      const Json member = Json::parse(event.data).value("member", Json());
      if (member.is_object() && member.at("id") == id) told.push_back(event.name);
      return event.name != "member.revoked";
    }));
    return told;
  }
  std::string StateOf(const std::string& id) {
    const auto device = site_.api().Device(id);
    if (!device || device->at("enrolment").is_null()) return "";
    return device->at("enrolment").at("state");
  }

  SyntheticSite synthetic_;
  TestSite& site_ = synthetic_.site();
  std::ostringstream progress_;
  std::string secret_;
};

TEST_F(EnrolmentSystemTest, ADeviceEnrolsThroughAGatewayUploadsIsRenewedAndIsPutOut) {
  synthetic_.AddAndStartGateway("g0");
  synthetic_.CreateTask(1'000, 1);
  Must(site_.api().StartRounds("synthetic", 2));
  const Path invitation = Invite("lab", "device", /*approved=*/false);
  const Status enrolled = Enrol(invitation, "g0", "board-1", [&] {
    ASSERT_TRUE(site_.Eventually([&] { return StateOf("board-1") == "pending"; })) << site_.Logs();
    EXPECT_FALSE(std::filesystem::exists(site_.folder() / "board-1" / "cert.pem"));
    Must(site_.api().DecideDevice("board-1", "approve", Json::object()));
  });
  ASSERT_TRUE(enrolled) << enrolled.error().ToString() << progress_.str() << site_.Logs();
  EXPECT_THAT(progress_.str(), HasSubstr("waiting: pending"));
  EXPECT_EQ(StateOf("board-1"), "active");
  Identity identity = Must(LoadIdentity(site_.folder() / "board-1", SystemClock().Now()));
  EXPECT_EQ(identity.subject.device_class, "board");

  // It is a member like any other.
  SealingTarget target;
  {
    SyntheticDevice device(synthetic_.thread(), Must(LoadIdentity(site_.folder() / "board-1", SystemClock().Now())),
                           {site_.AddressOf("g0"), site_.folder() / "devices" / "board-1"});
    ASSERT_TRUE(device.AwaitVersion(1)) << site_.Logs();
    target = {device.publication().aead, device.publication().sealing_key};
    const auto fate = device.AwaitFate(device.GiveUpdate());
    ASSERT_TRUE(fate) << site_.Logs();
    EXPECT_FALSE(*fate) << Name(**fate);
    ASSERT_TRUE(device.AwaitVersion(2)) << site_.Logs();
  }

  // The next certificate, for the same keys, over a session of its own.
  {
    Knocker knocker(identity, site_.AddressOf("g0"));
    ASSERT_TRUE(knocker.Until([&] { return knocker.client().up(); }));
    std::optional<EnrolmentAnswer> answer;
    const Bytes request = Must(SealRenewal(identity, target, SystemClock().Now()));
    ASSERT_TRUE(knocker.Until([&] {
      if (!answer) (void)knocker.client().Enrol(request, [&](const EnrolmentAnswer& came) { answer = came; });
      knocker.Until([&] { return answer.has_value(); });
      if (answer && answer->kind == EnrolmentAnswer::Kind::kPending) answer.reset();
      return answer.has_value();
    }));
    ASSERT_EQ(answer->kind, EnrolmentAnswer::Kind::kIssued) << answer->refusal.sentence << site_.Logs();
    EXPECT_NE(answer->chain.at(0), identity.chain.at(0));
    Must(SaveCertificate(RealFileSystem(), site_.folder() / "board-1", answer->chain, SystemClock().Now()));
    identity.chain = answer->chain;
  }

  // Put out: the gateway hears of it with the publication, and refuses it itself.
  Must(site_.api().DecideDevice("board-1", "revoke", {{"reason", "stolen from the kitchen"}}));
  EXPECT_THAT(ToldOf("board-1"), ElementsAre("member.pending", "member.approved", "member.renewed", "member.revoked"));
  Knocker knocker(identity, site_.AddressOf("g0"));
  EXPECT_TRUE(knocker.Until([&] { return knocker.client().last_problem().code == Code::kRevokedCertificate; }))
      << knocker.client().last_problem().ToString() << site_.Logs();
  const std::string metrics = site_.PageOf("g0", "/metrics");
  EXPECT_THAT(metrics, HasSubstr("tributary_gateway_certificate_end_timestamp_seconds 1"));
  const std::string shown = site_.PageOf("aggregator", "/metrics") + Must(site_.api().Device("board-1")).dump() +
                            Must(site_.api().Account()).dump();
  EXPECT_THAT(shown, HasSubstr("tributary_aggregator_certificate_end_timestamp_seconds{of=\"issuer\"} 1"));
  EXPECT_THAT(shown, Not(HasSubstr(secret_)));
  site_.Kill("aggregator");
  Knocker offline(identity, site_.AddressOf("g0"));
  EXPECT_TRUE(offline.Until([&] { return offline.client().last_problem().code == Code::kRevokedCertificate; }));

  // All that the gateway kept, said and shows holds neither the token nor what the operator calls the device.
  for (const std::string& needle : {secret_, std::string("kitchen-in-aarhus")}) {
    EXPECT_FALSE(FilesContain(site_.DataOf("g0"), needle)) << needle;
    EXPECT_THAT(site_.LogOf("g0"), Not(HasSubstr(needle)));
    EXPECT_THAT(metrics, Not(HasSubstr(needle)));
    EXPECT_THAT(site_.LogOf("aggregator"), Not(HasSubstr(secret_)));
  }
  EXPECT_FALSE(FilesContain(site_.DataOf("aggregator"), secret_));  // only its hash
}

TEST_F(EnrolmentSystemTest, AGatewayEnrolsWithItsOwnProgramAndATokenWorksOnlyOnce) {
  const Path invitation = Invite("site-3", "gateway", /*approved=*/true);
  ASSERT_EQ(chmod(invitation.c_str(), 0600), 0);
  const auto run = [&](const std::string& id) {
    return site_.Run(
        "tributary-gateway",
        {"enrol", "--invitation", invitation, "--gateway", site_.AddressOf("aggregator").endpoint, "--server-key",
         site_.AddressOf("aggregator").server_key, "--out", site_.folder() / id, "--id", id});
  };
  const Ended enrolled = run("g7");
  ASSERT_EQ(enrolled.code, 0) << enrolled.output << site_.Logs();
  EXPECT_THAT(enrolled.output, HasSubstr("enrolled as g7"));
  EXPECT_EQ(Must(LoadIdentity(site_.folder() / "g7", SystemClock().Now())).subject.role, Role::kGateway);
  const Ended again = run("g8");
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.output, HasSubstr("bad-token"));
  EXPECT_THAT(again.output, Not(HasSubstr(secret_)));
  const Ended whole = run("g7");
  EXPECT_THAT(whole.output, HasSubstr("already-exists"));
}

TEST_F(EnrolmentSystemTest, ADeviceThatWasFlashedAnewGetsItsNameBackAndAScrappedOneGivesItFree) {
  const auto nobody = [] {};
  const auto enrol = [&](const Path& invitation) { return Enrol(invitation, "aggregator", "board-1", nobody); };
  const auto tributary = [&](std::vector<std::string> words) {
    std::vector<std::string> all = {"--url", "http://127.0.0.1:" + std::to_string(site_.HttpPortOf("aggregator")),
                                    "--token", site_.token(), "devices"};
    all.insert(all.end(), words.begin(), words.end());
    return site_.Run("tributary", all);
  };
  const auto refused_as = [&](const Identity& identity) {
    Knocker knocker(identity, site_.AddressOf("aggregator"));
    knocker.Until([&] { return knocker.client().up() || !IsTransient(knocker.client().last_problem().code); });
    return knocker.client().up() ? "welcome" : std::string(Name(knocker.client().last_problem().code));
  };
  const Path folder = site_.folder() / "board-1";
  const Status first = enrol(Invite("lab-1", "device", /*approved=*/true));
  ASSERT_TRUE(first) << first.error().ToString() << site_.Logs();
  const Identity before = Must(LoadIdentity(folder, SystemClock().Now()));
  EXPECT_EQ(refused_as(before), "welcome");

  // Its card is written anew: other keys ask for the same name.
  std::filesystem::remove_all(folder);
  const Path second = Invite("lab-2", "device", /*approved=*/true);
  const Status taken = enrol(second);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::kAlreadyExists);
  EXPECT_THAT(taken.error().message, HasSubstr("devices approve board-1 --replaces-key"));
  const Ended approved = tributary({"approve", "board-1", "--replaces-key"});
  ASSERT_EQ(approved.code, 0) << approved.output;
  const Status again = enrol(second);
  ASSERT_TRUE(again) << again.error().ToString() << site_.Logs();
  const Identity after = Must(LoadIdentity(folder, SystemClock().Now()));
  EXPECT_EQ(refused_as(after), "welcome");
  EXPECT_EQ(refused_as(before), "revoked-certificate");

  // It is scrapped, and another one gets its name.
  const Ended revoked = tributary({"revoke", "board-1", "--reason", "scrapped"});
  ASSERT_EQ(revoked.code, 0) << revoked.output;
  EXPECT_EQ(refused_as(after), "revoked-certificate");
  const Ended forgotten = tributary({"forget", "board-1", "--reason", "scrapped"});
  ASSERT_EQ(forgotten.code, 0) << forgotten.output;
  EXPECT_EQ(StateOf("board-1"), "");
  std::filesystem::remove_all(folder);
  const Status third = enrol(Invite("lab-3", "device", /*approved=*/true));
  ASSERT_TRUE(third) << third.error().ToString() << site_.Logs();
  EXPECT_EQ(refused_as(Must(LoadIdentity(folder, SystemClock().Now()))), "welcome");
  for (const Identity* gone : {&before, &after}) EXPECT_EQ(refused_as(*gone), "revoked-certificate");
}

TEST_F(EnrolmentSystemTest, NoDaemonLeavesItsKeysInACoreDumpOrTakesThemFromAnOpenFile) {
  synthetic_.AddAndStartGateway("g0");
  for (const std::string id : {"aggregator", "g0"}) {
    std::ifstream limits("/proc/" + std::to_string(site_.PidOf(id)) + "/limits");
    std::string line;
    while (std::getline(limits, line) && !line.starts_with("Max core file size")) {
    }
    std::istringstream words(line.substr(std::string("Max core file size").size()));
    std::string soft, hard;
    words >> soft >> hard;
    EXPECT_EQ(soft + " " + hard, "0 0") << id;
  }
  for (const char* key : {"key.pem", "curve.key"}) {
    site_.Stop("g0");
    ASSERT_EQ(chmod((site_.IdentityOf("g0") / key).c_str(), 0640), 0);
    const Ended refused = site_.RunToEnd("g0");
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.output, HasSubstr("permissions")) << key;
    EXPECT_THAT(refused.output, HasSubstr(key));
    ASSERT_EQ(chmod((site_.IdentityOf("g0") / key).c_str(), 0600), 0);
    site_.Start("g0");
  }
}

}  // namespace
}  // namespace tributary::system_enrolment_test
