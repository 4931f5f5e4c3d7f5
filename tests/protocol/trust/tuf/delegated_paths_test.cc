#include "protocol/trust/tuf/delegated_paths.h"

#include <rapidcheck.h>

#include <gtest/gtest.h>

#include "protocol/trust/tuf/metadata.h"
#include "tests/support/must.h"
#include "tests/support/test_fleet.h"

namespace tributary::tuf::delegated_paths_test {
namespace {

TEST(PathPatternTest, PatternsMatchWithinOnePartOfAPath) {
  const auto covers = [](std::string pattern, std::string_view path) {
    return Covers(PathPatterns{{"never", std::move(pattern)}}, path);
  };
  EXPECT_TRUE(covers("rounds/*", "rounds/catalogue"));
  EXPECT_TRUE(covers("models/*/*", "models/digits/module.pt"));
  EXPECT_TRUE(covers("models/*/*.pt", "models/digits/module.pt"));
  EXPECT_TRUE(covers("*a*b*", "xxaxxbxx"));
  EXPECT_TRUE(covers("a?c", "abc"));
  EXPECT_TRUE(covers("*", ""));
  EXPECT_FALSE(covers("rounds/*", "rounds/a/b"));
  EXPECT_FALSE(covers("rounds/*", "rounds"));
  EXPECT_FALSE(covers("rounds/*", "releases/x"));
  EXPECT_FALSE(covers("*", "a/b"));
  EXPECT_FALSE(covers("a?c", "ac"));
  EXPECT_FALSE(covers("a?c", "a/c"));
  EXPECT_FALSE(covers("*a*b*", "xxbxxaxx"));
  EXPECT_FALSE(covers(std::string(2'000, '*') + "b", std::string(2'000, 'a')));
}

// The digests are what `printf %s PATH | openssl dgst -sha256` says.
const std::pair<const char*, const char*> kDigests[] = {
    {"models/digits/module.pt", "c75cc50e6f267c2ac12be4580fe21d3a1a749b290cc9dc15aa65274967506f0b"},
    {"models/digits/3.weights", "9fd28a18ca4fe699ed24f98c541af4f6ffefa113d3dac9aea69b680429cdf0d7"},
    {"rounds/catalogue", "15d6c717e5584ec310e413be63b782459d43cd099eb2bd5634d832c9e0c630b6"},
    {"releases/1.0", "aca1c44905fe7a18d1b4b48d8602d9c9dba0e4591f1643aa6a43b58ec5f19550"},
};

TEST(PathHashPrefixTest, APathIsCoveredByEveryBeginningOfItsDigestAndNoOther) {
  for (const auto& [path, hex] : kDigests) {
    const std::string digest = hex;
    for (size_t size = 1; size <= digest.size(); ++size) {
      EXPECT_TRUE(Covers(PathHashPrefixes{{digest.substr(0, size)}}, path)) << path << " " << size;
      std::string other = digest.substr(0, size);
      other.back() = other.back() == '0' ? '1' : '0';
      EXPECT_FALSE(Covers(PathHashPrefixes{{other}}, path)) << path << " " << other;
    }
    EXPECT_FALSE(Covers(PathHashPrefixes{{digest.substr(1, 8)}}, path)) << "a prefix, not any part";
    EXPECT_FALSE(Covers(PathHashPrefixes{}, path));
    EXPECT_TRUE(Covers(PathHashPrefixes{{"f00", digest.substr(0, 2), "0"}}, path)) << "any of them";
  }
}

// The sixteen one-digit prefixes are bins: every path is in exactly one.
TEST(PathHashPrefixTest, BinsDivideThePaths) {
  EXPECT_TRUE(rc::check("one of sixteen bins", [](const std::string& path) {
    int bins = 0;
    for (const char digit : std::string("0123456789abcdef")) {
      bins += Covers(PathHashPrefixes{{std::string(1, digit)}}, path);
    }
    RC_ASSERT(bins == 1);
  }));
}

// ---- in a file

constexpr std::string_view kPublic = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

Targets Delegating(DelegatedPaths paths) {
  Targets targets{2, kTestStart, {}, {}, {}};
  Delegation delegation{"bin", {}, std::move(paths), false};
  AddKey(Must(FromHex(kPublic)), targets.keys, delegation.role);
  targets.delegations = {delegation};
  return targets;
}

// The file with `members` in the place of the delegation's paths; or its refusal.
Result<Metadata<Targets>> Parsed(std::string_view members) {
  std::string text = "{\"signatures\":[],\"signed\":" + MakeMetadata(Delegating(PathPatterns{})).signed_text + "}";
  constexpr std::string_view kNone = "\"paths\":[]";
  const size_t at = text.find(kNone);
  TRIBUTARY_CHECK(at != std::string::npos) << text;
  return ParseMetadata<Targets>(AsBytes(text.replace(at, kNone.size(), members)));
}

TEST(DelegatedPathsTest, EitherFormComesBackAsItWasWritten) {
  const auto digits = rc::gen::elementOf(std::string("0123456789abcdef"));
  const auto prefix = rc::gen::mapcat(rc::gen::inRange<size_t>(1, 65),
                                      [=](size_t size) { return rc::gen::container<std::string>(size, digits); });
  const auto plain = rc::gen::container<std::string>(rc::gen::inRange<char>(' ', 'Z'));
  EXPECT_TRUE(rc::check("parse(encode(x)) == x", [&] {
    const bool hashed = *rc::gen::arbitrary<bool>();
    DelegatedPaths paths;
    if (hashed) {
      paths = PathHashPrefixes{*rc::gen::container<std::vector<std::string>>(prefix)};
    } else {
      paths = PathPatterns{*rc::gen::container<std::vector<std::string>>(plain)};
    }
    const auto made = MakeMetadata(Delegating(paths));
    const auto parsed = ParseMetadata<Targets>(EncodeMetadata(made));
    RC_ASSERT(parsed.has_value());
    RC_ASSERT(parsed->body == made.body);
    RC_ASSERT(parsed->signed_text == made.signed_text);
    RC_ASSERT((made.signed_text.find("\"path_hash_prefixes\"") != std::string::npos) == hashed);
    RC_ASSERT((made.signed_text.find("\"paths\"") != std::string::npos) != hashed);
  }));
}

TEST(DelegatedPathsTest, ThereIsExactlyOneForm) {
  ASSERT_TRUE(Parsed(R"("path_hash_prefixes":["0a"])"));
  const auto both = Parsed(R"("paths":["x"],"path_hash_prefixes":["0a"])");
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().code, Code::kMalformed);
  EXPECT_NE(both.error().message.find("both of paths and path_hash_prefixes"), std::string::npos);
  const auto neither = Parsed(R"("other":[])");
  ASSERT_FALSE(neither);
  EXPECT_EQ(neither.error().code, Code::kMalformed);
  EXPECT_NE(neither.error().message.find("neither of paths and path_hash_prefixes"), std::string::npos);
}

// A pattern that one client takes for a set of characters and another for itself would be two delegations.
TEST(DelegatedPathsTest, APatternHasNoOtherWildcardsThanStarAndQuestionMark) {
  ASSERT_TRUE(Parsed(R"("paths":["a*/b?.{x}-(1)!"])"));
  for (const char* bad :
       {R"("paths":["a/[bc]"])", R"("paths":["x","[!a]*"])", R"("paths":["a\\*"])", R"("paths":["a]"])"}) {
    const auto parsed = Parsed(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Code::kMalformed);
    EXPECT_NE(parsed.error().message.find("path pattern"), std::string::npos) << parsed.error().message;
  }
}

TEST(DelegatedPathsTest, APrefixIsOneToSixtyFourLowerCaseHexadecimalDigits) {
  const auto prefix = [](const std::string& text) { return Parsed("\"path_hash_prefixes\":[\"0\",\"" + text + "\"]"); };
  for (const std::string& good : {std::string("0"), std::string("00a"), std::string(64, 'f')}) {
    EXPECT_TRUE(prefix(good)) << good;
  }
  for (const std::string& bad : {std::string(), std::string("0A"), std::string("g"), std::string(" 0"),
                                 std::string("0x0"), std::string("*"), std::string(65, 'f')}) {
    const auto parsed = prefix(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Code::kMalformed);
    EXPECT_NE(parsed.error().message.find("lower-case hexadecimal"), std::string::npos) << parsed.error().message;
  }
  for (const char* other :
       {R"("path_hash_prefixes":"0a")", R"("path_hash_prefixes":[1])", R"("path_hash_prefixes":{})"}) {
    const auto parsed = Parsed(other);
    ASSERT_FALSE(parsed) << other;
    EXPECT_EQ(parsed.error().code, Code::kMalformed);
  }
}

}  // namespace
}  // namespace tributary::tuf::delegated_paths_test
