#include <zlib.h>

#include <array>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/examples/idx.h"
#include "tests/support/temporary_folder.h"

namespace tributary::idx_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bytes Idx(const std::vector<uint32_t>& dimensions, const Bytes& values, uint8_t type = 8) {
  Bytes bytes = {0, 0, type, static_cast<uint8_t>(dimensions.size())};
  for (const uint32_t size : dimensions) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(size >> shift));
  }
  Append(bytes, values);
  return bytes;
}

Bytes Gzip(const Path& scratch, const Bytes& plain) {
  gzFile out = gzopen(scratch.c_str(), "wb");
  gzwrite(out, plain.data(), static_cast<unsigned>(plain.size()));
  gzclose(out);
  return ReadFile(RealFileSystem(), scratch, 1 << 20).value();
}

class IdxTest : public testing::Test {
 protected:
  Path Write(const std::string& name, const Bytes& bytes) {
    EXPECT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / name, bytes));
    return folder_ / name;
  }
  // Two images of 2x3 and their labels.
  void WriteSmallSet(const std::string& prefix) {
    Write(prefix + "-images-idx3-ubyte", Idx({2, 2, 3}, {0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6}));
    Write(prefix + "-labels-idx1-ubyte.gz", Gzip(folder_ / "scratch", Idx({2}, {7, 2})));
  }
  Error ErrorOf(const Bytes& bytes) {
    const auto result = ReadIdx(Write("file", bytes));
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }

  TemporaryFolder folder_;
};

TEST_F(IdxTest, ReadsPlainAndGzip) {
  const Bytes file = Idx({3}, {7, 2, 1});
  const Bytes values = {7, 2, 1};
  EXPECT_EQ(ReadIdx(Write("plain", file)).value().values, values);
  const IdxArray array = ReadIdx(Write("packed.gz", Gzip(folder_ / "scratch", file))).value();
  EXPECT_EQ(array.values, values);
  EXPECT_THAT(array.dimensions, ElementsAre(3));
}

TEST_F(IdxTest, EveryTruncationIsCorrupt) {
  const Bytes plain = Idx({2, 3}, {1, 2, 3, 4, 5, 6});
  for (size_t length = 0; length < plain.size(); ++length) {
    EXPECT_EQ(ErrorOf({plain.begin(), plain.begin() + static_cast<ptrdiff_t>(length)}).code, Code::kCorrupt) << length;
  }
  const Bytes packed = Gzip(folder_ / "scratch", plain);
  for (size_t length = 0; length < packed.size(); ++length) {
    EXPECT_EQ(ErrorOf({packed.begin(), packed.begin() + static_cast<ptrdiff_t>(length)}).code, Code::kCorrupt)
        << length;
  }
}

TEST_F(IdxTest, GarbageIsRefused) {
  EXPECT_EQ(ErrorOf({'P', 'N', 'G', 0, 1, 2, 3}).code, Code::kCorrupt);
  EXPECT_EQ(ErrorOf(Idx({3}, {1, 2, 3, 4})).code, Code::kCorrupt);             // longer than it says
  EXPECT_EQ(ErrorOf(Idx({0}, {})).code, Code::kCorrupt);                       // nothing
  EXPECT_EQ(ErrorOf(Idx({1, 1, 1, 1, 1}, {1})).code, Code::kCorrupt);          // rank 5
  EXPECT_EQ(ErrorOf(Idx({1}, {1, 2, 3, 4}, 0x0a)).code, Code::kNotSupported);  // no type of the format
  EXPECT_EQ(ErrorOf(Idx({2}, {1, 2, 3, 4}, 0x0d)).code, Code::kCorrupt);       // half of its floats
  Bytes broken = Gzip(folder_ / "scratch", Idx({200}, Bytes(200, 9)));
  broken[broken.size() - 6] ^= 1;  // in the CRC
  EXPECT_EQ(ErrorOf(broken).code, Code::kCorrupt);
}

TEST_F(IdxTest, RefusesAHugeSizeBeforeAllocating) {
  EXPECT_EQ(ErrorOf(Idx({0xffffffff, 0xffffffff, 0xffffffff}, {})).code, Code::kTooLarge);
  EXPECT_EQ(ErrorOf(Idx({(1u << 30) + 1}, {})).code, Code::kTooLarge);
}

TEST_F(IdxTest, LoadsAFolder) {
  WriteSmallSet("train");
  const auto set = LoadIdxFolder(folder_.path(), IdxPart::kTraining).value();
  EXPECT_THAT(set->Find("image")->field.shape, ElementsAre(1, 2, 3));
  EXPECT_THAT(set->Find("image")->At(0), ElementsAre(0, 51, 102, 153, 204, 255));
  EXPECT_THAT(LabelsOf(*set).value(), ElementsAre(7, 2));
  EXPECT_TRUE(CheckExampleSet(*set));
}

TEST_F(IdxTest, MissingDataNamesFolderAndPackage) {
  WriteSmallSet("train");
  const auto missing = LoadIdxFolder(folder_.path(), IdxPart::kTest);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kMissingData);
  EXPECT_THAT(missing.error().message, HasSubstr(folder_.path().string()));
  EXPECT_THAT(missing.error().message, HasSubstr("dataset-fashion-mnist"));
  EXPECT_EQ(ReadIdx(folder_ / "nothing").error().code, Code::kMissingData);
}

TEST_F(IdxTest, ImagesAndLabelsMustBelongTogether) {
  WriteSmallSet("t10k");
  Write("t10k-labels-idx1-ubyte.gz", Idx({3}, {1, 2, 3}));
  EXPECT_EQ(LoadIdxFolder(folder_.path(), IdxPart::kTest).error().code, Code::kCorrupt);
  Write("t10k-labels-idx1-ubyte.gz", Idx({1, 2}, {1, 2}));
  EXPECT_EQ(LoadIdxFolder(folder_.path(), IdxPart::kTest).error().code, Code::kCorrupt);
}

// The package is on the list of what the project needs, so its absence is a failure here.
TEST(FashionMnist, IsWhatItSays) {
  const auto test = LoadIdxFolder(kFashionMnistFolder, IdxPart::kTest);
  ASSERT_TRUE(test) << test.error().ToString();
  EXPECT_EQ((*test)->size(), 10'000);
  EXPECT_THAT((*test)->Find("image")->field.shape, ElementsAre(1, 28, 28));
  const auto labels = LabelsOf(**test).value();
  for (uint32_t label = 0; label < 10; ++label) {
    EXPECT_EQ(std::count(labels.begin(), labels.end(), label), 1000);
  }
}

}  // namespace
}  // namespace tributary::idx_test
