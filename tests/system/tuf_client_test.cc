#include <cstdlib>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "aggregator/publish/root_ceremony.h"
#include "protocol/trust/seal/digest.h"
#include "tests/system/synthetic_site.h"

// Another program's word, tuf-js: given our root, it finds and downloads a published model below /tuf/, and verifies
// all of it. The client is installed by npm from tests/tuf_client when the test runs. Without a network that cannot be,
// and the test says so; where the environment variable CI is set it must.
namespace tributary::tuf_client_test {
namespace {

constexpr const char* kModule = "models/synthetic/module.pt";
constexpr Millis kInstallBound{120'000};

// Where the client is installed, once for all tests of a build.
Path ClientFolder() { return Path(TRIBUTARY_BIN_DIR).parent_path() / "tuf_client"; }

Ended RunProgram(const std::vector<std::string>& argv, const Path& folder, const Path& log) {
  Must(RealFileSystem().Remove(log));
  auto child = ChildProcess::Start({.argv = argv, .log = log, .folder = folder});
  if (!child) return {127, child.error().message};
  const auto code = child->WaitFor(kInstallBound);
  const auto output = ReadFile(RealFileSystem(), log, limits::kMiB);
  return {code.value_or(-1), output ? std::string(AsText(*output)) : std::string()};
}

Ended Install() {
  const Path from = Path(TRIBUTARY_SOURCE_DIR) / "tests/tuf_client";
  Must(RealFileSystem().CreateFolders(ClientFolder()));
  for (const char* file : {"package.json", "package-lock.json", ".npmrc", "download.js"})
    std::filesystem::copy_file(from / file, ClientFolder() / file, std::filesystem::copy_options::overwrite_existing);
  return RunProgram({"npm", "ci"}, ClientFolder(), ClientFolder() / "npm.log");
}

class TufClientTest : public testing::Test, protected SyntheticSite {
 protected:
  void SetUp() override {
    static const Ended installed = Install();
    if (installed.code == 0) return;
    // Where the registry is known to be there (.ci/run), a skip would hide a failure.
    if (std::getenv("TRIBUTARY_REQUIRE_NPM") != nullptr)
      FAIL() << "npm ci ended with " << installed.code << "\n" << installed.output;
    GTEST_SKIP() << "tuf-js could not be installed (no npm, or no network?): npm ci ended with " << installed.code
                 << "\n"
                 << installed.output;
  }

  // `client`: the client's own folder, which it keeps its trusted metadata in.
  Ended Download(const std::string& target, const Bytes& root, const std::string& client = "tuf") {
    Must(WriteFileAtomically(RealFileSystem(), site().folder() / "given.json", root));
    const std::string url = "http://127.0.0.1:" + std::to_string(site().HttpPortOf("aggregator")) + "/tuf/";
    return RunProgram({"node", "download.js", url + "metadata", url + "targets", site().folder() / "given.json", target,
                       site().folder() / client},
                      ClientFolder(), site().folder() / "node.log");
  }
  Bytes FirstRoot() { return site().fleet().repository().root(); }
  bool AwaitRoot(uint64_t version) {
    return site().Eventually(
        [&] { return site().LogOf("aggregator").find("root=" + std::to_string(version) + " ") != std::string::npos; });
  }
};

TEST_F(TufClientTest, AModelIsFoundDownloadedAndVerified) {
  CreateTask(1'000, 1);
  const Json latest = Must(api().Versions("synthetic")).at("items").at(0);
  for (const std::string& target :
       {std::string(kModule), std::string("models/synthetic/1.weights"), std::string("rounds/catalogue")}) {
    const Ended got = Download(target, FirstRoot());
    ASSERT_EQ(got.code, 0) << target << "\n" << got.output << Logs();
    const Json said = Json::parse(got.output);
    const Bytes bytes = Must(ReadFile(RealFileSystem(), said.at("file").get<std::string>(), limits::kMiB));
    EXPECT_EQ(Sha256(bytes).hex(), said.at("sha256"));
    EXPECT_EQ(said.at("root"), 1);
    if (target.ends_with(".weights")) {
      EXPECT_EQ(AsText(bytes), AsText(AsBytes(std::span<const float>(task().weights))));
      EXPECT_EQ(said.at("sha256"), latest.at("weights").at("digest"));
    }
  }
}

TEST_F(TufClientTest, FollowsARotationOfTheRootThatTheRunningAggregatorTookUp) {
  CreateTask(1'000, 1);
  ASSERT_EQ(Download(kModule, FirstRoot()).code, 0);
  const TestRepository& repository = site().fleet().repository();
  const WallTime expires = SystemClock().Now() + std::chrono::hours(24 * 30);
  Must(WriteNextRoot(RealFileSystem(), site().PublicationPath(), {.new_online_keys = true, .expires = expires},
                     {&repository.root_key}));
  Must(WriteNextTargets(RealFileSystem(), site().PublicationPath(), {.new_rounds_key = true, .expires = expires},
                        repository.targets_key));
  ASSERT_TRUE(AwaitRoot(2)) << Logs();
  for (const char* client : {"tuf", "another"}) {
    const Ended got = Download(kModule, FirstRoot(), client);
    ASSERT_EQ(got.code, 0) << client << "\n" << got.output << Logs();
    EXPECT_EQ(Json::parse(got.output).at("root"), 2);
  }
}

TEST_F(TufClientTest, RefusesWhatAnotherFleetsRootDidNotSign) {
  CreateTask(1'000, 1);
  const Ended got = Download(kModule, TestRepository(SystemClock().Now()).root());
  EXPECT_NE(got.code, 0);
  EXPECT_NE(got.output.find("signed by"), std::string::npos) << got.output;
}

}  // namespace
}  // namespace tributary::tuf_client_test
