#include "aggregator/publish/tuf_shelf.h"

#include <gtest/gtest.h>

#include "protocol/trust/seal/digest.h"
#include "tests/aggregator/publish/test_publication_folder.h"
#include "tests/support/must.h"
#include "tests/support/test_fleet.h"

namespace tributary::tuf_shelf_test {
namespace {

class TufShelfTest : public testing::Test {
 protected:
  PublicationSet Set(uint64_t number, const std::string& revocations = {}) {
    PublishedTask task;
    task.id = TestTask("digits");
    task.module = {Sha256(AsBytes(std::string_view("module"))), 6};
    task.latest = ModelVersion{number};
    task.weights = {Sha256(AsBytes(std::to_string(number))), 4};
    const Publication publication{.number = number,
                                  .created = kTestStart,
                                  .expires = folder_.expires,
                                  .sealing_key = fleet_.sealing_key().public_key,
                                  .revocations = revocations,
                                  .tasks = {task}};
    const WallTime expires{folder_.expires.unix_seconds() * 1000};
    return Must(MakePublicationSet(opened_.offline(), opened_.signers(), publication, {number, number, number},
                                   {expires, expires, expires}));
  }
  void Put(const PublicationSet& set) { Must(shelf_.Put(EncodePublicationSet(set))); }
  Code CodeOf(const std::string& file) {
    const auto found = shelf_.Metadata(file);
    return found ? Code{} : found.error().code;
  }

  TestFleet fleet_;
  TestPublicationFolder folder_;
  PublicationFolder opened_ = folder_.Open();
  TufShelf shelf_{2};
};

TEST_F(TufShelfTest, ServesEveryFileUnderItsName) {
  const PublicationSet set = Set(7, "-----BEGIN X509 CRL-----\n");
  Put(set);
  EXPECT_EQ(*Must(shelf_.Metadata("timestamp.json")), set.timestamp);
  EXPECT_EQ(*Must(shelf_.Metadata("7.snapshot.json")), set.snapshot);
  EXPECT_EQ(*Must(shelf_.Metadata("1.root.json")), folder_.root());
  EXPECT_EQ(*Must(shelf_.Metadata("1.targets.json")), set.targets);
  EXPECT_TRUE(shelf_.Metadata("1.releases.json"));
  EXPECT_TRUE(shelf_.Metadata("7.rounds.json"));
  const auto catalogue = Must(shelf_.Find("rounds/" + Sha256(set.catalogue).hex() + ".catalogue"));
  EXPECT_EQ(*catalogue.bytes, set.catalogue);
  const auto list = Must(shelf_.Find("rounds/" + Sha256(AsBytes(set.revocations)).hex() + ".revocations.pem"));
  EXPECT_EQ(AsText(*list.bytes), set.revocations);
  const Digest module = Sha256(AsBytes(std::string_view("module")));
  const auto target = Must(shelf_.Find("models/digits/" + module.hex() + ".module.pt"));
  EXPECT_EQ(target.blob, (BlobRef{module, 6}));
  EXPECT_EQ(target.bytes, nullptr) << "from the blob store";
}

TEST_F(TufShelfTest, NamesThatAreNotThereAreNotFound) {
  Put(Set(7));
  // 404 is how a client learns that there is no newer root.
  for (const char* file : {"2.root.json", "root.json", "snapshot.json", "8.snapshot.json", "..", ""})
    EXPECT_EQ(CodeOf(file), Code::kNotFound) << file;
  for (const char* path : {"models/digits/module.pt", "rounds/catalogue", "models/digits/../digits/module.pt"})
    EXPECT_FALSE(shelf_.Find(path)) << path;
}

TEST_F(TufShelfTest, KeepsFormerOnesForThoseWhoAreReadingThem) {
  for (uint64_t number = 1; number <= 3; ++number) Put(Set(number));
  EXPECT_TRUE(shelf_.Metadata("2.snapshot.json"));
  EXPECT_TRUE(shelf_.Find("models/digits/" + Sha256(AsBytes(std::string_view("2"))).hex() + ".2.weights"));
  EXPECT_EQ(CodeOf("1.snapshot.json"), Code::kNotFound) << "bounded";
  EXPECT_EQ(*Must(shelf_.Metadata("timestamp.json")), Set(3).timestamp);
}

TEST_F(TufShelfTest, WhatDoesNotParseChangesNothing) {
  Put(Set(1));
  EXPECT_FALSE(shelf_.Put(Bytes(100, 7)));
  EXPECT_TRUE(shelf_.Metadata("1.snapshot.json"));
}

}  // namespace
}  // namespace tributary::tuf_shelf_test
