#include "protocol/payload/device_state.h"

#include <rapidcheck.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/envelope.capnp.h"
#include "tests/protocol/envelope/small_upload.h"

namespace tributary::payload_device_state_test {
namespace {

Digest SomeDigest(uint64_t seed) {
  Digest digest;
  SeededRandom(seed).Fill(digest.mutable_view());
  return digest;
}

DeviceState SmallReport() {
  DeviceState report;
  report.sequence = 7;
  report.boots = 3;
  report.root_version = 2;
  report.publication_number = 41;
  report.time_floor = kTestStart;
  report.withheld = "the publication expired";
  report.installed[TestTask("digits")] = {ModelVersion{5}, SomeDigest(1)};
  report.installed[TestTask("faces")] = {ModelVersion{1}, SomeDigest(2)};
  report.counters = {{"fits", 4}, {"uploads_delivered", 8}};
  report.rejections[Code::kRollback] = {2, "number 3 after 41", kTestStart};
  report.failures[TestTask("digits")] = {Code::kFewExamples, "3 examples, 48 are asked for", 1, ModelVersion{5},
                                         kTestStart};
  report.failures[TestTask("faces")] = {Code::kLearnerMemory, "it needed 2 GiB", 3, ModelVersion{1}, kTestStart, true};
  return report;
}

std::string Decoded(const DeviceState& report) { return Outcome(DecodeDeviceState(EncodeDeviceState(report))); }

template <class Change>
DeviceState With(Change change) {
  DeviceState report = SmallReport();
  change(report);
  return report;
}

TEST(DeviceReportTest, ComesBackAsItWas) {
  const auto report = DecodeDeviceState(EncodeDeviceState(SmallReport()));
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(*report, SmallReport());
}

TEST(DeviceReportTest, AnyCountsComeBack) {
  EXPECT_TRUE(rc::check([](const std::map<uint16_t, uint32_t>& counts, uint32_t sequence) {
    DeviceState report;
    report.sequence = uint64_t{sequence} + 1;
    for (const auto& [name, count] : counts) {
      if (report.counters.size() < limits::kDeviceStateCounters) report.counters["c" + std::to_string(name)] = count;
    }
    const auto again = DecodeDeviceState(EncodeDeviceState(report));
    RC_ASSERT(again.has_value());
    RC_ASSERT(*again == report);
  }));
}

TEST(DeviceReportTest, NumbersThatMeanNothingAreMalformed) {
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.sequence = 0; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.sequence = limits::kCounter + 1; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.boots = ~uint64_t{0}; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.time_floor = {-1}; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.counters["fits"] = limits::kCounter + 1; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.counters["no spaces"] = 1; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.installed.begin()->second.version = ModelVersion{0}; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.rejections[Code::kRollback].last = {-1}; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.failures.begin()->second.count = 0; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.failures.begin()->second.count = limits::kCounter + 1; })),
            "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.failures.begin()->second.version = ModelVersion{0}; })), "malformed");
  EXPECT_EQ(Decoded(With([](DeviceState& r) { r.failures.begin()->second.last = {-1}; })), "malformed");
}

TEST(DeviceReportTest, SentencesTravelShortAndPrintable) {
  const auto report = DecodeDeviceState(EncodeDeviceState(With([](DeviceState& r) {
    r.withheld = "a\nb\x1b[2J\xff";
    r.rejections[Code::kRollback].last_sentence = std::string(10'000, 'x');
    r.failures[TestTask("digits")].sentence = "row 7\n" + std::string(10'000, 'x');
  })));
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->withheld, "a?b?[2J?");
  EXPECT_EQ(report->rejections.at(Code::kRollback).last_sentence, std::string(limits::kSentenceBytes, 'x'));
  EXPECT_EQ(report->failures.at(TestTask("digits")).sentence, "row 7?" + std::string(limits::kSentenceBytes - 6, 'x'));
}

TEST(DeviceReportTest, WithoutFailuresItHasTheFormOfOlderWriters) {
  const auto without = With([](DeviceState& r) { r.failures.clear(); });
  const Bytes bytes = EncodeDeviceState(without);
  // Root pointer, then the struct: as many pointers as before there were failures.
  const auto pointers = static_cast<uint16_t>(bytes.at(6) | bytes.at(7) << 8);
  EXPECT_EQ(pointers, 4);
  EXPECT_EQ(DecodeDeviceState(bytes), without);
}

TEST(DeviceReportTest, AnEmptyListOfFailuresIsMalformed) {
  const Bytes bytes = wire::EncodeCanonical<schema::DeviceState>([](schema::DeviceState::Builder to) {
    to.setSequence(1);
    to.initFailures(0);
  });
  EXPECT_EQ(Outcome(DecodeDeviceState(bytes)), "malformed");
}

// Lists of failures that a peer made: codes and tasks of our choice.
Bytes WithFailures(const std::vector<std::pair<std::string, uint16_t>>& failures) {
  return wire::EncodeCanonical<schema::DeviceState>([&](schema::DeviceState::Builder to) {
    to.setSequence(1);
    auto list = to.initFailures(static_cast<unsigned>(failures.size()));
    for (unsigned i = 0; const auto& [task, code] : failures) {
      auto one = list[i++];
      one.setTask(task);
      one.setCode(code);
      one.setVersion(1);
      one.setCount(1);
    }
  });
}

TEST(DeviceReportTest, FailuresAreOrderedBoundedAndOfTasks) {
  constexpr auto kCode = static_cast<uint16_t>(Code::kBadExample);
  EXPECT_EQ(Outcome(DecodeDeviceState(WithFailures({{"a", kCode}, {"b", kCode}}))), "ok");
  EXPECT_EQ(Outcome(DecodeDeviceState(WithFailures({{"b", kCode}, {"a", kCode}}))), "malformed");
  EXPECT_EQ(Outcome(DecodeDeviceState(WithFailures({{"a", kCode}, {"a", kCode}}))), "malformed");
  EXPECT_EQ(Outcome(DecodeDeviceState(WithFailures({{"No Name", kCode}}))), "malformed");
  std::vector<std::pair<std::string, uint16_t>> many;
  for (size_t i = 0; i <= limits::kDeviceStateFailures; ++i) many.emplace_back(fmt::format("t{:03}", i), kCode);
  EXPECT_EQ(Outcome(DecodeDeviceState(WithFailures(many))), "too-large");
}

TEST(DeviceReportTest, AFailureOfACodeThatIsNewerIsLeftOut) {
  const auto report = DecodeDeviceState(WithFailures({{"a", 60'000}, {"b", static_cast<uint16_t>(Code::kNotFinite)}}));
  ASSERT_TRUE(report) << report.error().ToString();
  ASSERT_EQ(report->failures.size(), 1u);
  EXPECT_EQ(report->failures.begin()->second.code, Code::kNotFinite);
}

TEST(DeviceReportTest, SentencesThatAPeerMadeOtherwiseAreMalformed) {
  Bytes bytes = EncodeDeviceState(SmallReport());
  const std::string_view word = "publication expired";
  const auto found = std::ranges::search(bytes, AsBytes(word));
  ASSERT_FALSE(found.empty());
  for (const uint8_t bad : {0x00, 0x0a, 0x1b, 0x7f, 0xff}) {
    found.front() = bad;
    EXPECT_EQ(Outcome(DecodeDeviceState(bytes)), "malformed") << int{bad};
  }
}

TEST(DeviceReportTest, TheFullestReportFits) {
  DeviceState report = SmallReport();
  report.withheld = std::string(limits::kSentenceBytes, 'w');
  report.installed.clear();
  for (size_t i = 0; i < limits::kTasks; ++i) {
    const std::string number = std::to_string(i);
    report.installed[TestTask(std::string(64 - number.size(), 't') + number)] = {ModelVersion{1}, SomeDigest(i)};
  }
  report.counters.clear();
  for (size_t i = 0; i < limits::kDeviceStateCounters; ++i) {
    const std::string number = std::to_string(i);
    report.counters[std::string(64 - number.size(), 'c') + number] = limits::kCounter;
  }
  report.rejections.clear();
  for (const CodeEntry& entry : AllCodes()) {
    if (report.rejections.size() == limits::kDeviceStateRejections) break;
    report.rejections[entry.code] = {limits::kCounter, std::string(limits::kSentenceBytes, 's'), kTestStart};
  }
  report.failures.clear();
  for (size_t i = 0; i < limits::kDeviceStateFailures; ++i) {
    const std::string number = std::to_string(i);
    report.failures[TestTask(std::string(64 - number.size(), 't') + number)] = {
        Code::kBadExample, std::string(limits::kSentenceBytes, 's'), limits::kCounter, ModelVersion{1}, kTestStart};
  }
  EXPECT_EQ(Decoded(report), "ok");
  EXPECT_EQ(Outcome(DecodeDeviceState(Bytes(limits::kRecordBytes + 8))), "too-large");
}

TEST(DeviceReportTest, TruncationAtEveryLengthIsMalformed) {
  const Bytes bytes = EncodeDeviceState(SmallReport());
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(Outcome(DecodeDeviceState(ByteView(bytes).first(length))), "malformed") << length;
  }
}

// OrderOf's verdict on a report that differs from the kept SmallReport as `change` makes it.
template <class Change>
std::string Order(uint64_t sequence, Change change) {
  const auto order = OrderOf(SmallReport(), With([&](DeviceState& report) {
                               report.sequence = sequence;
                               change(report);
                             }));
  if (!order) return std::string(Name(order.error().code)) + ": " + order.error().message;
  return *order == DeviceStateOrder::kNext ? "next" : "late";
}

TEST(DeviceReportTest, ALaterReportCannotSayLess) {
  EXPECT_EQ(Order(8, [](DeviceState&) {}), "next");
  EXPECT_EQ(Order(8, [](DeviceState& r) { r.withheld.clear(); }), "next");
  EXPECT_EQ(Order(8, [](DeviceState& r) { r.failures.clear(); }), "next") << "a failure may go away";
  EXPECT_EQ(Order(7, [](DeviceState&) {}), "report-rolled-back: sequence 7 was used before");
  EXPECT_EQ(Order(8, [](DeviceState& r) { r.boots = 2; }), "report-rolled-back: boots went back from 3 to 2");
  EXPECT_EQ(Order(8, [](DeviceState& r) { r.publication_number = 40; }),
            "report-rolled-back: the publication went back from 2/41 to 2/40");
  EXPECT_EQ(Order(8, [](DeviceState& r) { r.time_floor.unix_millis -= 1; }),
            "report-rolled-back: the time floor went back");
  EXPECT_EQ(Order(8, [](DeviceState& r) { r.counters["fits"] = 3; }), "report-rolled-back: fits went back from 4 to 3");
  EXPECT_EQ(Order(8, [](DeviceState& r) { r.counters.erase("fits"); }),
            "report-rolled-back: fits went back from 4 to 0");
  EXPECT_EQ(Order(8, [](DeviceState& r) { r.rejections.clear(); }),
            "report-rolled-back: rollback went back from 2 to 0");
  // After the fleet recovered from a stolen key, numbers begin anew under a newer root.
  EXPECT_EQ(Order(8,
                  [](DeviceState& r) {
                    r.root_version = 3;
                    r.publication_number = 1;
                  }),
            "next");
}

TEST(DeviceReportTest, ALateReportCannotSayMore) {
  EXPECT_EQ(Order(6, [](DeviceState& r) { r.counters["fits"] = 3; }), "late");
  EXPECT_EQ(Order(6, [](DeviceState& r) { r.boots = 1; }), "late");
  EXPECT_EQ(Order(6, [](DeviceState& r) { r.counters["fits"] = 5; }), "report-rolled-back: fits went back from 5 to 4");
}

}  // namespace
}  // namespace tributary::payload_device_state_test
