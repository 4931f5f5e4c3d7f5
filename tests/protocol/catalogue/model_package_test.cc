#include "protocol/catalogue/model_package.h"

#include <gtest/gtest.h>

#include "tests/protocol/catalogue/small_publication.h"

namespace tributary::model_package_test {
namespace {

ModelPackage SmallPackage() {
  return {SmallTable(), ToBytes(AsBytes(std::string_view("torchscript"))), {1, 2, 3, 4, 5, 6, 7, 8, 9}};
}

TEST(ModelPackageTest, ComesBackAsItWas) {
  const Bytes bytes = EncodeModelPackage(SmallPackage());
  EXPECT_EQ(AsText(ByteView(bytes).first(8)), "TRBPKG1\n");
  const auto package = DecodeModelPackage(bytes);
  ASSERT_TRUE(package) << package.error().ToString();
  EXPECT_EQ(package->table, SmallTable());
  EXPECT_EQ(package->module, SmallPackage().module);
  EXPECT_EQ(package->weights, SmallPackage().weights);
}

TEST(ModelPackageTest, TruncationAtEveryLengthIsMalformed) {
  const Bytes bytes = EncodeModelPackage(SmallPackage());
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(Outcome(DecodeModelPackage(ByteView(bytes).first(length))), "malformed") << length;
  }
}

TEST(ModelPackageTest, AlteredModuleOrWeightsAreNoticed) {
  const Bytes bytes = EncodeModelPackage(SmallPackage());
  for (size_t i = bytes.size() - 36 - 11; i < bytes.size(); ++i) {
    Bytes bent = bytes;
    bent[i] ^= 1;
    EXPECT_EQ(Outcome(DecodeModelPackage(bent)), "digest-mismatch") << i;
  }
}

TEST(ModelPackageTest, ABentHeadIsRefused) {
  const Bytes bytes = EncodeModelPackage(SmallPackage());
  const size_t manifest_end = bytes.size() - 36 - 11;
  for (size_t bit = 0; bit < manifest_end * 8; ++bit) {
    Bytes bent = bytes;
    bent[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    const auto package = DecodeModelPackage(bent);
    // A tensor's name is all that may change without another length or digest.
    if (package) {
      EXPECT_NE(package->table, SmallTable()) << bit;
    } else {
      const Code code = package.error().code;
      EXPECT_TRUE(code == Code::kMalformed || code == Code::kTooLarge || code == Code::kDigestMismatch) << bit;
    }
  }
}

}  // namespace
}  // namespace tributary::model_package_test
