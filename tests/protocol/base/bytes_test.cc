#include "protocol/base/bytes.h"

#include <rapidcheck.h>

#include <gtest/gtest.h>

namespace tributary::bytes_test {
namespace {

TEST(Hex, KnownAnswers) {
  EXPECT_EQ(ToHex(Bytes{0x00, 0x7f, 0xff, 0xa0}), "007fffa0");
  EXPECT_EQ(ToHex({}), "");
  EXPECT_EQ(*FromHex("00aAfF"), (Bytes{0x00, 0xaa, 0xff}));
}

TEST(Hex, GoesThereAndBack) {
  EXPECT_TRUE(rc::check([](const Bytes& bytes) { RC_ASSERT(*FromHex(ToHex(bytes)) == bytes); }));
}

TEST(Hex, RefusesOddLengthsAndOtherCharacters) {
  for (std::string_view text : {"0", "abc", "0g", "g0", " 0", "0x", "--", "\xff\xff"}) {
    const auto bytes = FromHex(text);
    ASSERT_FALSE(bytes.has_value()) << text;
    EXPECT_EQ(bytes.error().code, Code::kMalformed);
  }
}

TEST(LittleEndian, KnownAnswers) {
  Bytes bytes;
  AppendU32(bytes, 0x01020304);
  AppendU64(bytes, 0x1122334455667788);
  EXPECT_EQ(ToHex(bytes), "040302018877665544332211");
}

TEST(LittleEndian, TakesWhatWasAppendedAndNoMore) {
  EXPECT_TRUE(rc::check([](uint32_t small, uint64_t large, const Bytes& rest) {
    Bytes bytes;
    AppendU32(bytes, small);
    AppendU64(bytes, large);
    Append(bytes, rest);
    ByteView view = bytes;
    RC_ASSERT(*TakeU32(view) == small);
    RC_ASSERT(*TakeU64(view) == large);
    RC_ASSERT(ToBytes(*TakeBytes(view, rest.size())) == rest);
    RC_ASSERT(view.empty());
    RC_ASSERT(TakeBytes(view, 1).error().code == Code::kMalformed);
  }));
}

TEST(LittleEndian, AShortViewIsRefusedAndLeftAsItIs) {
  const Bytes bytes(7);
  ByteView view = bytes;
  EXPECT_EQ(TakeU64(view).error().code, Code::kMalformed);
  EXPECT_EQ(view.size(), 7u);
}

TEST(FloatBytes, AreTheLittleEndianRepresentation) {
  const std::vector<float> values = {1.0f, -2.0f};
  EXPECT_EQ(ToHex(AsBytes(values)), "0000803f000000c0");
}

}  // namespace
}  // namespace tributary::bytes_test
