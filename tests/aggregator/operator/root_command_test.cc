// `tributary root …`, parsed and run in this process.
#include <algorithm>

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>

#include "aggregator/operator/ceremony/root_commands.h"
#include "aggregator/publish/key_token_signer.h"
#include "aggregator/publish/publication_folder.h"
#include "protocol/trust/seal/signing.h"
#include "tests/aggregator/publish/soft_token.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

namespace tributary::root_command_test {
namespace {

using testing::HasSubstr;

class RootCommandTest : public testing::Test {
 protected:
  ExitCode Root(std::vector<std::string> arguments) {
    Context context;
    CLI::App app;
    AddRootCommands(app, context);
    arguments.insert(arguments.begin(), "root");
    std::ranges::reverse(arguments);  // as CLI11 takes them
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    try {
      app.parse(arguments);
    } catch (const CLI::ParseError& failure) {
      said_ = failure.what();
      context.exit_code = ExitCode::kUsage;
    }
    said_ = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
    return context.exit_code;
  }
  void Make(std::vector<std::string> arguments) { ASSERT_EQ(Root(std::move(arguments)), ExitCode::kOk) << said_; }
  std::string In(const std::string& name) const { return (folder_ / name).string(); }
  std::string KeyFile(const std::string& name) const { return In("ca/publication-keys/" + name + ".pem"); }
  std::string RootFile(int version) const { return In("publication/" + std::to_string(version) + ".root.json"); }
  std::string Text(const std::string& file) const {
    return std::string(AsText(Must(ReadFile(RealFileSystem(), file, limits::kMiB))));
  }
  void Init(std::vector<std::string> more = {}) {
    Must(RealFileSystem().CreateFolders(folder_ / "ca"));
    std::vector<std::string> arguments = {"init", "--dir", In("publication"), "--ca", In("ca")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Make(std::move(arguments));
  }
  std::string PassphraseFile(const std::string& text) {
    const Path file = folder_ / ("passphrase-" + std::to_string(text.size()));
    Must(WriteSecretFile(file, SecretBytes::CopyOf(AsBytes(text))));
    return file.string();
  }
  PublicationFolder Open() { return Must(PublicationFolder::Open(RealFileSystem(), folder_ / "publication")); }

  TemporaryFolder folder_;
  std::string said_;
};

TEST_F(RootCommandTest, InitMakesWhatTheAggregatorAndTheMembersNeed) {
  Init({"--root-keys", "3", "--threshold", "2"});
  EXPECT_EQ(Open().root_version(), 1u);
  EXPECT_EQ(Text(In("ca/root.json")), Text(RootFile(1)));
  for (const char* name : {"root-1", "root-2", "root-3", "targets", "releases"}) {
    const auto mode = std::filesystem::status(KeyFile(name)).permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write) << name;
  }
  const std::string before = Text(RootFile(1));
  EXPECT_EQ(Root({"init", "--dir", In("publication"), "--ca", In("ca")}), ExitCode::kFailed);
  EXPECT_EQ(Text(RootFile(1)), before);
}

TEST_F(RootCommandTest, SeveralPeopleRotateTheRoot) {
  Init({"--root-keys", "3", "--threshold", "2"});
  Make({"rotate", "--dir", In("publication"), "--ca", In("ca"), "--key", KeyFile("root-1")});
  EXPECT_THAT(said_, HasSubstr("root sign"));
  EXPECT_EQ(Open().root_version(), 1u);
  EXPECT_EQ(Text(In("ca/root.json")), Text(RootFile(1))) << "members are given no root that lacks signatures";
  EXPECT_EQ(Root({"sign", RootFile(2), "--key", KeyFile("targets")}), ExitCode::kUsage) << said_;
  Make({"show", "--dir", In("publication")});
  EXPECT_THAT(said_, HasSubstr("root 2 wants 1 signature by keys of the root before and 1 signature by its own keys"));
  Make({"sign", RootFile(2), "--key", KeyFile("root-3"), "--ca", In("ca")});
  EXPECT_EQ(Open().root_version(), 2u);
  EXPECT_EQ(Text(In("ca/root.json")), Text(RootFile(2)));
}

TEST_F(RootCommandTest, OnlineKeysAreReplacedTogether) {
  Init();
  const std::string first = ToHex(Open().signers().rounds.public_key());
  EXPECT_EQ(Root({"rotate", "--dir", In("publication"), "--key", KeyFile("root-1"), "--online-keys"}), ExitCode::kUsage)
      << "the targets key has to sign too";
  EXPECT_FALSE(std::filesystem::exists(RootFile(2)));
  Make({"rotate", "--dir", In("publication"), "--key", KeyFile("root-1"), "--online-keys", "--targets-key",
        KeyFile("targets")});
  EXPECT_EQ(Open().root_version(), 2u);
  EXPECT_NE(ToHex(Open().signers().rounds.public_key()), first);
}

TEST_F(RootCommandTest, AColleaguesKeyIsNamedByItsPublicHalf) {
  Make({"key", "--out", In("colleague.pem")});
  const std::string public_key = ToHex(Must(OpenSigner(In("colleague.pem"), SecretBytes()))->public_key());
  EXPECT_THAT(said_, HasSubstr(public_key));
  Init({"--root-keys", "1", "--root-key", public_key, "--threshold", "2"});
  EXPECT_THAT(said_, HasSubstr("wants 1 signature"));
  EXPECT_FALSE(PublicationFolder::Open(RealFileSystem(), folder_ / "publication"));
  Make({"sign", RootFile(1), "--key", In("colleague.pem"), "--ca", In("ca")});
  EXPECT_EQ(Open().root_version(), 1u);
  EXPECT_EQ(Text(In("ca/root.json")), Text(RootFile(1)));
}

TEST_F(RootCommandTest, OfflineKeysCanHaveAPassphrase) {
  const std::string right = PassphraseFile("correct horse\n");
  Init({"--passphrase-file", right});
  EXPECT_THAT(Text(KeyFile("root-1")), HasSubstr("BEGIN ENCRYPTED PRIVATE KEY"));
  EXPECT_THAT(Text(In("publication/keys/rounds.pem")), HasSubstr("BEGIN PRIVATE KEY"))
      << "the daemon has nobody to ask";
  const std::vector<std::string> rotate = {"rotate", "--dir", In("publication"), "--key", KeyFile("root-1")};
  EXPECT_EQ(Root(rotate), ExitCode::kUnauthorized) << said_;
  auto with = rotate;
  with.insert(with.end(), {"--passphrase-file", PassphraseFile("wrong\n")});
  EXPECT_EQ(Root(with), ExitCode::kUnauthorized) << said_;
  EXPECT_FALSE(std::filesystem::exists(RootFile(2)));
  with.back() = right;
  Make(with);
  EXPECT_EQ(Open().root_version(), 2u);
}

TEST_F(RootCommandTest, APassphraseFileThatOthersMayReadIsRefused) {
  const std::string file = PassphraseFile("correct horse\n");
  std::filesystem::permissions(file, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  Must(RealFileSystem().CreateFolders(folder_ / "ca"));
  EXPECT_NE(Root({"init", "--dir", In("publication"), "--ca", In("ca"), "--passphrase-file", file}), ExitCode::kOk);
  EXPECT_FALSE(std::filesystem::exists(RootFile(1)));
}

TEST_F(RootCommandTest, RenewedTargetsAndReleasesAreBelieved) {
  Init({"--days", "10"});
  const WallTime before = Open().first_end().at;
  Make({"renew", "--dir", In("publication"), "--targets-key", KeyFile("targets"), "--releases-key", KeyFile("releases"),
        "--days", "100"});
  EXPECT_EQ(Open().first_end().role, "root");
  EXPECT_EQ(Open().first_end().at, before);
  Make({"rotate", "--dir", In("publication"), "--key", KeyFile("root-1"), "--days", "200"});
  EXPECT_GT(Open().first_end().at, before);
}

TEST_F(RootCommandTest, ARootKeyMayLiveInAToken) {
  const SoftToken token;
  token.Initialize("tributary");
  token.Import(SigningKey::Generate(), "tributary", "root-1", "01");
  const std::string uri = "pkcs11:token=tributary;object=root-1";
  const std::string pin = PassphraseFile(std::string(SoftToken::kPin) + "\n");
  Init({"--root-key", uri, "--passphrase-file", pin});
  EXPECT_FALSE(std::filesystem::exists(KeyFile("root-1"))) << "no other was made";
  Make({"rotate", "--dir", In("publication"), "--key", uri, "--passphrase-file", pin});
  EXPECT_EQ(Open().root_version(), 2u);
}

}  // namespace
}  // namespace tributary::root_command_test
