#include "protocol/base/plain_text.h"

#include <gtest/gtest.h>

namespace tributary::plain_text_test {
namespace {

TEST(PlainText, WhatPrintsStaysAsItIs) {
  for (const char* text : {"", "digits", "Ünïcode, 日本語, 🚲 …", "a ~ z", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(CheckPlainText(text, "a text")) << text;
    EXPECT_EQ(PlainText(text), text);
    EXPECT_TRUE(IsUtf8(text));
  }
}

TEST(PlainText, NoControlCharacterLineSeparatorOrDirectionPasses) {
  for (int c = 0; c < 0x20; ++c) {
    const std::string text = {'a', static_cast<char>(c), 'b'};
    EXPECT_FALSE(CheckPlainText(text, "a text")) << c;
    EXPECT_EQ(PlainText(text), "a?b") << c;
  }
  for (const char* bad :
       {"\x7F", "\xC2\x80", "\xC2\x9B", "\xC2\x9F", "\xD8\x9C", "\xE2\x80\x8E", "\xE2\x80\x8F", "\xE2\x80\xA8",
        "\xE2\x80\xA9", "\xE2\x80\xAA", "\xE2\x80\xAB", "\xE2\x80\xAC", "\xE2\x80\xAD", "\xE2\x80\xAE", "\xE2\x81\xA6",
        "\xE2\x81\xA7", "\xE2\x81\xA8", "\xE2\x81\xA9"}) {
    const Status checked = CheckPlainText(std::string("a") + bad, "a reason");
    ASSERT_FALSE(checked) << bad;
    EXPECT_EQ(checked.error().code, Code::kMalformed);
    EXPECT_EQ(checked.error().message, "a reason holds characters that do not print");
    EXPECT_EQ(PlainText(std::string("a") + bad + "b"), "a?b");
    EXPECT_TRUE(IsUtf8(bad));
  }
  EXPECT_EQ(PlainText("one\ntwo\r\n", LineBreaks::kKept), "one\ntwo?\n");
}

TEST(PlainText, WhatIsNoUtf8IsNoText) {
  // Stray, short, overlong, a surrogate, beyond the last code point.
  for (const char* bad : {"\x80", "\xFF", "\xC3", "\xC0\x80", "\xC1\xBF", "\xE0\x80\xAF", "\xE2\x82", "\xED\xA0\x80",
                          "\xF0\x80\x80\xAF", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
    EXPECT_EQ(CheckPlainText(bad, "a name").error().message, "a name is not UTF-8");
    EXPECT_TRUE(CheckPlainText(PlainText(std::string(bad) + "!"), "a name"));
    EXPECT_TRUE(PlainText(std::string(bad) + "!").ends_with("?!"));
  }
}

TEST(PlainText, ACutLeavesWholeCharacters) {
  EXPECT_EQ(Beginning("abc", 5), "abc");
  EXPECT_EQ(Beginning("abc", 2), "ab");
  EXPECT_EQ(Beginning("a日b", 3), "a");
  EXPECT_EQ(Beginning("a日b", 4), "a日");
}

}  // namespace
}  // namespace tributary::plain_text_test
