#include "aggregator/publish/root_ceremony.h"

#include <gmock/gmock.h>

#include "tests/aggregator/publish/test_publication_folder.h"
#include "tests/support/must.h"

namespace tributary::root_ceremony_test {
namespace {

using testing::HasSubstr;

Path RootFile(const TestPublicationFolder& repository, uint64_t version) {
  return MetadataFile(repository.path(), version, tuf::kRootRole);
}

tuf::Root ReadRoot(const TestPublicationFolder& repository, uint64_t version) {
  return Must(ReadMetadata<tuf::Root>(RealFileSystem(), RootFile(repository, version))).body;
}

Path Next(TestPublicationFolder& repository, const RootChange& change, const std::vector<const Signer*>& signers) {
  return Must(WriteNextRoot(RealFileSystem(), repository.path(), change, signers));
}

TEST(RootCeremony, MakesWhatASpecificationReaderExpects) {
  const TestPublicationFolder repository(3, 2);
  const tuf::Root root = ReadRoot(repository, 1);
  EXPECT_EQ(root.version, 1u);
  EXPECT_TRUE(root.consistent_snapshot);
  EXPECT_EQ(root.expires.unix_millis % 1000, 0);
  EXPECT_EQ(root.roles.at("root").key_ids.size(), 3u);
  EXPECT_EQ(root.roles.at("root").threshold, 2u);
  EXPECT_EQ(root.keys.size(), 6u) << "three of root; targets, snapshot and timestamp";
  const auto targets =
      Must(ReadMetadata<tuf::Targets>(RealFileSystem(), MetadataFile(repository.path(), 1, tuf::kTargetsRole)));
  ASSERT_EQ(targets.body.delegations.size(), 2u);
  EXPECT_TRUE(targets.body.files.empty());
  for (const char* key : {"snapshot.pem", "timestamp.pem", "rounds.pem"}) {
    const auto mode = std::filesystem::status(repository.path() / "keys" / key).permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write) << key;
  }
}

TEST(RootCeremony, NeverMakesASecondFirstRoot) {
  TestPublicationFolder repository;
  const Bytes before = repository.root();
  const Status again = CreateRepository(RealFileSystem(), repository.path(),
                                        {.root_keys = {repository.root_keys[0]->public_key()},
                                         .root_signers = {repository.root_keys[0].get()},
                                         .targets = &repository.targets,
                                         .releases = &repository.releases,
                                         .expires = repository.expires});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
  EXPECT_EQ(repository.root(), before);
}

TEST(RootCeremony, SeveralPeopleSignOneAfterTheOther) {
  TestPublicationFolder repository(3, 2);
  const Path file = Next(repository, {.expires = repository.expires}, {repository.root_keys[0].get()});
  const RootProgress first = Must(ProgressOf(RealFileSystem(), repository.path(), 2));
  EXPECT_FALSE(first.complete());
  EXPECT_EQ(first.by_previous, 1u);
  EXPECT_EQ(first.by_itself, 1u);
  Must(SignMetadataFile(RealFileSystem(), file, *repository.root_keys[0]));
  EXPECT_FALSE(Must(ProgressOf(RealFileSystem(), repository.path(), 2)).complete()) << "the same person twice";
  Must(SignMetadataFile(RealFileSystem(), file, *repository.root_keys[2]));
  EXPECT_TRUE(Must(ProgressOf(RealFileSystem(), repository.path(), 2)).complete());
}

TEST(RootCeremony, AStrangersSignatureIsRefused) {
  TestPublicationFolder repository(2, 2);
  const Path file = Next(repository, {.expires = repository.expires}, {repository.root_keys[0].get()});
  MemorySigner stranger;
  for (const Signer* signer : std::vector<const Signer*>{&stranger, &repository.targets}) {
    const Status signed_by = SignMetadataFile(RealFileSystem(), file, *signer);
    ASSERT_FALSE(signed_by);
    EXPECT_EQ(signed_by.error().code, Code::kInvalidArgument);
    EXPECT_THAT(signed_by.error().message, HasSubstr("no say"));
  }
}

TEST(RootCeremony, AWaitingRootIsNotBuiltUpon) {
  TestPublicationFolder repository(2, 2);
  Next(repository, {.expires = repository.expires}, {repository.root_keys[0].get()});
  const auto third = WriteNextRoot(RealFileSystem(), repository.path(), {.expires = repository.expires},
                                   {repository.root_keys[0].get(), repository.root_keys[1].get()});
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::kConflict);
}

TEST(RootCeremony, ReplacesKeysAndForgetsTheOld) {
  TestPublicationFolder repository(2, 2);
  MemorySigner fresh;
  const std::vector<const Signer*> all = {repository.root_keys[0].get(), repository.root_keys[1].get(), &fresh};
  Next(repository,
       {.root_keys = {repository.root_keys[0]->public_key(), fresh.public_key()},
        .new_online_keys = true,
        .expires = repository.expires},
       all);
  const tuf::Root before = ReadRoot(repository, 1);
  const tuf::Root after = ReadRoot(repository, 2);
  const std::string gone = tuf::KeyIdOf(tuf::Key::FromPublicKey(repository.root_keys[1]->public_key()));
  EXPECT_FALSE(after.keys.contains(gone));
  EXPECT_EQ(after.keys.size(), before.keys.size());
  EXPECT_NE(after.roles.at("snapshot"), before.roles.at("snapshot"));
  EXPECT_NE(after.roles.at("timestamp"), before.roles.at("timestamp"));
  EXPECT_EQ(after.roles.at("targets"), before.roles.at("targets"));
  EXPECT_TRUE(Must(ProgressOf(RealFileSystem(), repository.path(), 2)).complete());
}

TEST(RootCeremony, AThresholdBeyondTheKeysIsRefused) {
  TestPublicationFolder repository(2, 2);
  for (const uint32_t threshold : {0u, 3u}) {
    const auto next = WriteNextRoot(RealFileSystem(), repository.path(),
                                    {.root_threshold = threshold, .expires = repository.expires}, {});
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error().code, Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tributary::root_ceremony_test
