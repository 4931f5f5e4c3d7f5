#include "protocol/base/code.h"

#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace tributary::code_test {
namespace {

// The enumerators as they stand in the header, so that a code without an entry cannot be forgotten.
std::set<int> NumbersInHeader() {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/protocol/base/code.h");
  std::set<int> numbers;
  for (std::string line; std::getline(file, line);) {
    const size_t name = line.find("  k");
    const size_t equals = line.find(" = ");
    if (name == 0 && equals != std::string::npos) numbers.insert(std::stoi(line.substr(equals + 3)));
  }
  return numbers;
}

TEST(Codes, EveryEnumeratorHasAnEntryAndNothingElseHas) {
  std::set<int> listed;
  for (const auto& entry : AllCodes()) listed.insert(static_cast<int>(entry.code));
  EXPECT_EQ(listed, NumbersInHeader());
  EXPECT_GT(listed.size(), 50u);
}

TEST(Codes, AreInNumericOrderWithUniqueNames) {
  std::set<std::string_view> names;
  int last = 0;
  for (const auto& entry : AllCodes()) {
    EXPECT_GT(static_cast<int>(entry.code), last);
    last = static_cast<int>(entry.code);
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
  }
}

TEST(Codes, NamesAndSentencesHaveTheirForm) {
  for (const auto& entry : AllCodes()) {
    EXPECT_EQ(entry.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"), std::string_view::npos) << entry.name;
    EXPECT_TRUE(entry.sentence.ends_with('.')) << entry.name;
    EXPECT_TRUE(entry.remedy.ends_with('.')) << entry.name;
  }
}

TEST(Codes, AreFoundByNameAndNumber) {
  for (const auto& entry : AllCodes()) {
    EXPECT_EQ(CodeByName(entry.name), entry.code);
    EXPECT_EQ(CodeByNumber(static_cast<uint16_t>(entry.code)), entry.code);
    EXPECT_EQ(Name(entry.code), entry.name);
    EXPECT_EQ(IsTransient(entry.code), entry.transient);
  }
  EXPECT_EQ(CodeByName("no-such-code"), std::nullopt);
  EXPECT_EQ(CodeByName(""), std::nullopt);
  EXPECT_EQ(CodeByNumber(0), std::nullopt);
  EXPECT_EQ(CodeByNumber(65'535), std::nullopt);
}

// A few numbers are pinned: they are on the wire and may never change.
TEST(Codes, NumbersOnTheWireStay) {
  EXPECT_EQ(static_cast<int>(Code::kMalformed), 1);
  EXPECT_EQ(static_cast<int>(Code::kSealBroken), 14);
  EXPECT_EQ(static_cast<int>(Code::kDuplicate), 21);
  EXPECT_EQ(static_cast<int>(Code::kBusy), 50);
  EXPECT_EQ(static_cast<int>(Code::kIo), 70);
  EXPECT_EQ(static_cast<int>(Code::kConfigUnknownKey), 91);
}

}  // namespace
}  // namespace tributary::code_test
