#include "protocol/base/ids.h"

#include <rapidcheck.h>

#include <type_traits>
#include <unordered_set>

#include <gtest/gtest.h>

namespace tributary::ids_test {
namespace {

static_assert(!std::is_convertible_v<DeviceId, TaskId> && !std::is_constructible_v<TaskId, DeviceId>);
static_assert(!std::is_convertible_v<Digest, UploadId> && !std::is_convertible_v<std::string, DeviceId>);
static_assert(!std::is_convertible_v<uint64_t, ModelVersion>);

TEST(Name64, TakesNamesThatStandInAPathAsTheyAre) {
  for (const std::string& name : {std::string("a"), std::string("0"), std::string("dev-1_x.y"), std::string(64, 'z')}) {
    const auto id = DeviceId::Parse(name);
    ASSERT_TRUE(id.has_value()) << name;
    EXPECT_EQ(id->text(), name);
  }
}

TEST(Name64, RefusesEverythingElse) {
  for (const std::string& name :
       {std::string(), std::string(65, 'z'), std::string("A"), std::string("a b"), std::string("a/b"),
        std::string(".."), std::string("-a"), std::string("_a"), std::string("a\n"), std::string("a\0b", 3),
        std::string("\xc3\xa9"), std::string("a:b")}) {
    const auto id = TaskId::Parse(name);
    ASSERT_FALSE(id.has_value()) << name;
    EXPECT_EQ(id.error().code, Code::kMalformed);
    EXPECT_EQ(id.error().message.rfind("task id '", 0), 0u);
  }
}

TEST(Name64, AcceptsExactlyItsAlphabet) {
  EXPECT_TRUE(rc::check([](const std::string& text) {
    const auto in = [](char c, std::string_view set) { return set.find(c) != std::string_view::npos; };
    constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyz0123456789";
    constexpr std::string_view kRest = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    bool good = !text.empty() && text.size() <= 64 && in(text[0], kFirst);
    for (char c : text) good = good && in(c, kRest);
    RC_ASSERT(DeviceId::Parse(text).has_value() == good);
  }));
}

TEST(FixedId, GoesThroughBytesAndHex) {
  EXPECT_TRUE(rc::check([](const std::array<uint8_t, 16>& bytes) {
    const UploadId id(bytes);
    RC_ASSERT(*UploadId::FromHex(id.hex()) == id);
    RC_ASSERT(*UploadId::FromBytes(id.view()) == id);
  }));
}

TEST(FixedId, RefusesOtherSizes) {
  EXPECT_EQ(Digest::FromBytes(Bytes(31)).error().code, Code::kMalformed);
  EXPECT_EQ(Digest::FromBytes(Bytes(33)).error().code, Code::kMalformed);
  EXPECT_EQ(KeyId::FromHex("0011").error().code, Code::kMalformed);
  EXPECT_EQ(KeyId::FromHex("zz11223344556677").error().code, Code::kMalformed);
}

TEST(FixedId, ComparesAsBytes) {
  EXPECT_LT(*KeyId::FromHex("0000000000000001"), *KeyId::FromHex("0100000000000000"));
  EXPECT_EQ(KeyId(), *KeyId::FromHex("0000000000000000"));
}

TEST(ModelVersion, Counts) {
  EXPECT_EQ(Number(Next(ModelVersion{41})), 42u);
  EXPECT_EQ(Number(ModelVersion{}), 0u);
}

TEST(IdHash, ServesSets) {
  std::unordered_set<DeviceId, IdHash> names = {*DeviceId::Parse("a"), *DeviceId::Parse("b"), *DeviceId::Parse("a")};
  EXPECT_EQ(names.size(), 2u);
  std::unordered_set<UploadId, IdHash> uploads = {UploadId(), UploadId()};
  EXPECT_EQ(uploads.size(), 1u);
}

}  // namespace
}  // namespace tributary::ids_test
