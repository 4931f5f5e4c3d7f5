#include <cmath>

#include <gtest/gtest.h>

#include "device/agent/residual_store.h"
#include "protocol/envelope/open_upload.h"
#include "protocol/payload/update_codec.h"
#include "tests/device/agent/erasure_fixture.h"
#include "tests/support/temporary_folder.h"

// Values that an update leaves out are in a later one: over versions, kills and erasures.
namespace tributary::residual_test {
namespace {

constexpr size_t kValues = 1000;

std::vector<float> Sent(AgentFixture& device, uint64_t version) {
  for (const auto& [id, stored] : device.server.sink.complete) {
    const UploadSubject& subject = stored.header.subject;
    if (subject.kind != UploadKind::kUpdate || Number(subject.base_version) != version) continue;
    auto opener = Must(UploadOpener::Begin(stored.header, device.world.fleet.sealing_key()));
    Bytes plaintext;
    for (const Bytes& chunk : stored.chunks) {
      Bytes part(subject.chunk_size);
      part.resize(Must(opener.OpenChunk(chunk, part)));
      Append(plaintext, part);
    }
    return Must(DecodeUpdate(subject.codec, plaintext));
  }
  return {};
}

// The residual that lies on the disk.
std::vector<float> Kept(const AgentFixture& device, uint64_t version, uint64_t generation = 0) {
  const ResidualStore store(RealFileSystem(), device.folder / "residuals");
  return Must(store.Before(TestTask("digits"), ModelVersion{version + 1}, generation, kValues));
}

bool Exists(const AgentFixture& device, uint64_t version) {
  return std::filesystem::exists(device.folder / "residuals" / fmt::format("digits-{}.residual", version));
}

// FakeLearner's.
float Learned(uint64_t version, size_t i) {
  return 1e-3F * static_cast<float>(version) + 1e-7F * static_cast<float>(i);
}

void Deliver(AgentFixture& device, uint64_t version) {
  device.Publish(version, version, true, kValues * sizeof(float));
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, version) == 1; }));
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.quiet(); }));
}

// All that was learned was sent, or is kept.
void ExpectNothingLost(AgentFixture& device, uint64_t versions, uint64_t generation = 0) {
  std::vector<double> sum(kValues);
  for (uint64_t version = 1; version <= versions; ++version) {
    const auto sent = Sent(device, version);
    ASSERT_EQ(sent.size(), kValues) << version;
    EXPECT_EQ(std::ranges::count_if(sent, [](float value) { return value != 0; }), 50) << version;
    for (size_t i = 0; i < kValues; ++i) sum[i] += double{sent[i]} - double{Learned(version, i)};
  }
  const auto kept = Kept(device, versions, generation);
  for (size_t i = 0; i < kValues; ++i) ASSERT_NEAR(sum[i] + double{kept[i]}, 0, 1e-8) << i;
}

TEST(ResidualTest, WhatWasLeftOutIsInTheNextUpdate) {
  AgentFixture device;
  device.plan.update_codec = {"top5"};
  device.Start();
  for (const uint64_t version : {1u, 2u, 3u}) {
    Deliver(device, version);
    ExpectNothingLost(device, version);
  }
  EXPECT_FALSE(Exists(device, 1)) << "only what the last update began with, and what it left";
  EXPECT_TRUE(Exists(device, 2) && Exists(device, 3));
  // Values that were left out the first time stand out the second time.
  EXPECT_NE(Sent(device, 1), Sent(device, 2));
}

// Killed right after the second update's residual was written, before the update is in the outbox; and later.
TEST(ResidualTest, AKillSendsNothingTwiceAndLosesNothing) {
  for (const bool handed_over : {false, true}) {
    AgentFixture device;
    device.plan.update_codec = {"top5"};
    device.Start();
    Deliver(device, 1);
    device.Publish(2, 2, true, kValues * sizeof(float));
    ASSERT_TRUE(device.RunUntil([&] {
      return Exists(device, 2) && (!handed_over || device.StateText().find("handed_over 2") != std::string::npos);
    }));
    EXPECT_EQ(device.StateText().find("handed_over 2") != std::string::npos, handed_over);
    device.Kill();
    device.Start();
    Deliver(device, 2);
    ExpectNothingLost(device, 2);
    device.Kill();
    device.Start();
    Deliver(device, 3);
    ExpectNothingLost(device, 3);
  }
}

// A file that nobody names any more: its bytes are of somebody's examples.
TEST(ResidualTest, AStartRemovesWhatAKillLeftOfAWrite) {
  AgentFixture device;
  device.plan.update_codec = {"top5"};
  device.Start();
  Deliver(device, 1);
  device.Kill();
  const Path left = device.folder / "residuals" / "digits-0.residual.new";
  Must(WriteFileAtomically(RealFileSystem(), left, Bytes(4000, 1)));
  device.Start();
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(Exists(device, 1));
}

// Many updates left out more than one update may bring. So it leaves in several.
TEST(ResidualTest, AResidualBeyondTheBoundsOfAnUpdateWaits) {
  AgentFixture device;
  device.plan.update_codec = {"top5"};
  device.Start();
  Deliver(device, 1);
  device.Kill();
  const ResidualStore store(RealFileSystem(), device.folder / "residuals");
  std::vector<float> much(kValues);
  much[7] = 1000;
  Must(store.Keep(TestTask("digits"), ModelVersion{1}, 0, much));
  device.Start();
  Deliver(device, 2);
  const auto sent = Sent(device, 2);
  ASSERT_EQ(sent.size(), kValues);
  EXPECT_EQ(sent[7], 1) << "the bound of a value";
  EXPECT_NEAR(Kept(device, 2)[7], 999, 0.01);
}

TEST(ResidualTest, GoesWithTheExamplesThatItWasMadeFromAndWithItsTask) {
  ErasureFixture device;
  device.plan.update_codec = {"top5"};
  device.Accept();
  device.Start();
  Deliver(device, 1);
  ASSERT_TRUE(Exists(device, 1));
  device.EraseA();
  EXPECT_TRUE(device.RunUntilWithTime([&] { return !Exists(device, 1); }));
  Deliver(device, 2);
  ASSERT_TRUE(Exists(device, 2));
  // As from nothing: the sum of two versions would be three times as large.
  for (const float value : Sent(device, 2)) EXPECT_LT(value, 2.2e-3F);
  // The residual of a task that is published no more is erased too.
  Publication other =
      PublicationOf(device.world, MakePublication(device.world, device.server.blobs, 3, ModelVersion{1}, 36));
  other.tasks[0].id = TestTask("another");
  device.server->Publish(device.world.fleet.Publish(other), 3, /*root_version=*/1);
  EXPECT_TRUE(device.RunUntilWithTime([&] { return !Exists(device, 2); }));
}

TEST(ResidualStoreTest, ADamagedOrForeignFileIsNone) {
  const TemporaryFolder folder;
  const ResidualStore store(RealFileSystem(), folder / "residuals");
  const TaskId task = TestTask("digits");
  EXPECT_TRUE(store.empty());
  Must(store.Sweep({{task, 7}}));  // there is no folder, and so nothing to erase
  Must(store.RemoveUnfinished());
  Must(store.Keep(task, ModelVersion{3}, 7, std::vector<float>{1, 2}));
  EXPECT_EQ(Must(store.Before(task, ModelVersion{3}, 7, 2)), std::vector<float>(2)) << "of the version itself";
  EXPECT_EQ(Must(store.Before(task, ModelVersion{4}, 7, 2)), (std::vector<float>{1, 2}));
  EXPECT_EQ(Must(store.Before(task, ModelVersion{4}, 8, 2)), std::vector<float>(2)) << "of deleted examples";
  EXPECT_EQ(Must(store.Before(task, ModelVersion{4}, 7, 3)), std::vector<float>(3)) << "of another model";
  EXPECT_EQ(Must(store.Before(TestTask("other"), ModelVersion{4}, 7, 2)), std::vector<float>(2));
  const Path file = folder / "residuals" / "digits-3.residual";
  Bytes bytes = Must(ReadFile(RealFileSystem(), file, limits::kMiB));
  bytes[30] ^= 1;
  Must(WriteFileAtomically(RealFileSystem(), file, bytes));
  EXPECT_EQ(Must(store.Before(task, ModelVersion{4}, 7, 2)), std::vector<float>(2)) << "damaged";
  for (const uint64_t size : {uint64_t{0}, uint64_t{50}, limits::kParameters * sizeof(float) + 1000}) {
    std::filesystem::resize_file(file, size);
    EXPECT_EQ(Must(store.Before(task, ModelVersion{4}, 7, 2)), std::vector<float>(2)) << size;
  }
  Must(store.Keep(task, ModelVersion{4}, 7, std::vector<float>{3, 4}));
  Must(store.Sweep({{task, 7}}));
  EXPECT_FALSE(store.empty());
  Must(store.Sweep({{task, 8}}));
  EXPECT_TRUE(store.empty());
}

}  // namespace
}  // namespace tributary::residual_test
