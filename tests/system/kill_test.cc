#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/system/synthetic_site.h"

// SIGKILL at chosen points of a round. The expected digest is worked out in the test, so "the same as without the kill"
// is one comparison; that nothing is lost or counted twice follows from it.
namespace tributary::kill_test {
namespace {

// 16 chunks of 256 KiB: well over the 2 MiB that one connection is given at first.
constexpr uint64_t kManyChunks = 1'048'576;
constexpr uint64_t kFirstCredit = 2 * limits::kMiB;
constexpr uint64_t kFew = 3'001;

class Kill : public testing::Test {
 protected:
  void Build(uint64_t parameters, int devices, const std::string& server) {
    site_.CreateTask(parameters, static_cast<uint32_t>(devices));
    for (int i = 0; i < devices; ++i) {
      site_.AddDevice(i, server);
      ids_.push_back(SyntheticSite::NameOf(i));
    }
    Must(site_.api().StartRounds("synthetic", 1));
    for (size_t i = 0; i < site_.devices(); ++i) ASSERT_TRUE(site_.device(i).AwaitVersion(1)) << site_.Logs();
  }
  void Restart(const std::string& id) {
    site_.site().Kill(id);
    site_.site().Start(id);
  }
  void ExpectTheSameBits() {
    for (size_t i = 0; i < site_.devices(); ++i) {
      EXPECT_TRUE(site_.device(i).AwaitCustody()) << i << "\n" << site_.Logs();
      ASSERT_TRUE(site_.device(i).AwaitVersion(2, false)) << i << "\n" << site_.Logs();
    }
    ExpectedVersions expected(site_.task());
    EXPECT_EQ(site_.VersionDigests(), std::vector{expected.Next(ids_).hex()});
    const Json round = Must(site_.api().Round("synthetic", 1));
    EXPECT_EQ(round.at("contributions"), ids_.size());
    site_.ExpectAccountsHold();
    // In custody below means gone from there.
    for (size_t i = 0; i < site_.devices(); ++i) EXPECT_EQ(site_.device(i).account().bytes, 0u);
  }

  SyntheticSite site_;
  std::vector<DeviceId> ids_;
};

TEST_F(Kill, TheGatewayAfterItsFirstCustody) {
  site_.AddAndStartGateway("gateway-1");
  Build(kFew, 4, "gateway-1");
  const UploadId first = site_.device(0).GiveUpdate();
  ASSERT_TRUE(site_.device(0).AwaitFate(first)) << site_.Logs();
  Restart("gateway-1");
  for (size_t i = 1; i < 4; ++i) site_.device(i).GiveUpdate();
  ExpectTheSameBits();
}

TEST_F(Kill, TheGatewayInTheMiddleOfAnUpload) {
  site_.AddAndStartGateway("gateway-1");
  Build(kManyChunks, 2, "gateway-1");
  const UploadId upload = site_.device(0).GiveUpdate();
  ASSERT_TRUE(site_.device(0).AwaitCredit(kFirstCredit + limits::kMiB / 2)) << site_.Logs();
  site_.site().Kill("gateway-1");
  EXPECT_FALSE(site_.device(0).has_fate(upload)) << "it was killed too late to be in the middle";
  site_.site().Start("gateway-1");
  ASSERT_TRUE(site_.device(0).AwaitSessions(2));
  site_.device(1).GiveUpdate();
  ExpectTheSameBits();
  // It went on where it was: only what was not answered yet, at most the credit of one connection, was sent again.
  const Courier::Counts counts = site_.device(0).counts();
  EXPECT_LE(counts.resent_bytes, kFirstCredit + limits::kMiB);
  EXPECT_LT(counts.chunk_bytes, 2 * kManyChunks * sizeof(float));
}

TEST_F(Kill, TheGatewayWhileItHasEverythingInCustody) {
  site_.AddAndStartGateway("gateway-1");
  Build(kFew, 4, "gateway-1");
  site_.site().Kill("aggregator");
  for (size_t i = 0; i < 4; ++i) site_.device(i).GiveUpdate();
  for (size_t i = 0; i < 4; ++i) ASSERT_TRUE(site_.device(i).AwaitCustody()) << site_.Logs();
  Restart("gateway-1");
  site_.site().Start("aggregator");
  ExpectTheSameBits();
}

// A checkpoint is due when as many bytes came in as it is long: twice an update, and a little.
TEST_F(Kill, TheAggregatorAfterItsFirstCustody) {
  Build(kFew, 5, "aggregator");
  const UploadId first = site_.device(0).GiveUpdate();
  for (size_t i = 1; i < 4; ++i) site_.device(i).GiveUpdate();
  ASSERT_TRUE(site_.device(0).AwaitFate(first)) << site_.Logs();
  Restart("aggregator");
  site_.device(4).GiveUpdate();
  ExpectTheSameBits();
}

TEST_F(Kill, TheAggregatorInTheMiddleOfAnUpload) {
  Build(kManyChunks, 2, "aggregator");
  const UploadId upload = site_.device(0).GiveUpdate();
  ASSERT_TRUE(site_.device(0).AwaitCredit(kFirstCredit + limits::kMiB / 2)) << site_.Logs();
  site_.site().Kill("aggregator");
  EXPECT_FALSE(site_.device(0).has_fate(upload)) << "it was killed too late to be in the middle";
  site_.site().Start("aggregator");
  site_.device(1).GiveUpdate();
  ExpectTheSameBits();
}

// An update that is in the sum and in no checkpoint yet comes again, from the staging folder.
TEST_F(Kill, TheAggregatorBeforeTheLastReport) {
  Build(kFew, 4, "aggregator");
  for (size_t i = 0; i < 3; ++i) site_.device(i).GiveUpdate();
  ASSERT_TRUE(site_.site().Eventually([&] { return Must(site_.api().Round("synthetic", 1)).at("contributions") == 3; }))
      << site_.Logs();
  Restart("aggregator");
  site_.device(3).GiveUpdate();
  ExpectTheSameBits();
}

// Killed at whatever point it happens to be: some uploads are in the sum, some in its checkpoint, some on the way.
TEST_F(Kill, BothAgainAndAgainWhileUpdatesPour) {
  site_.AddAndStartGateway("gateway-1");
  Build(kManyChunks / 4, 8, "gateway-1");
  for (size_t i = 0; i < 8; ++i) {
    const UploadId upload = site_.device(i).GiveUpdate();
    ASSERT_TRUE(i % 2 != 0 || site_.device(i).AwaitCredit(limits::kMiB / 2)) << site_.Logs();
    if (i % 4 == 0) Restart("aggregator");
    if (i % 4 == 2) Restart("gateway-1");
    ASSERT_TRUE(site_.device(i).AwaitFate(upload)) << site_.Logs();
  }
  ExpectTheSameBits();
}

}  // namespace
}  // namespace tributary::kill_test
