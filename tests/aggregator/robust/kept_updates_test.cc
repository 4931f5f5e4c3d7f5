#include "aggregator/robust/kept_updates.h"

#include <gtest/gtest.h>

#include "tests/support/flipped_byte.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::kept_updates_test {
namespace {

constexpr FixedPointScale kScale{8};

struct KeptFolder {
  TemporaryFolder folder;
  std::vector<Path> paths;

  void Write(const std::string& device, const std::vector<float>& values, uint64_t weight = 3) {
    const std::span<const float> all(values);
    const auto parts = [all](const TakePart& take) -> Status {
      RETURN_IF_ERROR(take(all.first(1)));
      return take(all.subspan(1));
    };
    paths.push_back(folder.path() / KeptFileName(TestTask("digits"), ModelVersion{4}, paths.size()));
    Must(WriteKeptUpdate(RealFileSystem(), paths.back(), {TestDevice(device), TestDevice("gate"), weight}, all.size(),
                         parts));
  }
  Result<KeptUpdates> Open(double bound = 16) { return KeptUpdates::Open(RealFileSystem(), paths, 3, kScale, bound); }
};

TEST(KeptUpdates, AreReadInTheOrderOfTheirDevices) {
  KeptFolder folder;
  folder.Write("zoe", {1, 2, 3});
  folder.Write("ada", {-0.5F, 0.25F, 8}, 7);
  const KeptUpdates updates = Must(folder.Open());
  ASSERT_EQ(updates.size(), 2U);
  EXPECT_EQ(updates.update(0).device, TestDevice("ada"));
  EXPECT_EQ(updates.update(0).via, TestDevice("gate"));
  EXPECT_EQ(updates.weight(0), 7U);
  std::vector<int64_t> values(2);
  Must(updates.Read(0, 1, values));
  EXPECT_EQ(values, (std::vector<int64_t>{64, 2048}));
  EXPECT_GE(KeptFileBytes(3), Must(RealFileSystem().Size(folder.paths[0])));
}

TEST(KeptUpdates, AnotherUpdateTakesAFilesPlace) {
  KeptFolder folder;
  folder.Write("ada", {1, 2, 3});
  folder.paths.clear();
  folder.Write("bob", {4, 5, 6});
  EXPECT_EQ(Must(folder.Open()).update(0).device, TestDevice("bob"));
}

// Not durable: there would be two syncs for every byte.
void Overwrite(const Path& path, ByteView bytes) {
  Must(RealFileSystem().Remove(path));
  Must(Must(RealFileSystem().OpenForWrite(path))->WriteAt(0, bytes));
}

TEST(KeptUpdates, NoByteMayBeAnother) {
  KeptFolder folder;
  folder.Write("ada", {1, 2, 3});
  const Bytes good = Must(ReadFile(RealFileSystem(), folder.paths[0], 1000));
  for (size_t at = 0; at < good.size(); ++at) {
    Bytes bad = good;
    bad[at] ^= 0x20;
    Overwrite(folder.paths[0], bad);
    const auto opened = folder.Open();
    ASSERT_FALSE(opened) << at;
    EXPECT_EQ(opened.error().code, Code::kCorrupt) << at << ": " << opened.error().message;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    Overwrite(folder.paths[0], ByteView(good).first(size));
    EXPECT_FALSE(folder.Open()) << size;
  }
  Must(RealFileSystem().Remove(folder.paths[0]));
  EXPECT_EQ(folder.Open().error().code, Code::kNotFound);
}

TEST(KeptUpdates, AValueBeyondTheBoundIsNoneOfOurs) {
  KeptFolder folder;
  folder.Write("ada", {1, 2, 3});
  EXPECT_EQ(folder.Open(2).error().code, Code::kCorrupt);
}

TEST(Reference, ComesBackAsItWasRounded) {
  TemporaryFolder folder;
  const Path file = folder.path() / ReferenceFileName(TestTask("digits"), ModelVersion{2});
  const auto mean = [](uint64_t first, std::span<double> values) -> Status {
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(first + i) + 0.1;
    return {};
  };
  Must(WriteReference(RealFileSystem(), file, 3, mean));
  EXPECT_EQ(Must(ReadReference(RealFileSystem(), file, 3)), (std::vector<float>{0.1F, 1.1F, 2.1F}));
  EXPECT_EQ(ReadReference(RealFileSystem(), file, 4).error().code, Code::kCorrupt);
  Bytes bytes = Must(ReadFile(RealFileSystem(), file, 1000));
  bytes[bytes.size() / 2] ^= 1;
  Must(WriteFileAtomically(RealFileSystem(), file, bytes));
  EXPECT_EQ(ReadReference(RealFileSystem(), file, 3).error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace tributary::kept_updates_test
