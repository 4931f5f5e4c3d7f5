#include "protocol/bundle/receipt.h"

#include <gtest/gtest.h>

#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::receipt_test {
namespace {

class ReceiptTest : public ::testing::Test {
 protected:
  std::vector<UploadId> Ids(size_t count) {
    std::vector<UploadId> ids;
    for (size_t i = 0; i < count; ++i) ids.push_back(random_.TakeUploadId());
    return ids;
  }
  std::string Outcome(ByteView bytes) {
    const auto receipt = VerifyReceipt(bytes, fleet_.anchor(), kTestStart);
    return receipt ? "ok" : std::string(Name(receipt.error().code));
  }

  TestFleet fleet_;
  SeededRandom random_{1};
  Identity aggregator_ = fleet_.Issue(Role::kAggregator, "aggregator");
};

TEST_F(ReceiptTest, SaysWhoTookWhatAndWhen) {
  const Receipt expected{TestDevice("aggregator"), kTestStart, Ids(3)};
  const auto receipt =
      VerifyReceipt(MakeReceipt(aggregator_, kTestStart, expected.uploads), fleet_.anchor(), kTestStart);
  ASSERT_TRUE(receipt) << receipt.error().ToString();
  EXPECT_EQ(*receipt, expected);
}

TEST_F(ReceiptTest, TheBodyIsAsTheHeaderShowsIt) {
  const Identity a1 = fleet_.Issue(Role::kAggregator, "a1");
  UploadId id;
  std::ranges::fill(id.mutable_view(), uint8_t{0xab});
  const auto parsed = ParseReceipt(MakeReceipt(a1, WallTime{1'800'000'000'000}, {id}));
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(ToHex(parsed->body),
            "02000000"
            "6131"
            "00505c18a3010000"
            "01000000"
            "abababababababababababababababab");
}

TEST_F(ReceiptTest, NoByteOfItCanBeChanged) {
  const Bytes whole = MakeReceipt(aggregator_, kTestStart, Ids(2));
  for (size_t at = 0; at < whole.size(); ++at) {
    Bytes changed = whole;
    changed[at] ^= 1;
    EXPECT_NE(Outcome(changed), "ok") << "byte " << at;
  }
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(Outcome(ByteView(whole).first(size)), "ok") << size << " bytes";
  }
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_EQ(Outcome(longer), "malformed");
}

TEST_F(ReceiptTest, OnlyTheAggregatorOfThisFleetGivesIt) {
  for (const Role role : {Role::kDevice, Role::kEvaluator, Role::kGateway}) {
    EXPECT_EQ(Outcome(MakeReceipt(fleet_.Issue(role, "aggregator"), kTestStart, Ids(1))), "wrong-role");
  }
  EXPECT_EQ(Outcome(MakeReceipt(TestFleet().Issue(Role::kAggregator, "aggregator"), kTestStart, Ids(1))),
            "unknown-certificate");
}

TEST_F(ReceiptTest, NobodySignsForAnother) {
  Identity other = fleet_.Issue(Role::kAggregator, "aggregator-2");
  other.subject.id = TestDevice("aggregator");
  EXPECT_EQ(Outcome(MakeReceipt(other, kTestStart, Ids(1))), "wrong-identity");
}

TEST_F(ReceiptTest, SizesAreCheckedBeforeAnythingIsAllocated) {
  EXPECT_EQ(Outcome(Bytes(kReceiptBytes + 1)), "too-large");
  Bytes huge = MakeReceipt(aggregator_, kTestStart, Ids(1));
  const size_t count_at = huge.size() - UploadId::kSize - 4;
  huge[count_at + 3] = 0xff;
  EXPECT_EQ(Outcome(huge), "too-large");
  EXPECT_EQ(Outcome(MakeReceipt(aggregator_, kTestStart, Ids(kReceiptUploads))), "ok");
}

TEST_F(ReceiptTest, AFolderNumbersThemAndTellsWhichAreBad) {
  const TemporaryFolder disk;
  ReceiptFolder receipts(RealFileSystem(), disk.path());
  EXPECT_TRUE(Must(receipts.ReadAll(fleet_.anchor(), kTestStart)).empty());
  Must(receipts.Write(aggregator_, kTestStart, Ids(1)));
  Must(receipts.Write(aggregator_, kTestStart, Ids(2)));
  Must(WriteFileAtomically(RealFileSystem(), disk / "receipts/z.receipt", AsBytes("TRIBRCPT and then nothing")));
  const auto all = Must(receipts.ReadAll(fleet_.anchor(), kTestStart));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].name, "aggregator-1.receipt");
  EXPECT_EQ(all[1].name, "aggregator-2.receipt");
  EXPECT_EQ(Must(all[1].receipt).uploads.size(), 2u);
  EXPECT_EQ(all[2].receipt.error().code, Code::kVersionUnsupported);
}

}  // namespace
}  // namespace tributary::receipt_test
