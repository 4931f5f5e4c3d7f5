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

TEST(Codes, KindsHaveNames) {
  std::set<std::string_view> names;
  for (const CodeEntry& entry : AllCodes()) names.insert(CodeKindName(entry.kind));
  EXPECT_EQ(names, (std::set<std::string_view>{"peer", "passing", "environment", "person"}));
}

// The kind decides what is retried, except for a failed environment and for what a device lacks to learn, which a person may bring later.
TEST(Codes, WhatPassesIsRetriedAndWhatSomebodyDidWrongIsNot) {
  const std::set<Code> lacking = {Code::kMissingField, Code::kFewExamples, Code::kBadExample, Code::kNeedsLearner};
  for (const auto& entry : AllCodes()) {
    if (entry.kind == CodeKind::kPassing || lacking.contains(entry.code)) {
      EXPECT_TRUE(entry.transient) << entry.name;
    } else if (entry.kind != CodeKind::kEnvironment) {
      EXPECT_FALSE(entry.transient) << entry.name;
    }
  }
}

// Kinds were once told from the numbers, by a function of its own in each room. The table says the same, but for what
// is named here.
TEST(Codes, KindsAreWhatTheNumbersSaid) {
  // They have numbers of refusals, but the same upload may be taken later, so they do not count as refusals.
  const std::set<Code> passing = {Code::kNoSession,   Code::kDigestMismatch, Code::kChunkOutOfOrder,
                                  Code::kUnknownBlob, Code::kUnknownUpload,  Code::kQuotaExceeded,
                                  Code::kRoundClosed};
  // They have numbers of what passes, but the disk is to blame.
  const std::set<Code> disk = {Code::kDiskFull, Code::kReadOnly, Code::kGaveWay};
  for (const auto& entry : AllCodes()) {
    const CodeKind by_number = entry.code < Code::kBusy           ? CodeKind::kPeer
                               : entry.code < Code::kIo           ? CodeKind::kPassing
                               : entry.code < Code::kConfigSyntax ? CodeKind::kEnvironment
                                                                  : CodeKind::kPerson;
    const CodeKind expected = passing.contains(entry.code) ? CodeKind::kPassing
                              : disk.contains(entry.code)  ? CodeKind::kEnvironment
                                                           : by_number;
    EXPECT_EQ(entry.kind, expected) << entry.name;
    EXPECT_EQ(KindOf(entry.code), entry.kind);
  }
  // The codes that rooms once asked for one by one: the disk of a subscriber, of a drop folder, a connection that was lost.
  for (const Code code : {Code::kDiskFull, Code::kReadOnly, Code::kIo, Code::kPermissions, Code::kDatabase})
    EXPECT_TRUE(IsOfTheEnvironment(code)) << Name(code);
  for (const Code code :
       {Code::kDiskFull, Code::kReadOnly, Code::kDatabase, Code::kUnreachable, Code::kTimeout, Code::kBusy})
    EXPECT_TRUE(IsTransient(code)) << Name(code);
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
