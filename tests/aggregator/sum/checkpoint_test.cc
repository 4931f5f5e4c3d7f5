#include <gtest/gtest.h>

#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/limits.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/temporary_folder.h"

namespace tributary::checkpoint_test {
namespace {

WeightedSum SumOfOne() {
  WeightedSum sum(1000, FixedPointScale{30}, 1, 1000);
  EXPECT_TRUE(Accumulate(sum, std::vector<float>(1000, 0.125F), 7));
  return sum;
}

TEST(Checkpoint, ComesBackAsItWas) {
  const TemporaryFolder folder;
  const WeightedSum sum = SumOfOne();
  ASSERT_TRUE(WriteCheckpoint(RealFileSystem(), folder / "sum", sum));
  const auto back = ReadCheckpoint(RealFileSystem(), folder / "sum");
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->Serialize(), sum.Serialize());
  EXPECT_EQ(RealFileSystem().List(folder.path())->size(), 1u);
}

TEST(Checkpoint, OfUpdatesThatCountInPartComesBackToo) {
  const TemporaryFolder folder;
  WeightedSum sum = SumOfOne();
  UpdateLimits limits;
  limits.share = kWholeShare / 3;
  const std::vector<float> values(1000, -0.25F);
  auto addition = sum.Begin(limits, 5, Again(values));
  ASSERT_TRUE(addition->Add(values));
  ASSERT_TRUE(addition->Commit());
  ASSERT_TRUE(WriteCheckpoint(RealFileSystem(), folder / "sum", sum));
  const auto back = ReadCheckpoint(RealFileSystem(), folder / "sum");
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->Serialize(), sum.Serialize());
  EXPECT_EQ(back->divisor(), sum.divisor());
  // Cut off within what it has beyond others.
  std::filesystem::resize_file(folder / "sum", 56 + 32 + 8);
  EXPECT_EQ(ReadCheckpoint(RealFileSystem(), folder / "sum").error().code, Code::kCorrupt);
}

TEST(Checkpoint, ReplacesALongerOneWhole) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteCheckpoint(RealFileSystem(), folder / "sum", WeightedSum(5000, FixedPointScale{30}, 1, 1000)));
  const WeightedSum sum = SumOfOne();
  ASSERT_TRUE(WriteCheckpoint(RealFileSystem(), folder / "sum", sum));
  EXPECT_EQ(ReadCheckpoint(RealFileSystem(), folder / "sum")->Serialize(), sum.Serialize());
}

TEST(Checkpoint, WhatAnInterruptedWriteLeftBehindDoesNoHarm) {
  const TemporaryFolder folder;
  {
    const auto file = RealFileSystem().OpenForWrite(folder / "sum.new");
    ASSERT_TRUE((*file)->WriteAt(0, Bytes(100'000, 0xee)));
  }
  ASSERT_TRUE(WriteCheckpoint(RealFileSystem(), folder / "sum", SumOfOne()));
  EXPECT_TRUE(ReadCheckpoint(RealFileSystem(), folder / "sum"));
}

TEST(Checkpoint, AMissingOneIsNotFound) {
  const TemporaryFolder folder;
  EXPECT_EQ(ReadCheckpoint(RealFileSystem(), folder / "sum").error().code, Code::kNotFound);
}

TEST(Checkpoint, EveryTruncationIsCorrupt) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteCheckpoint(RealFileSystem(), folder / "sum", SumOfOne()));
  const uint64_t size = *RealFileSystem().Size(folder / "sum");
  for (uint64_t length :
       {uint64_t{0}, uint64_t{1}, uint64_t{31}, uint64_t{32}, uint64_t{88}, size / 2, size - 8, size - 1}) {
    std::filesystem::resize_file(folder / "sum", length);
    const auto back = ReadCheckpoint(RealFileSystem(), folder / "sum");
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().code, Code::kCorrupt);
    EXPECT_NE(back.error().message.find(std::to_string(length) + " bytes"), std::string::npos) << back.error().message;
    ASSERT_TRUE(WriteCheckpoint(RealFileSystem(), folder / "sum", SumOfOne()));
  }
}

TEST(Checkpoint, EveryAlteredByteIsCorrupt) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteCheckpoint(RealFileSystem(), folder / "sum", SumOfOne()));
  const Bytes good = *ReadFile(RealFileSystem(), folder / "sum", limits::kMiB);
  for (size_t place = 0; place < good.size(); place += 97) {
    Bytes bad = good;
    bad[place] ^= 0x10;
    ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "sum", bad));
    EXPECT_EQ(ReadCheckpoint(RealFileSystem(), folder / "sum").error().code, Code::kCorrupt) << place;
  }
}

}  // namespace
}  // namespace tributary::checkpoint_test
