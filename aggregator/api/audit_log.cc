#include "aggregator/api/audit_log.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr uint64_t kStride = 64;

// Calls `take` for every whole line of [begin, end) with the offset behind it. Returns where the first line that is not
// whole begins, or the end. kTooLarge.
Result<uint64_t> ForEachLine(FileSystem& files, const Path& file, uint64_t begin, uint64_t end,
                             const std::function<Status(std::string_view line)>& take) {
  std::string pending;
  uint64_t line_begin = begin;
  for (uint64_t at = begin; at < end;) {
    ASSIGN_OR_RETURN(const Bytes piece, files.ReadAt(file, at, std::min<uint64_t>(limits::kMiB, end - at)));
    at += piece.size();
    pending += AsText(piece);
    size_t from = 0;
    for (size_t stop = 0; (stop = pending.find('\n', from)) != std::string::npos; from = stop + 1) {
      if (stop - from > limits::kAuditLineBytes) return Fail(Code::kTooLarge, "a line is too long for an entry");
      RETURN_IF_ERROR(take(std::string_view(pending).substr(from, stop - from)));
      line_begin += stop + 1 - from;
    }
    pending.erase(0, from);
    if (pending.size() > limits::kAuditLineBytes) return Fail(Code::kTooLarge, "a line is too long for an entry");
  }
  return line_begin;
}

// A write that a power cut interrupted leaves no line break, or a hole of zeros; all other damage came later.
bool IsTorn(std::string_view line) { return line.find('\0') != std::string_view::npos; }

}  // namespace

Result<AuditEntry> AuditChain::Take(std::string_view line) {
  ASSIGN_OR_RETURN(AuditEntry entry, AuditEntryFromLine(line));
  if (entry.sequence != sequence_ + 1) {
    return Fail(Code::kCorrupt, "is entry {} where {} belongs: entries are missing or were moved", entry.sequence,
                sequence_ + 1);
  }
  if (entry.previous != head_) return Fail(Code::kCorrupt, "does not continue the entry before it");
  ++sequence_;
  head_ = entry.hash;
  return entry;
}

tl::unexpected<Error> AuditLog::Damaged(const std::string& why) const {
  return Fail(Code::kCorrupt,
              "{}:{} {}. The {} entries before it are whole. Changes are refused until the file is moved away",
              file_.string(), chain_.sequence() + 1, why, chain_.sequence());
}

Status AuditLog::TakeLine(std::string_view line) {
  const auto entry = chain_.Take(line);
  if (!entry) return Damaged(entry.error().message);
  if (entry->sequence % kStride == 1) offsets_.push_back(end_);
  end_ += line.size() + 1;
  last_ = std::string(line) + "\n";
  return {};
}

// Somebody may have moved the log away, or put another in its place.
bool AuditLog::IsWhereItWas(uint64_t size) {
  if (size < end_) return false;
  const auto line = files_.ReadAt(file_, end_ - last_.size(), last_.size());
  return line && AsText(*line) == last_;
}

Status AuditLog::ReadOn(uint64_t size) {
  if (size == end_) return {};
  bool torn = false;
  RETURN_IF_ERROR(ForEachLine(files_, file_, end_, size, [&](std::string_view line) -> Status {
    if (!torn && !IsTorn(line)) return TakeLine(line);
    if (IsTorn(line)) {
      torn = true;
      return {};
    }
    return Damaged("holds zeros, and entries follow it");  // a power cut does not do that
  }));
  if (end_ == size) return {};
  return Repair(size - end_);
}

// Writes the whole lines into a new file, and says how much was lost. It costs the file's length and happens seldom.
Status AuditLog::Repair(uint64_t lost) {
  Bytes whole;  // stays empty when there is no file
  if (end_ > 0) {
    ASSIGN_OR_RETURN(whole, files_.ReadAt(file_, 0, end_));
  }
  RETURN_IF_ERROR(WriteFileAtomically(files_, file_, whole));
  unsynced_ = false;
  if (lost == 0) return {};
  LogWarning("audit.repaired", {{"file", file_.string()}, {"lost_bytes", lost}});
  AuditEntry entry{.actor = "audit",
                   .action = "audit.repaired",
                   .target = file_.filename().string(),
                   .after = fmt::format("{{\"lost_bytes\":{}}}", lost)};
  return Write(entry);
}

Status AuditLog::CatchUp() {
  const auto size = files_.Size(file_);
  if (!size && size.error().code != Code::kNotFound) return Fail(size.error());
  const uint64_t there = size.value_or(0);
  if (end_ > 0 && !IsWhereItWas(there)) {
    chain_ = {};
    end_ = 0;
    last_.clear();
    offsets_.clear();
  }
  RETURN_IF_ERROR(ReadOn(there));
  return unsynced_ ? Repair(0) : Status();
}

Status AuditLog::Write(AuditEntry& entry) {
  entry.sequence = chain_.sequence() + 1;
  entry.time = clock_.Now();
  entry.previous = chain_.head();
  const std::string line = SealAuditEntry(entry);
  unsynced_ = true;
  {
    ASSIGN_OR_RETURN(auto file, files_.OpenForWrite(file_));
    RETURN_IF_ERROR(file->WriteAt(end_, AsBytes(line + "\n")));
    RETURN_IF_ERROR(file->Sync());
  }
  if (end_ == 0) RETURN_IF_ERROR(files_.SyncFolder(file_.parent_path()));
  unsynced_ = false;
  return TakeLine(line);
}

Result<AuditEntry> AuditLog::Append(AuditEntry entry) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const FileLock file_lock, FileLock::Wait(file_));
  RETURN_IF_ERROR(CatchUp());
  RETURN_IF_ERROR(Write(entry));
  return entry;
}

Result<AuditPage> AuditLog::Read(uint64_t after, uint64_t limit) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const FileLock file_lock, FileLock::Wait(file_));
  AuditPage page;
  if (const Status status = CatchUp(); !status) page.damage = status.error();
  page.head_sequence = chain_.sequence();
  page.head = chain_.head();
  if (after >= chain_.sequence() || limit == 0) return page;
  RETURN_IF_ERROR(ForEachLine(files_, file_, offsets_[after / kStride], end_, [&](std::string_view line) -> Status {
    if (page.entries.size() == limit) return {};
    ASSIGN_OR_RETURN(AuditEntry entry, AuditEntryFromLine(line));
    if (entry.sequence > after) page.entries.push_back(std::move(entry));
    return {};
  }));
  if (!page.entries.empty() && page.entries.back().sequence < chain_.sequence())
    page.next = page.entries.back().sequence;
  return page;
}

Status AuditLog::Health() {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const FileLock file_lock, FileLock::Wait(file_));
  return CatchUp();
}

Status RunAudited(AuditLog& audit, const AuditEntry& what, const std::function<Result<AuditValues>()>& make) {
  AuditEntry entry = what;
  entry.outcome = "begun";
  const auto begun = audit.Append(entry);
  if (!begun) {
    return Fail(begun.error().code, "nothing was changed, because the audit log could not be written: {}",
                begun.error().message);
  }
  const Result<AuditValues> made = make();
  entry.begun = begun->sequence;
  entry.outcome = made ? "done" : std::string(Name(made.error().code));
  if (made) {
    entry.before = made->before;
    entry.after = made->after;
  }
  const auto ended = audit.Append(entry);
  if (!made) return Fail(made.error());
  if (!ended) {
    return Fail(ended.error().code, "the change was made, but the audit log has only its beginning (entry {}): {}",
                begun->sequence, ended.error().message);
  }
  return {};
}

Result<AuditSummary> VerifyAuditFile(FileSystem& files, const Path& file, std::string_view known) {
  AuditChain chain;
  AuditSummary summary;
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(file));
  bool found = known.empty();
  Digest wanted;
  if (!found) {
    ASSIGN_OR_RETURN(wanted, Digest::FromHex(known));
  }
  const auto where = [&] { return fmt::format("{}:{}", file.string(), chain.sequence() + 1); };
  const auto end = ForEachLine(files, file, 0, size, [&](std::string_view line) -> Status {
    const auto entry = chain.Take(line);
    if (!entry) return Fail(Code::kCorrupt, "{} {}", where(), entry.error().message);
    if (summary.entries++ == 0) summary.first = entry->time;
    summary.last = entry->time;
    found = found || entry->hash == wanted;
    return {};
  });
  if (!end) return Fail(end.error());
  if (*end != size) return Fail(Code::kCorrupt, "{} has no end: {} bytes", where(), size - *end);
  if (!found) {
    return Fail(Code::kCorrupt,
                "no entry has the hash {}: entries were cut off, or all was written anew, after it was noted", known);
  }
  summary.head = chain.head();
  return summary;
}

}  // namespace tributary
