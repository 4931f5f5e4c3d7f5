#include <zlib.h>

#include <gmock/gmock.h>

#include "device/import/idx_reader.h"
#include "device/import/image_folder.h"
#include "device/import/npy_reader.h"
#include "device/import/sql_reader.h"
#include "device/import/text_reader.h"
#include "tests/device/import/import_fixture.h"
#include "tests/support/outcome.h"

namespace tributary::import_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Npy(const std::string& head, size_t values, char version = 1) {
  std::string text = std::string("\x93NUMPY") + version + '\0';
  text += static_cast<char>(head.size() & 0xff);
  text += static_cast<char>(head.size() >> 8);
  if (version > 1) text += std::string(2, '\0');
  return text + head + std::string(values, '\1');
}

class NumpyTest : public ImportFixture {};

TEST_F(NumpyTest, ReadsWhatNumpyWrites) {
  const Path file = WriteWithPython("a.npz", R"(
np.savez_compressed(out, x=np.arange(12, dtype=np.float32).reshape(3, 2, 2), y=np.array([5, 6, 7], dtype=np.int64),
                    flag=np.array([True, False, True]), f=np.asfortranarray(np.array([1., 2., 3.])))
)");
  Must(Import(OpenNumpy(file, {})));
  EXPECT_THAT(Values<float>("x"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(Values<int64_t>("y"), ElementsAre(5, 6, 7));
  EXPECT_THAT(Values<uint8_t>("flag"), ElementsAre(1, 0, 1));
  EXPECT_THAT(Values<double>("f"), ElementsAre(1, 2, 3));
  Must(store->Drop("c"));
  Must(Import(OpenNumpy(file, {Must(FieldRequest::Parse("label=y"))})));
  EXPECT_THAT(Values<int64_t>("label"), ElementsAre(5, 6, 7));
  EXPECT_EQ(Must(store->Find("c")).settings.fields.size(), 1u);
}

TEST_F(NumpyTest, RefusesWithARemedy) {
  const auto refused = [&](const std::string& script) {
    const Path file = WriteWithPython("a.npy", script);
    const Status imported = Import(OpenNumpy(file, {}));
    return imported ? std::string("ok") : imported.error().ToString();
  };
  EXPECT_THAT(refused("np.save(out, np.array([{'a': 1}], dtype=object))"), HasSubstr("not-supported"));
  EXPECT_THAT(refused("np.save(out, np.asfortranarray(np.ones((3, 2))))"), HasSubstr("ascontiguousarray"));
  EXPECT_THAT(refused("np.save(out, np.ones(3, dtype='>f4'))"), HasSubstr("astype"));
  EXPECT_THAT(refused("np.save(out, np.float32(3))"), HasSubstr("first dimension"));
  EXPECT_THAT(refused("np.save(out, np.zeros(2, dtype=[('a', 'f4')]))"), HasSubstr("astype"));
  EXPECT_THAT(refused("np.save(out, np.array([1, np.nan, 3], dtype=np.float32))"), HasSubstr("a.npy: example 1"));
  EXPECT_EQ(Count(), 0u);
  const Path file = WriteWithPython("b.npz", "np.savez(out, a=np.ones(3), b=np.ones(4))");
  EXPECT_EQ(Outcome(OpenNumpy(file, {})), "bad-example");
}

TEST_F(NumpyTest, EveryTruncationIsCorrupt) {
  const std::string whole = Npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), }\n", 6, 2);
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(Outcome(Import(OpenNumpy(Write("a.npy", whole.substr(0, length)), {}))), "corrupt") << length;
    EXPECT_EQ(Count(), 0u);
  }
  EXPECT_EQ(Outcome(Import(OpenNumpy(Write("a.npy", whole + "x"), {}))), "corrupt") << "goes on";
  Must(Import(OpenNumpy(Write("a.npy", whole), {})));
  EXPECT_EQ(Count(), 3u);
}

TEST_F(NumpyTest, HugeArraysAreRefusedBeforeAnythingIsAllocated) {
  for (const std::string shape :
       {"(18446744073709551615,)", "(4294967296, 4294967296)", "(1, 9999999999)", "(3, 100000000)"}) {
    const auto text = Npy("{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + ", }", 0);
    EXPECT_EQ(Outcome(OpenNumpy(Write("a.npy", text), {})), "too-large") << shape;
  }
  // Eight gigabytes of zeros in eight megabytes.
  const Path bomb = WriteWithPython("bomb.npz", R"(
import zipfile
head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1073741824,), }"
z = zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED)
with z.open('x.npy', 'w', force_zip64=True) as f:
    f.write(b'\x93NUMPY\x01\x00' + len(head).to_bytes(2, 'little') + head)
    for i in range(64): f.write(bytes(1 << 20))
z.close()
)");
  EXPECT_EQ(Outcome(OpenNumpy(bomb, {})), "too-large");
  EXPECT_EQ(Outcome(OpenNumpy(Write("z.npz", "PK\3\4 no archive"), {})), "corrupt");
}

class ImagesTest : public ImportFixture {
 protected:
  // Two classes of PNG and JPEG, 4 x 2, written by PIL.
  Path WritePictures() {
    WriteWithPython("photos", R"(
import os
from PIL import Image
for c in ('cat', 'ant'): os.makedirs(out + '/' + c)
a = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
Image.fromarray(a).save(out + '/cat/one.png')
Image.fromarray(np.full((2, 4, 3), 200, np.uint8)).save(out + '/ant/two.JPG', 'JPEG')
Image.fromarray(np.array([[0, 50, 100, 150], [200, 250, 20, 30]], np.uint8)).save(out + '/ant/grey.png')
open(out + '/ant/notes.txt', 'w').write('no image')
)");
    return folder / "photos";
  }
};

TEST_F(ImagesTest, FoldersAreClassesInTheOrderOfTheirNames) {
  Must(Import(OpenImageFolder(WritePictures(), {})));
  EXPECT_THAT(Values<int64_t>("label", {"ant", "cat"}), ElementsAre(0, 0, 1));
  const auto pixels = Values<uint8_t>("image");
  ASSERT_EQ(pixels.size(), 3u * 24);
  EXPECT_THAT(std::vector<uint8_t>(pixels.begin(), pixels.begin() + 8), ElementsAre(0, 50, 100, 150, 200, 250, 20, 30));
  EXPECT_EQ(pixels[24], 200);
  EXPECT_THAT(std::vector<uint8_t>(pixels.begin() + 48, pixels.begin() + 56),
              ElementsAre(0, 30, 60, 90, 120, 150, 180, 210))
      << "red first";
  EXPECT_EQ(Outcome(Import(OpenImageFolder(folder / "photos", {}))), "already-exists") << "their ids are their names";
}

TEST_F(ImagesTest, FitsToASizeWhenTold) {
  const Path photos = WritePictures();
  EXPECT_EQ(Outcome(Import(OpenImageFolder(photos, {.height = 1, .width = 2}))), "bad-example");
  Must(store->Drop("c"));
  Must(Import(OpenImageFolder(photos, {.height = 1, .width = 2, .resize = Resize::kArea, .grey = true})));
  const auto pixels = Values<uint8_t>("image");
  EXPECT_THAT(std::vector<uint8_t>(pixels.begin(), pixels.begin() + 2), ElementsAre(125, 75)) << "means of four";
  const Picture wide{3, 1, {0, 0, 0, 90, 90, 90, 240, 240, 240}};
  EXPECT_THAT(ChannelsOf(Must(Resized(wide, 2, 1, Resize::kArea)), true), ElementsAre(30, 190)) << "(2*0+90)/3, …";
  EXPECT_THAT(ChannelsOf(Must(Resized(wide, 2, 1, Resize::kNearest)), true), ElementsAre(0, 240));
}

TEST_F(ImagesTest, DamagedAndHugeImagesAreNamed) {
  const Path photos = WritePictures();
  const Bytes png = Must(ReadFile(RealFileSystem(), photos / "cat" / "one.png", 1 << 20));
  for (size_t length = 8; length + 12 < png.size(); ++length)
    EXPECT_FALSE(DecodePicture(ByteView(png).first(length))) << length;
  const Bytes jpeg = Must(ReadFile(RealFileSystem(), photos / "ant" / "two.JPG", 1 << 20));
  for (size_t length = 4; length + 4 < jpeg.size(); length += 7)
    EXPECT_FALSE(DecodePicture(ByteView(jpeg).first(length))) << length;
  Write("photos/cat/bad.png", ByteView(png).first(40));
  const Status refused = Import(OpenImageFolder(photos, {}));
  ASSERT_EQ(Outcome(refused), "corrupt");
  EXPECT_THAT(refused.error().message, HasSubstr("cat/bad.png"));
  Must(Import(OpenImageFolder(photos, {}), true));
  EXPECT_EQ(Count(), 3u);
  EXPECT_EQ(left_out, 1u);
  // A head that announces 2^31 - 1 pixels each way; its checksum is right.
  Bytes huge = png;
  for (const size_t at : {size_t{16}, size_t{20}})
    std::copy_n("\x7f\xff\xff\xff", 4, huge.begin() + static_cast<ptrdiff_t>(at));
  const auto crc = static_cast<uint32_t>(crc32(0, huge.data() + 12, 17));
  for (int i = 0; i < 4; ++i) huge[29 + static_cast<size_t>(i)] = static_cast<uint8_t>(crc >> (24 - 8 * i));
  EXPECT_FALSE(DecodePicture(huge));
  Bytes large = png;
  std::copy_n("\0\0\x40\0", 4, large.begin() + 16);
  std::copy_n("\0\0\x40\0", 4, large.begin() + 20);
  const auto large_crc = static_cast<uint32_t>(crc32(0, large.data() + 12, 17));
  for (int i = 0; i < 4; ++i) large[29 + static_cast<size_t>(i)] = static_cast<uint8_t>(large_crc >> (24 - 8 * i));
  EXPECT_EQ(Outcome(DecodePicture(large)), "too-large") << "16,384 x 16,384";
  EXPECT_EQ(Outcome(DecodePicture(AsBytes("GIF89a"))), "not-supported");
  EXPECT_EQ(Outcome(OpenImageFolder(folder / "nothing", {})), "missing-data");
}

class OthersTest : public ImportFixture {};

TEST_F(OthersTest, ASelectWithBlobs) {
  {
    const auto database = Must(Database::Open(folder / "app.db"));
    Must(database->Write("CREATE TABLE t (v BLOB, label INTEGER, who TEXT, temp REAL)"));
    Must(database->Write("INSERT INTO t VALUES (x'0000803f00000040', 3, 'ann', 1.5)"));
    Must(database->Write("INSERT INTO t VALUES (x'0000404000008040', 4, 'bob', NULL)"));
  }
  TableOptions table{
      .fields = {Must(FieldRequest::Parse("v=v:FP32[2]")), Must(FieldRequest::Parse("label=label:INT64"))},
      .targets = {},
      .categories = {},
      .id = {},
      .group = "who"};
  Must(Import(OpenSelect(folder / "app.db", "SELECT * FROM t ORDER BY label DESC", table)));
  EXPECT_THAT(Values<float>("v"), ElementsAre(3, 4, 1, 2));
  EXPECT_THAT(Values<int64_t>("label"), ElementsAre(4, 3));
  EXPECT_EQ(Must(store->RemoveGroup("c", "bob")), 1u);
  const auto outcome = [&](const std::string& sql) { return Outcome(OpenSelect(folder / "app.db", sql, {})); };
  EXPECT_EQ(outcome("DELETE FROM t"), "invalid-argument");
  EXPECT_EQ(outcome(""), "invalid-argument");
  EXPECT_EQ(outcome("SELECT 1; SELECT 2"), "invalid-argument");
  EXPECT_EQ(outcome("SELECT ?"), "invalid-argument");
  EXPECT_EQ(outcome("SELECT no FROM t"), "database");
  Must(store->Drop("c"));
  const auto missing = Import(OpenSelect(folder / "app.db", "SELECT temp FROM t", {}));
  ASSERT_EQ(Outcome(missing), "bad-example");
  EXPECT_THAT(missing.error().message, HasSubstr("row 2"));
}

TEST_F(OthersTest, TextAsTokens) {
  Must(Import(OpenText(Write("t.txt", "abcdefgh"), 3, 2)));
  EXPECT_THAT(Values<int64_t>("tokens"), ElementsAre('a', 'b', 'c', 'c', 'd', 'e', 'e', 'f', 'g'));
  EXPECT_THAT(Values<int64_t>("next"), ElementsAre('b', 'c', 'd', 'd', 'e', 'f', 'f', 'g', 'h'));
  Must(store->Drop("c"));
  Must(Import(OpenText(folder / "t.txt", 2, 5)));
  EXPECT_THAT(Values<int64_t>("tokens"), ElementsAre('a', 'b', 'f', 'g'));
  EXPECT_EQ(Outcome(OpenText(folder / "t.txt", 0, 1)), "invalid-argument");
}

TEST_F(OthersTest, IdxInColour) {
  Bytes images = {0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2};
  for (uint8_t i = 0; i < 12; ++i) images.push_back(i);
  Write("i-ubyte", images);
  Must(Import(OpenIdx(folder / "i-ubyte", Write("l-ubyte", ByteView(Bytes{0, 0, 8, 1, 0, 0, 0, 2, 9, 8})))));
  EXPECT_THAT(Values<uint8_t>("label"), ElementsAre(9, 8));
  EXPECT_EQ(Must(store->Find("c")).settings.fields[0].shape, (std::vector<int64_t>{3, 1, 2}));
}

}  // namespace
}  // namespace tributary::import_test
