#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/catalogue/version_manifest.h"
#include "protocol/plan/field_json.h"
#include "protocol/trust/tuf/metadata.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/memory_signer.h"
#include "tests/support/must.h"

namespace tributary::manifest_test {
namespace {

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3}, kV4{4};

class ManifestTest : public testing::Test, protected RoundFixture {
 protected:
  ManifestTest() {
    // The keys of the role that signs what rounds make.
    tuf::AddKey(repository.signers().rounds.public_key(), keys_, rounds_);
  }
  void Run(uint64_t rounds) {
    CreateTask({.report_goal = 3, .minimum = 2, .deadline_seconds = 60});
    Must(core().rounds().Start(task_id, rounds));
  }
  void GiveAll(ModelVersion base) {
    for (int device : {1, 2, 3}) {
      Subject author;
      author.id = TestDevice("d" + std::to_string(device));
      core().fleet().SawAuthor(author, TestDevice(device == 3 ? "gateway-b" : "gateway-a"));
      Must(Give(Update(device, base)));
    }
  }
  std::string TextOf(ModelVersion version) {
    return Must(OpenManifest(Must(core().tasks().Manifest(task_id, version)), keys_, rounds_));
  }
  VersionManifest Of(ModelVersion version) { return Must(ReadVersionManifest(TextOf(version))); }
  ContributionProof Proof(int device, ModelVersion base, ModelVersion version) {
    const Digest leaf = LeafOf(Update(device, base).header.subject.id);
    return Must(ReadProof(Must(core().tasks().Proof(task_id, version, leaf))));
  }

  tuf::Keys keys_;
  tuf::RoleKeys rounds_;
};

TEST_F(ManifestTest, SaysWhatAVersionWasMadeOfAndLeadsToTheOneBefore) {
  Run(2);
  auto bad = Update(9, kV1);
  bad.chunks[0][3] ^= 0x40;
  EXPECT_FALSE(Give(bad));
  GiveAll(kV1);
  Reopen();
  GiveAll(kV2);
  const VersionManifest second = Of(kV2), third = Of(kV3);
  const RoundRecord round = Must(core().rounds().Get(task_id, 1));
  EXPECT_EQ(second.task, task_id);
  EXPECT_EQ(second.version, kV2);
  EXPECT_EQ(second.parent, kV1);
  EXPECT_FALSE(second.parent_manifest) << "nothing made the first version";
  EXPECT_EQ(second.weights, Must(core().tasks().Version(task_id, kV2)).weights.digest);
  EXPECT_EQ(second.aggregate, round.aggregate_digest);
  EXPECT_EQ(second.contributions, 3u);
  EXPECT_EQ(second.total_weight, 30u);
  EXPECT_EQ(second.refused, (std::map<std::string, uint64_t>{{"seal-broken", 1}}));
  EXPECT_EQ(second.staleness, (std::map<std::string, uint64_t>{{"0", 3}}));
  EXPECT_EQ(second.gateways, (std::map<std::string, uint64_t>{{"gateway-a", 2}, {"gateway-b", 1}}));
  EXPECT_THAT(second.facts.at("optimizer"), testing::HasSubstr("fedavg"));
  TaskRecord task = Must(core().tasks().Get(task_id));
  EXPECT_EQ(second.plan, Sha256(AsBytes(FieldsToText(FieldsOf(task.plan)))));
  EXPECT_EQ(third.parent_manifest, Sha256(AsBytes(TextOf(kV2))));
  EXPECT_NE(third.contributions_root, second.contributions_root);
  EXPECT_EQ(core().tasks().Manifest(task_id, kV1).error().code, Code::kNotFound);
  EXPECT_EQ(core().tasks().Manifest(task_id, kV4).error().code, Code::kUnknownVersion);
}

TEST_F(ManifestTest, EachDeviceProvesThatItsUpdateIsIn) {
  Run(1);
  GiveAll(kV1);
  for (int device : {1, 2, 3}) {
    const ContributionProof proof = Proof(device, kV1, kV2);
    EXPECT_EQ(Must(CheckProof(proof, keys_, rounds_)).version, kV2);
  }
  const Digest stranger = LeafOf(Update(7, kV1).header.subject.id);
  EXPECT_EQ(core().tasks().Proof(task_id, kV2, stranger).error().code, Code::kNotFound);
}

// Of a round that fell short its sum goes on, and so do its contributions.
TEST_F(ManifestTest, WhatARoundThatFellShortHadIsInTheVersionThatCameOfIt) {
  Run(2);
  Must(Give(Update(1, kV1)));
  Pass(Millis(61'000));
  for (int device : {2, 3}) Must(Give(Update(device, kV1)));
  EXPECT_EQ(Of(kV2).round, 2u);
  EXPECT_EQ(Of(kV2).contributions, 3u);
  EXPECT_TRUE(CheckProof(Proof(1, kV1, kV2), keys_, rounds_));
}

TEST_F(ManifestTest, AlteredProofsAreRefused) {
  Run(1);
  GiveAll(kV1);
  const ContributionProof good = Proof(2, kV1, kV2);
  ContributionProof bad = good;
  bad.leaf = LeafOf(Update(7, kV1).header.subject.id);
  EXPECT_EQ(CheckProof(bad, keys_, rounds_).error().code, Code::kDigestMismatch) << "another update";
  bad = good;
  bad.index = (good.index + 1) % 3;
  EXPECT_EQ(CheckProof(bad, keys_, rounds_).error().code, Code::kDigestMismatch);
  bad = good;
  const size_t at = bad.manifest.find("\"contributions\":3");
  ASSERT_NE(at, std::string::npos);
  bad.manifest.replace(at, 17, "\"contributions\":4");
  EXPECT_EQ(CheckProof(bad, keys_, rounds_).error().code, Code::kBadSignature) << "another manifest";
  bad.manifest = Must(SignManifest(TextOf(kV2), MemorySigner()));
  EXPECT_EQ(CheckProof(bad, keys_, rounds_).error().code, Code::kBadSignature) << "another signer";
  for (const char* text : {"", "{}", "[]", R"({"manifest": {}, "leaf": "00", "index": 0, "path": []})"})
    EXPECT_EQ(ReadProof(text).error().code, Code::kMalformed) << text;
}

}  // namespace
}  // namespace tributary::manifest_test
