#include "aggregator/api/audit_log.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tests/support/must.h"
#include "tests/support/power_disk.h"
#include "tests/support/temporary_folder.h"

namespace tributary::audit_log_test {
namespace {

using testing::HasSubstr;

AuditEntry Entry(const std::string& action) {
  AuditEntry entry;
  entry.actor = "alice";
  entry.action = action;
  entry.target = "tasks/digits";
  entry.before = R"({"b":1,"a":0.05})";
  entry.after = "null";
  return entry;
}

class AuditLogTest : public testing::Test {
 protected:
  std::string Text() { return std::string(AsText(Must(ReadFile(RealFileSystem(), file_, 100'000'000)))); }
  void SetText(const std::string& text) { Must(WriteFileAtomically(RealFileSystem(), file_, AsBytes(text))); }
  void Fill(int count) {
    for (int i = 1; i <= count; ++i) Must(log_.Append(Entry("step." + std::to_string(i))));
  }
  // Where line `number`, from 1, begins.
  static size_t LineBegin(const std::string& text, int number) {
    size_t at = 0;
    for (int i = 1; i < number; ++i) at = text.find('\n', at) + 1;
    return at;
  }

  TemporaryFolder folder_;
  const Path file_ = folder_ / "audit.log";
  ManualClock clock_;
  AuditLog log_{RealFileSystem(), file_, clock_};
};

TEST_F(AuditLogTest, ALineIsWhatTheHeaderSays) {
  AuditEntry entry = Entry("rounds.cancel");
  entry.sequence = 1;
  entry.time = kTestStart;
  // printf '%s' '{…}' | sha256sum, of the line without its hash.
  EXPECT_EQ(SealAuditEntry(entry),
            R"({"action":"rounds.cancel","actor":"alice","after":null,"before":{"a":0.05,"b":1},"begun":null,"hash":")"
            R"(211a87c7212727b53203aa7ef25d70261855043fc750e500ab56ad0883ba1d6e","outcome":"done","previous":")"
            R"(0000000000000000000000000000000000000000000000000000000000000000","sequence":1,"target":"tasks/digits",)"
            R"("time":"2026-01-01T00:00:00.000Z"})");
}

TEST_F(AuditLogTest, EntriesAreNumberedChainedAndReadInPages) {
  EXPECT_TRUE(Must(log_.Read(0, 10)).entries.empty());
  Fill(200);
  const AuditPage page = Must(log_.Read(130, 3));
  ASSERT_EQ(page.entries.size(), 3u);
  EXPECT_EQ(page.entries[0].sequence, 131u);
  EXPECT_EQ(page.entries[0].action, "step.131");
  EXPECT_EQ(page.entries[0].before, R"({"a":0.05,"b":1})");
  EXPECT_EQ(page.entries[1].previous, page.entries[0].hash);
  EXPECT_EQ(page.next, 133u);
  EXPECT_EQ(page.head_sequence, 200u);
  EXPECT_EQ(page.damage, std::nullopt);
  const AuditPage last = Must(log_.Read(199, 10));
  ASSERT_EQ(last.entries.size(), 1u);
  EXPECT_EQ(last.entries[0].hash, last.head);
  EXPECT_EQ(last.next, std::nullopt);
  EXPECT_TRUE(Must(log_.Read(200, 10)).entries.empty());
  const AuditSummary summary = Must(VerifyAuditFile(RealFileSystem(), file_));
  EXPECT_EQ(summary.entries, 200u);
  EXPECT_EQ(summary.head, page.head);
}

TEST_F(AuditLogTest, TheFileIsForItsOwnerOnly) {
  Fill(1);
  EXPECT_EQ(std::filesystem::status(file_).permissions() & std::filesystem::perms(077), std::filesystem::perms::none);
}

TEST_F(AuditLogTest, EveryAlteredByteIsFoundInItsLine) {
  Fill(3);
  const std::string whole = Text();
  const size_t begin = LineBegin(whole, 2);
  const size_t end = LineBegin(whole, 3);
  for (size_t at = begin; at < end; ++at) {
    std::string altered = whole;
    altered[at] ^= 1;
    SetText(altered);
    const auto verified = VerifyAuditFile(RealFileSystem(), file_);
    ASSERT_FALSE(verified) << at;
    EXPECT_EQ(verified.error().code, Code::kCorrupt);
    EXPECT_THAT(verified.error().message, HasSubstr("audit.log:2 ")) << at;
  }
}

TEST_F(AuditLogTest, ADroppedAMovedAndAForgedEntryAreFound) {
  Fill(4);
  const std::string whole = Text();
  const std::string second = whole.substr(LineBegin(whole, 2), LineBegin(whole, 3) - LineBegin(whole, 2));
  std::string dropped = whole;
  dropped.erase(LineBegin(whole, 2), second.size());
  SetText(dropped);
  EXPECT_THAT(VerifyAuditFile(RealFileSystem(), file_).error().message, HasSubstr("audit.log:2 is entry 3 where 2"));
  std::string moved = dropped;
  moved.insert(LineBegin(dropped, 3), second);
  SetText(moved);
  EXPECT_THAT(VerifyAuditFile(RealFileSystem(), file_).error().message, HasSubstr("audit.log:2 "));
  // Whoever writes an entry anew makes its own hash right, and the next one's previous wrong.
  AuditEntry forged = Must(AuditEntryFromLine(std::string_view(second).substr(0, second.size() - 1)));
  forged.actor = "bob";
  std::string replaced = whole;
  replaced.replace(LineBegin(whole, 2), second.size(), SealAuditEntry(forged) + "\n");
  SetText(replaced);
  EXPECT_THAT(VerifyAuditFile(RealFileSystem(), file_).error().message,
              HasSubstr("audit.log:3 does not continue the entry before it"));
}

TEST_F(AuditLogTest, ADamagedLogTakesNothingMoreAndIsReadUpToThere) {
  Fill(5);
  std::string text = Text();
  text[LineBegin(text, 4) + 20] ^= 1;
  SetText(text);
  AuditLog later(RealFileSystem(), file_, clock_);
  const auto refused = later.Append(Entry("more"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("audit.log:4 "));
  EXPECT_FALSE(later.Health());
  EXPECT_EQ(Text(), text);  // evidence stays as it is
  const AuditPage page = Must(later.Read(0, 100));
  EXPECT_EQ(page.entries.size(), 3u);
  ASSERT_TRUE(page.damage);
  bool made = false;
  EXPECT_FALSE(RunAudited(later, Entry("change"), [&]() -> Result<AuditValues> {
    made = true;
    return AuditValues{};
  }));
  EXPECT_FALSE(made);
  // Moved away, a new log begins.
  std::filesystem::rename(file_, folder_ / "audit.damaged");
  EXPECT_EQ(Must(later.Append(Entry("more"))).sequence, 1u);
  EXPECT_EQ(Must(log_.Append(Entry("more"))).sequence, 2u);
}

TEST_F(AuditLogTest, ALineThatAPowerCutTookIsCutOffAndSaidToBe) {
  Fill(3);
  const std::string whole = Text();
  const std::string zeros = whole.substr(LineBegin(whole, 3), 40) + std::string(60, '\0') + "tail\n";
  for (const std::string& torn : {std::string("{\"acti"), zeros, std::string(500, '\0')}) {
    SetText(whole + torn);
    AuditLog later(RealFileSystem(), file_, clock_);
    EXPECT_EQ(Must(later.Append(Entry("next"))).sequence, 5u);
    const AuditPage page = Must(later.Read(3, 10));
    ASSERT_EQ(page.entries.size(), 2u);
    EXPECT_EQ(page.entries[0].action, "audit.repaired");
    EXPECT_EQ(page.entries[0].after, "{\"lost_bytes\":" + std::to_string(torn.size()) + "}");
    EXPECT_TRUE(VerifyAuditFile(RealFileSystem(), file_));
  }
}

TEST_F(AuditLogTest, ALastLineThatIsWholeAndWrongIsNoPowerCut) {
  Fill(3);
  std::string text = Text();
  text[text.size() - 10] ^= 1;
  SetText(text);
  EXPECT_EQ(AuditLog(RealFileSystem(), file_, clock_).Append(Entry("next")).error().code, Code::kCorrupt);
}

TEST_F(AuditLogTest, ZerosInFrontOfEntriesAreNoPowerCut) {
  Fill(3);
  std::string text = Text();
  text.insert(LineBegin(text, 3), std::string(10, '\0') + "\n");
  SetText(text);
  const auto refused = AuditLog(RealFileSystem(), file_, clock_).Append(Entry("next"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("audit.log:3 "));
}

TEST_F(AuditLogTest, SeveralProcessesContinueOneChain) {
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([this] {
      AuditLog log(RealFileSystem(), file_, clock_);
      for (int step = 0; step < 25; ++step) EXPECT_TRUE(log.Append(Entry("step")));
    });
  }
  for (auto& writer : writers) writer.join();
  EXPECT_EQ(Must(VerifyAuditFile(RealFileSystem(), file_)).entries, 100u);
}

TEST_F(AuditLogTest, LargeValuesAreReplacedByTheirDigest) {
  AuditEntry entry = Entry("task.create");
  entry.after = "\"" + std::string(kAuditValueBytes, 'x') + "\"";
  Must(log_.Append(entry));
  EXPECT_THAT(Must(log_.Read(0, 1)).entries[0].after, HasSubstr("\"sha256\":"));
}

TEST_F(AuditLogTest, TextThatIsNotUtf8IsRecordedAllTheSame) {
  AuditEntry entry = Entry("request");
  entry.target = "GET /a\xff\n";
  Must(log_.Append(entry));
  Must(log_.Append(Entry("next")));
  EXPECT_EQ(Must(VerifyAuditFile(RealFileSystem(), file_)).entries, 2u);
}

TEST_F(AuditLogTest, AChangeStandsBetweenItsBeginAndItsEnd) {
  ASSERT_TRUE(RunAudited(log_, Entry("token.add"), []() -> Result<AuditValues> { return AuditValues{"1", "2"}; }));
  EXPECT_EQ(
      RunAudited(log_, Entry("token.add"), []() -> Result<AuditValues> { return Fail(Code::kAlreadyExists, "there"); })
          .error()
          .code,
      Code::kAlreadyExists);
  const AuditPage page = Must(log_.Read(0, 10));
  ASSERT_EQ(page.entries.size(), 4u);
  EXPECT_EQ(page.entries[0].outcome, "begun");
  EXPECT_EQ(page.entries[1].outcome, "done");
  EXPECT_EQ(page.entries[1].begun, 1u);
  EXPECT_EQ(page.entries[1].before, "1");
  EXPECT_EQ(page.entries[1].after, "2");
  EXPECT_EQ(page.entries[3].outcome, "already-exists");
  EXPECT_EQ(page.entries[3].begun, 3u);
}

// The disk fails at every operation in turn: what was answered is in the log, the chain holds, and it goes on after.
TEST_F(AuditLogTest, AFailingDiskLosesNothingThatWasAnswered) {
  for (const DiskFault fault : {DiskFault::kFull, DiskFault::kIo, DiskFault::kReadOnly}) {
    for (uint64_t good = 0; good < 12; ++good) {
      TemporaryFolder folder;
      PowerDisk disk(folder.path());
      AuditLog log(disk, folder / "audit.log", clock_);
      std::vector<uint64_t> answered;
      disk.FailAfter(good, fault, 3);
      for (int i = 0; i < 8; ++i) {
        if (const auto entry = log.Append(Entry("step"))) answered.push_back(entry->sequence);
      }
      disk.Free();
      const AuditEntry last = Must(log.Append(Entry("last")));
      TemporaryFolder cut;
      disk.PowerCut(disk.operations(), 0, cut.path());  // only what is durable
      const AuditSummary summary = Must(VerifyAuditFile(RealFileSystem(), cut / "audit.log"));
      EXPECT_EQ(summary.head, last.hash);
      EXPECT_GE(summary.entries, answered.size() + 1);
    }
  }
}

// The power is cut after every operation, with several ways for the unsynced to survive.
TEST_F(AuditLogTest, APowerCutLosesNothingThatWasAnswered) {
  TemporaryFolder folder;
  PowerDisk disk(folder.path());
  AuditLog log(disk, folder / "audit.log", clock_);
  std::vector<std::pair<uint64_t, Digest>> answered;  // operations done when it was, and its hash
  for (int i = 0; i < 5; ++i) {
    AuditEntry entry = Entry("step");
    entry.after = "\"" + std::string(i * 300, 'x') + "\"";  // over one sector and several
    const AuditEntry made = Must(log.Append(entry));
    answered.emplace_back(disk.operations(), made.hash);
  }
  for (uint64_t point = 0; point <= disk.operations(); ++point) {
    for (uint64_t seed = 0; seed < 6; ++seed) {
      TemporaryFolder cut;
      disk.PowerCut(point, seed, cut.path());
      AuditLog after(RealFileSystem(), cut / "audit.log", clock_);
      ASSERT_TRUE(after.Append(Entry("after"))) << point << " " << seed;
      std::vector<Digest> found;
      for (const AuditEntry& entry : Must(after.Read(0, 100)).entries) found.push_back(entry.hash);
      for (const auto& [operations, hash] : answered) {
        if (operations > point) continue;
        EXPECT_THAT(found, testing::Contains(hash)) << point << " " << seed;
      }
      EXPECT_TRUE(VerifyAuditFile(RealFileSystem(), cut / "audit.log"));
    }
  }
}

}  // namespace
}  // namespace tributary::audit_log_test
