#include "protocol/trust/tuf/canonical_json.h"

#include <rapidcheck.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/base/json.h"

namespace tributary::tuf::canonical_json_test {
namespace {

using Json = nlohmann::json;

// The canonical form of a text, or the code of its refusal.
std::string Canonical(std::string_view text) {
  const Result<Json> json = ParseJson(AsBytes(text), JsonForm::kMetadata);
  return json ? CanonicalText(*json) : std::string(Name(json.error().code));
}

TEST(CanonicalJsonTest, HasNoSpacesAndItsNamesInOrder) {
  EXPECT_EQ(Canonical(" { \"b\" : [ 1 , -2, true , false,null ] ,\n\"a\":{}, \"B\" : \"x\" } "),
            R"({"B":"x","a":{},"b":[1,-2,true,false,null]})");
  EXPECT_EQ(Canonical(R"({"é":1,"z":2,"𝄞":3,"ﬀ":4})"), R"({"z":2,"é":1,"ﬀ":4,"𝄞":3})") << "by code points";
}

TEST(CanonicalJsonTest, EscapesOnlyQuoteAndBackslash) {
  EXPECT_EQ(Canonical(R"("a\"b\\c\/d\u00e9")"), R"("a\"b\\c/dé")");
  EXPECT_EQ(Canonical("\"\x7f\""), "\"\x7f\"");
}

TEST(CanonicalJsonTest, WhatTwoReadersCouldReadInTwoWaysIsRefused) {
  for (const char* text : {R"({"a":1,"a":1})",
                           R"({"a":1,"\u0061":2})",
                           "1.0",
                           "1e3",
                           "9007199254740992",
                           "-9007199254740992",
                           "9223372036854775808",
                           "18446744073709551615",
                           "18446744073709551616",
                           R"("a\nb")",
                           R"({"a\tb":1})",
                           "\"\\u0000\"",
                           "[1,]",
                           "{'a':1}",
                           "01",
                           "nul",
                           "",
                           "[1] x",
                           "\"\xff\"",
                           "\"\\ud800\"",
                           "NaN",
                           "[",
                           "{\"a\"}"}) {
    EXPECT_EQ(Canonical(text), "malformed") << text;
  }
  EXPECT_EQ(Canonical("9007199254740991"), "9007199254740991");
}

TEST(CanonicalJsonTest, NestingIsBounded) {
  EXPECT_EQ(Canonical(std::string(32, '[') + std::string(32, ']')), std::string(32, '[') + std::string(32, ']'));
  EXPECT_EQ(Canonical(std::string(33, '[') + std::string(33, ']')), "malformed");
  EXPECT_EQ(Canonical(std::string(1'000'000, '[')), "malformed");
}

// A stranger may send it before any signature is looked at. What costs the square of it would take hours here.
TEST(CanonicalJsonTest, AMillionEmptyObjectsCostAsMuchAsTheyAreLong) {
  std::string text = "[{}";
  for (int i = 1; i < 1'000'000; ++i) text += ",{}";
  text += "]";
  EXPECT_EQ(Canonical(text), text);
}

Json AnyJson(int depth) {
  switch (*rc::gen::inRange(0, depth == 0 ? 4 : 6)) {
    case 0:
      return {};
    case 1:
      return *rc::gen::arbitrary<bool>();
    case 2:
      return *rc::gen::inRange<int64_t>(-kLargestNumber, kLargestNumber);
    case 3:
      return *rc::gen::container<std::string>(rc::gen::inRange<char>(0x20, 0x7f));
    case 4: {
      Json array = Json::array();
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) array.push_back(AnyJson(depth - 1));
      return array;
    }
    default: {
      Json object = Json::object();
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
        object[*rc::gen::container<std::string>(rc::gen::inRange<char>(0x20, 0x7f))] = AnyJson(depth - 1);
      }
      return object;
    }
  }
}

TEST(CanonicalJsonTest, IsJsonThatSaysTheSame) {
  EXPECT_TRUE(rc::check("parse(canonical(x)) == x", [] {
    const Json json = AnyJson(4);
    const auto again = ParseJson(AsBytes(CanonicalText(json)), JsonForm::kMetadata);
    RC_ASSERT(again.has_value());
    RC_ASSERT(*again == json);
  }));
}

}  // namespace
}  // namespace tributary::tuf::canonical_json_test
