#include "protocol/catalogue/npz_file.h"

#include <gmock/gmock.h>

#include "tests/support/must.h"

namespace tributary::npz_file_test {
namespace {

// Python's tests open one with NumPy; this is what every build writes.
TEST(NpzFile, IsTheSameEverywhere) {
  TensorTable table;
  table.tensors = {{"coef", {1, 2}, 0, 2}, {"b", {}, 2, 1}, {"c", {1}, 3, 1}};
  const Bytes file = Must(EncodeNpz(table, std::vector<float>{1, -2, 0.5, 3}));
  const std::string_view text = AsText(file);
  EXPECT_THAT(text, testing::StartsWith(std::string_view("PK\x03\x04\x14\0\0\x08\0\0\0\0\x21\0", 14)));
  EXPECT_THAT(text, testing::HasSubstr(std::string("coef.npy\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }", 73)));
  EXPECT_THAT(text, testing::HasSubstr("'shape': (), }"));
  EXPECT_THAT(text, testing::HasSubstr("'shape': (1,), }"));
  // The values begin at a multiple of 64 bytes behind the head's begin.
  EXPECT_EQ(text.find("PK\x03\x04", 1) - text.find("\x93NUMPY"), 128u + 8);
  EXPECT_THAT(text, testing::EndsWith(std::string_view("\0\0", 2)));
  EXPECT_EQ(ToHex(ByteView(file).last(22).first(12)), "504b05060000000003000300");
}

}  // namespace
}  // namespace tributary::npz_file_test
