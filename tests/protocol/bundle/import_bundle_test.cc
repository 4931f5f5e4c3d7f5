#include "protocol/bundle/import_bundle.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "protocol/bundle/bundle_folder.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/bundle/export_bundle.h"
#include "protocol/bundle/receipt.h"
#include "tests/protocol/hop/hop_fixture.h"
#include "tests/support/must.h"

namespace tributary::import_bundle_test {
namespace {

class ImportBundleTest : public ::testing::Test {
 protected:
  void Put(const std::vector<SealedUpload>& uploads) {
    BundleWriter writer = Must(BundleWriter::Open(RealFileSystem(), disk_.path()));
    for (const SealedUpload& upload : uploads) {
      Must(writer.Add(FactsOf(upload.header), upload.envelope,
                      [&](uint32_t index) -> Result<Bytes> { return upload.chunks.at(index); }));
    }
    Must(writer.Finish());
  }
  std::vector<SealedUpload> Make(int count, size_t size = 10'000) {
    std::vector<SealedUpload> uploads;
    for (int i = 0; i < count; ++i) {
      devices_.push_back(world_.fleet.Issue(Role::kDevice, "device-" + std::to_string(i)));
      uploads.push_back(MakeSealed(world_, devices_.back(), size));
    }
    return uploads;
  }
  // On a thread of its own, as the tool is a process of its own; the server runs here.
  Result<BundleImport> Import(Millis patience = Millis(5'000)) { return ImportAt(server_, patience); }
  Result<BundleImport> ImportAt(TestServer& server, Millis patience = Millis(5'000)) {
    std::atomic<bool> done = false;
    Result<BundleImport> report = Fail(Code::kBusy, "not run");
    std::thread tool([&] {
      SeededRandom random(2);
      report = ImportBundle({world_.clock, random, RealFileSystem(), server.identity()}, server.endpoint(),
                            disk_.path(), patience);
      done = true;
    });
    world_.RunUntilWithTime([&] { return done.load(); }, Millis(20), 100'000);
    tool.join();
    return report;
  }
  std::vector<UploadId> Receipted() {
    std::vector<UploadId> ids;
    for (const auto& entry :
         Must(ReceiptFolder(RealFileSystem(), disk_.path()).ReadAll(world_.fleet.anchor(), world_.clock.Now()))) {
      const Receipt receipt = Must(entry.receipt);
      EXPECT_EQ(receipt.server, TestDevice("aggregator"));
      ids.insert(ids.end(), receipt.uploads.begin(), receipt.uploads.end());
    }
    std::ranges::sort(ids);
    return ids;
  }
  static std::vector<UploadId> IdsOf(const std::vector<SealedUpload>& uploads) {
    std::vector<UploadId> ids;
    for (const SealedUpload& upload : uploads) ids.push_back(upload.header.subject.id);
    std::ranges::sort(ids);
    return ids;
  }

  HopWorld world_;
  TestServer server_{world_, Role::kAggregator, "aggregator"};
  TemporaryFolder disk_;
  std::vector<Identity> devices_;
};

TEST_F(ImportBundleTest, UploadsGoInReceiptsComeOut) {
  const auto uploads = Make(5);
  Put(uploads);
  const BundleImport report = Must(Import());
  EXPECT_TRUE(report.Whole());
  EXPECT_EQ(report.found, 5u);
  EXPECT_EQ(report.taken, 5u);
  EXPECT_EQ(server_.sink.complete.size(), 5u);
  EXPECT_EQ(Receipted(), IdsOf(uploads));
  EXPECT_EQ(Must(BundleFolder::Open(RealFileSystem(), disk_.path())).pending(), 0u);
  // The same again: nothing to do, nothing changes.
  const BundleImport again = Must(Import());
  EXPECT_EQ(again.found, 0u);
  EXPECT_TRUE(again.Whole());
}

TEST_F(ImportBundleTest, ACopyOfTheDiskIsTakenInOnceAndGetsItsReceiptsToo) {
  const auto uploads = Make(3);
  Put(uploads);
  Must(Import());
  std::filesystem::remove_all(disk_ / "receipts");
  Put(uploads);
  server_.sink.judge = [&](const SignedEnvelope& envelope) -> std::optional<Result<OfferAnswer>> {
    if (server_.sink.complete.contains(envelope.header.subject.id)) return OfferAnswer{.already = true};
    return std::nullopt;
  };
  const uint64_t before = server_.sink.appended_bytes;
  const BundleImport report = Must(Import());
  EXPECT_EQ(report.taken, 3u);
  EXPECT_EQ(report.sent_bytes, 0u);
  EXPECT_EQ(server_.sink.appended_bytes, before);
  EXPECT_EQ(Receipted(), IdsOf(uploads));
}

TEST_F(ImportBundleTest, AGatewayTakesThemInButOnlyTheAggregatorGivesReceipts) {
  TestServer gateway(world_, Role::kGateway, "gateway-9");
  Put(Make(2));
  const BundleImport report = Must(ImportAt(gateway));
  EXPECT_TRUE(report.Whole());
  EXPECT_EQ(report.taken, 2u);
  EXPECT_EQ(gateway.sink.complete.size(), 2u);
  EXPECT_TRUE(Receipted().empty());
  // The disk may travel on.
  EXPECT_EQ(Must(BundleFolder::Open(RealFileSystem(), disk_.path())).pending(), 2u);
  EXPECT_EQ(Must(Import()).taken, 2u);
  EXPECT_EQ(Receipted().size(), 2u);
}

TEST_F(ImportBundleTest, ThePublicationGoesOnTheDiskWithItsBlobs) {
  const Bytes publication = MakePublication(world_, server_.blobs, 4, ModelVersion{3}, 600'000);
  server_->Publish(publication, 4, 1);
  const BundleImport report = Must(Import());
  EXPECT_EQ(report.publication, 4u);
  EXPECT_TRUE(report.Whole());
  const Publication carried =
      Must(ReadPublication(RealFileSystem(), disk_.path(), world_.fleet.anchor(), world_.clock.Now()));
  EXPECT_EQ(carried, PublicationOf(world_, publication));
  for (const BlobRef& blob : BlobsOf(carried)) {
    EXPECT_TRUE(CheckBlob(RealFileSystem(), disk_ / "blobs" / blob.digest.hex(), blob));
  }
}

TEST_F(ImportBundleTest, WhatIsRefusedForGoodIsSetAsideAndTheRestGoesIn) {
  const auto uploads = Make(3);
  Put(uploads);
  const UploadId stale = uploads[1].header.subject.id;
  server_.sink.judge = [&](const SignedEnvelope& envelope) -> std::optional<Result<OfferAnswer>> {
    if (envelope.header.subject.id == stale) return Fail(Code::kStaleVersion, "too old");
    return std::nullopt;
  };
  const BundleImport report = Must(Import());
  EXPECT_EQ(report.taken, 2u);
  EXPECT_EQ(report.left, 0u);
  ASSERT_EQ(report.set_aside.size(), 1u);
  EXPECT_EQ(report.set_aside[0].why.code, Code::kStaleVersion);
  EXPECT_NE(Tell(report, "aggregator").find("stale-version"), std::string::npos);
}

TEST_F(ImportBundleTest, APayloadDamagedOnTheWayIsSetAside) {
  const auto uploads = Make(2);
  Put(uploads);
  const Path file = disk_ / "uploads" / bundle::UploadName(uploads[0].header.subject.id);
  Bytes bytes = Must(ReadFile(RealFileSystem(), file, limits::kMiB));
  bytes.back() ^= 1;
  std::filesystem::remove(file);
  Must(WriteFileAtomically(RealFileSystem(), file, bytes));
  const BundleImport report = Must(Import(Millis(60'000)));
  EXPECT_EQ(report.taken, 1u);
  ASSERT_EQ(report.set_aside.size(), 1u);
  EXPECT_EQ(report.set_aside[0].why.code, Code::kDigestMismatch);
  EXPECT_EQ(Receipted(), std::vector{uploads[1].header.subject.id});
}

TEST_F(ImportBundleTest, WhatIsRefusedForNowStaysOnTheDisk) {
  const auto uploads = Make(2);
  Put(uploads);
  server_.sink.judge = [&](const SignedEnvelope&) { return Fail(Code::kDiskFull, "full"); };
  const BundleImport report = Must(Import());
  EXPECT_EQ(report.left, 2u);
  EXPECT_GT(report.passing.at(Code::kDiskFull), 0u);
  ASSERT_TRUE(report.problem);
  EXPECT_EQ(report.problem->code, Code::kTimeout);
  EXPECT_NE(Tell(report, "aggregator").find("disk-full"), std::string::npos);
  EXPECT_EQ(Must(BundleFolder::Open(RealFileSystem(), disk_.path())).pending(), 2u);
}

TEST_F(ImportBundleTest, WithoutADaemonNothingHappens) {
  Put(Make(1));
  server_.Stop();
  const auto report = Import(Millis(2'000));
  ASSERT_FALSE(report);
  EXPECT_TRUE(IsTransient(report.error().code)) << report.error().ToString();
  EXPECT_EQ(Must(BundleFolder::Open(RealFileSystem(), disk_.path())).pending(), 1u);
}

TEST(LocalEndpoint, IsOnThisMachine) {
  EXPECT_EQ(LocalEndpoint("tcp://0.0.0.0:7100"), "tcp://127.0.0.1:7100");
  EXPECT_EQ(LocalEndpoint("tcp://*:7100"), "tcp://127.0.0.1:7100");
  EXPECT_EQ(LocalEndpoint("tcp://[::]:7100"), "tcp://[::1]:7100");
  EXPECT_EQ(LocalEndpoint("tcp://10.0.0.7:7100"), "tcp://10.0.0.7:7100");
}

}  // namespace
}  // namespace tributary::import_bundle_test
