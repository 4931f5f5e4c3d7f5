#include "device/agent/prove_contribution.h"

#include <gmock/gmock.h>

#include "protocol/catalogue/version_manifest.h"
#include "protocol/spool/spool_reader.h"
#include "tests/device/agent/agent_fixture.h"
#include "tests/support/memory_signer.h"
#include "tests/support/must.h"

namespace tributary::prove_contribution_test {
namespace {

using testing::HasSubstr;

class ProveContributionTest : public testing::Test, protected AgentFixture {
 protected:
  // Version 1 was worked on, and its update delivered.
  void Deliver() {
    Publish(1, 1);
    Start();
    ASSERT_TRUE(RunUntilWithTime([&] { return Delivered(UploadKind::kUpdate, 1) == 1 && quiet(); }));
  }
  Result<std::string> Prove(ModelVersion version, const std::optional<Path>& proof = std::nullopt) {
    return ProveContribution(RealFileSystem(), folder, identity.anchor, {TestTask("digits"), version, proof});
  }
  // Of a version with this upload and two of others.
  ContributionProof ProofOf(const UploadId& upload, ModelVersion version, const Signer& signer) {
    std::vector<Digest> leaves{LeafOf(upload)};
    for (const uint8_t other : {1, 2}) leaves.push_back(MerkleLeaf(Bytes{other}));
    std::ranges::sort(leaves);
    VersionManifest manifest;
    manifest.task = TestTask("digits");
    manifest.version = version;
    manifest.parent = ModelVersion{1};
    manifest.contributions = leaves.size();
    manifest.round = 7;
    manifest.contributions_root = MerkleRoot(leaves);
    const auto index = static_cast<uint64_t>(std::ranges::find(leaves, LeafOf(upload)) - leaves.begin());
    return {Must(SignManifest(ManifestText(manifest), signer)), LeafOf(upload), index, MerklePath(leaves, index)};
  }
  Path Written(const ContributionProof& proof) {
    const Path file = world.folder / "proof.json";
    Must(WriteFileAtomically(RealFileSystem(), file, AsBytes(ProofText(proof))));
    return file;
  }
  // The id that the device sealed its update under: the one that its question names the leaf of.
  UploadId Own() {
    const auto outbox = Must(SpoolReader::Open(folder / "outbox", RealFileSystem()));
    return Must(outbox->Delivered(TestTask("digits"))).at(0).upload;
  }
};

TEST_F(ProveContributionTest, ADeviceChecksThatItsUpdateIsInAVersion) {
  Deliver();
  const UploadId own = Own();
  EXPECT_THAT(Must(Prove(ModelVersion{2})),
              HasSubstr("the update of version 1: GET /api/v1/tasks/digits/versions/2/proofs/" + LeafOf(own).hex()));
  const Signer& rounds = world.fleet.repository().rounds_key;
  const auto proven = Prove(ModelVersion{2}, Written(ProofOf(own, ModelVersion{2}, rounds)));
  ASSERT_TRUE(proven) << proven.error().ToString();
  EXPECT_EQ(
      *proven,
      "This device's update of version 1 is in version 2 of task 'digits', as one of 3 contributions of round 7.\n");
  agent.reset();
  EXPECT_TRUE(Prove(ModelVersion{2}, Written(ProofOf(own, ModelVersion{2}, rounds)))) << "without the daemon";
}

TEST_F(ProveContributionTest, WhatProvesNothingIsRefused) {
  EXPECT_FALSE(Prove(ModelVersion{2})) << "it has not run yet";
  Deliver();
  const UploadId own = Own();
  const Signer& rounds = world.fleet.repository().rounds_key;
  EXPECT_EQ(Prove(ModelVersion{3}, Written(ProofOf(own, ModelVersion{2}, rounds))).error().code, Code::kDigestMismatch)
      << "another version";
  UploadId other = own;
  other.mutable_view()[0] ^= 1;
  EXPECT_EQ(Prove(ModelVersion{2}, Written(ProofOf(other, ModelVersion{2}, rounds))).error().code,
            Code::kDigestMismatch)
      << "an update of another device";
  EXPECT_EQ(Prove(ModelVersion{2}, Written(ProofOf(own, ModelVersion{2}, MemorySigner()))).error().code,
            Code::kBadSignature);
  const Signer& releases = world.fleet.repository().releases_key;
  EXPECT_EQ(Prove(ModelVersion{2}, Written(ProofOf(own, ModelVersion{2}, releases))).error().code, Code::kBadSignature)
      << "a key of the publication, but of another role";
  ContributionProof moved = ProofOf(own, ModelVersion{2}, rounds);
  moved.path.front() = LeafOf(other);
  EXPECT_EQ(Prove(ModelVersion{2}, Written(moved)).error().code, Code::kDigestMismatch);
  EXPECT_EQ(Prove(ModelVersion{2}, world.folder / "none.json").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace tributary::prove_contribution_test
