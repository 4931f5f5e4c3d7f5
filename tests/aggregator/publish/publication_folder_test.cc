#include "aggregator/publish/publication_folder.h"

#include <gmock/gmock.h>

#include "tests/aggregator/publish/test_publication_folder.h"
#include "tests/support/must.h"

namespace tributary::publication_folder_test {
namespace {

using testing::HasSubstr;

std::vector<const Signer*> All(TestPublicationFolder& repository) {
  std::vector<const Signer*> signers;
  for (const auto& key : repository.root_keys) signers.push_back(key.get());
  return signers;
}

TEST(PublicationFolder, ReadsWhatInitMade) {
  const TestPublicationFolder repository;
  const PublicationFolder folder = repository.Open();
  EXPECT_EQ(folder.root_version(), 1u);
  EXPECT_EQ(folder.offline().roots, std::vector<Bytes>{repository.root()});
  EXPECT_EQ(folder.first_end().at, WallTime{repository.expires.unix_millis - repository.expires.unix_millis % 1000});
}

TEST(PublicationFolder, SaysWhatIsMissing) {
  const TemporaryFolder empty;
  const auto nowhere = PublicationFolder::Open(RealFileSystem(), empty / "none");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Code::kMissingData);
  EXPECT_THAT(nowhere.error().message, HasSubstr("tributary root init"));

  const TestPublicationFolder repository;
  Must(RealFileSystem().Remove(repository.path() / "keys/timestamp.pem"));
  const auto keyless = PublicationFolder::Open(RealFileSystem(), repository.path());
  ASSERT_FALSE(keyless);
  EXPECT_EQ(keyless.error().code, Code::kMissingData);
  EXPECT_THAT(keyless.error().message, HasSubstr("timestamp"));
}

TEST(PublicationFolder, AKeyThatOthersMayReadIsRefused) {
  const TestPublicationFolder repository;
  std::filesystem::permissions(repository.path() / "keys/rounds.pem", std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  const auto opened = PublicationFolder::Open(RealFileSystem(), repository.path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kPermissions);
}

TEST(PublicationFolder, TakesARootUpWithItsLastSignature) {
  TestPublicationFolder repository(3, 2);
  PublicationFolder folder = repository.Open();
  EXPECT_FALSE(Must(folder.Refresh())) << "nothing changed";
  const Path file = Must(WriteNextRoot(RealFileSystem(), repository.path(), {.expires = repository.expires},
                                       {repository.root_keys[0].get()}));
  EXPECT_FALSE(Must(folder.Refresh())) << "one signature of two";
  EXPECT_EQ(folder.root_version(), 1u);
  EXPECT_EQ(repository.Open().root_version(), 1u) << "nor does a restart take it";
  Must(SignMetadataFile(RealFileSystem(), file, *repository.root_keys[1]));
  EXPECT_TRUE(Must(folder.Refresh()));
  EXPECT_EQ(folder.root_version(), 2u);
  EXPECT_EQ(folder.offline().roots.size(), 2u);
  EXPECT_FALSE(Must(folder.Refresh()));
}

TEST(PublicationFolder, ANewRootWaitsForTheTargetsThatItsNewKeySigns) {
  TestPublicationFolder repository;
  PublicationFolder folder = repository.Open();
  MemorySigner targets;
  Must(WriteNextRoot(RealFileSystem(), repository.path(),
                     {.targets_key = targets.public_key(), .expires = repository.expires}, All(repository)));
  EXPECT_FALSE(Must(folder.Refresh()));
  EXPECT_EQ(folder.root_version(), 1u);
  Must(WriteNextTargets(RealFileSystem(), repository.path(), {.expires = repository.expires}, targets));
  EXPECT_TRUE(Must(folder.Refresh()));
  EXPECT_EQ(folder.root_version(), 2u);
}

TEST(PublicationFolder, NewOnlineKeysSignFromThenOn) {
  TestPublicationFolder repository;
  PublicationFolder folder = repository.Open();
  const Bytes before = folder.signers().timestamp.public_key();
  const Bytes rounds_before = folder.signers().rounds.public_key();
  Must(WriteNextRoot(RealFileSystem(), repository.path(), {.new_online_keys = true, .expires = repository.expires},
                     All(repository)));
  Must(WriteNextTargets(RealFileSystem(), repository.path(), {.new_rounds_key = true, .expires = repository.expires},
                        repository.targets));
  EXPECT_TRUE(Must(folder.Refresh()));
  EXPECT_NE(folder.signers().timestamp.public_key(), before);
  EXPECT_NE(folder.signers().rounds.public_key(), rounds_before);
  for (const char* old : {"snapshot.pem", "timestamp.pem", "rounds.pem"})
    Must(RealFileSystem().Remove(repository.path() / "keys" / old));
  EXPECT_EQ(repository.Open().root_version(), 2u) << "the old ones are not needed any more";
}

TEST(PublicationFolder, AThiefsRootIsNotTaken) {
  TestPublicationFolder repository(2, 2);
  PublicationFolder folder = repository.Open();
  // He holds one of two keys and makes a root that only he signs.
  auto root = Must(ReadMetadata<tuf::Root>(RealFileSystem(), MetadataFile(repository.path(), 1, tuf::kRootRole))).body;
  root.version = 2;
  root.roles["root"] = {};
  tuf::AddKey(repository.root_keys[0]->public_key(), root.keys, root.roles["root"]);
  auto metadata = tuf::MakeMetadata(root);
  Must(tuf::AddSignature(metadata, *repository.root_keys[0]));
  Must(WriteFileAtomically(RealFileSystem(), MetadataFile(repository.path(), 2, tuf::kRootRole),
                           tuf::EncodeMetadata(metadata)));
  EXPECT_FALSE(Must(folder.Refresh()));
  EXPECT_EQ(folder.root_version(), 1u);
}

TEST(PublicationFolder, NeverGoesBackWhileItRuns) {
  TestPublicationFolder repository;
  Must(WriteNextTargets(RealFileSystem(), repository.path(), {.expires = repository.expires}, repository.targets));
  PublicationFolder folder = repository.Open();
  const Bytes targets = folder.offline().targets;
  Must(RealFileSystem().Remove(MetadataFile(repository.path(), 2, tuf::kTargetsRole)));
  EXPECT_FALSE(Must(folder.Refresh()));
  EXPECT_EQ(folder.offline().targets, targets);
}

TEST(PublicationFolder, SaysWhichRoleEndsFirst) {
  TestPublicationFolder repository;
  PublicationFolder folder = repository.Open();
  const WallTime later = repository.expires + std::chrono::hours(24);
  Must(WriteNextRoot(RealFileSystem(), repository.path(), {.expires = later}, All(repository)));
  Must(WriteNextReleases(RealFileSystem(), repository.path(), later, repository.releases));
  EXPECT_TRUE(Must(folder.Refresh()));
  EXPECT_EQ(folder.first_end().role, "targets");
}

}  // namespace
}  // namespace tributary::publication_folder_test
