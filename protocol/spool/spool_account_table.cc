#include "protocol/spool/spool_account_table.h"

namespace tributary {
namespace {

// counters.what; never renumbered.
enum Counter { kOffered = 1, kDelivered = 2, kDuplicate = 3, kRefused = 4, kDropped = 5 };
constexpr Code kNoCode{0};

Status AddCounter(const Row& row, SpoolAccount& account) {
  UploadKind kind{};
  uint8_t what = 0;
  uint16_t number = 0;
  uint64_t count = 0;
  RETURN_IF_ERROR(row.Into(kind, what, number, count));
  KindAccount& of = account.of(kind);
  const auto code = CodeByNumber(number);
  if (what == kOffered) {
    of.offered = count;
  } else if (what == kDelivered) {
    of.delivered = count;
  } else if (what == kDuplicate) {
    of.duplicate = count;
  } else if ((what == kRefused || what == kDropped) && code) {
    (what == kRefused ? of.refused : of.dropped)[*code] = count;
  } else {
    return Fail(Code::kCorrupt, "a counter of the spool is of kind {} and code {}", what, number);
  }
  return {};
}

uint64_t CountOf(const std::map<Code, uint64_t>& counts, Code code) {
  const auto found = counts.find(code);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace

Result<SpoolAccount> SpoolAccountTable::Load() {
  SpoolAccount account;
  ASSIGN_OR_RETURN(const auto counters, database_.Query("SELECT kind, what, code, count FROM counters"));
  for (const Row& row : counters) RETURN_IF_ERROR(AddCounter(row, account));
  RETURN_IF_ERROR(LoadPresent(account));
  return account;
}

// The room that a partial upload takes, as SpooledUpload::HeldBytes has it; the parameter is what a seal adds.
#define TRIBUTARY_HELD "min(ciphertext_size, (next_chunk + 1) * (chunk_size + :seal))"

// Counts the uploads and dead letters that are here. One index covers the first query; partial uploads are few.
Status SpoolAccountTable::LoadPresent(SpoolAccount& account) {
  ASSIGN_OR_RETURN(const auto here, database_.Query("SELECT kind, priority, count(*), sum(ciphertext_size) FROM "
                                                    "uploads WHERE state = 1 GROUP BY priority, kind"));
  for (const Row& row : here) {
    UploadKind kind{};
    Priority priority{};
    uint64_t count = 0, bytes = 0;
    RETURN_IF_ERROR(row.Into(kind, priority, count, bytes));
    account.of(kind).spooled += count;
    account.waiting_of(priority) += count;
    account.bytes += bytes;
    account.bytes_of(kind) += bytes;
  }
  ASSIGN_OR_RETURN(const auto partial,
                   database_.Query("SELECT kind, count(*), sum(" TRIBUTARY_HELD "), sum(" TRIBUTARY_HELD
                                   " - min(ciphertext_size, next_chunk * (chunk_size + :seal))) FROM uploads "
                                   "WHERE state = 0 GROUP BY kind",
                                   limits::kSealTagBytes));
  for (const Row& row : partial) {
    UploadKind kind{};
    uint64_t count = 0, held = 0, unwritten = 0;
    RETURN_IF_ERROR(row.Into(kind, count, held, unwritten));
    account.of(kind).in_flight += count;
    account.bytes += held;
    account.bytes_of(kind) += held;
    account.unwritten += unwritten;
  }
  ASSIGN_OR_RETURN(account.devices, database_.QueryNumber("SELECT count(*) FROM holders"));
  ASSIGN_OR_RETURN(account.dead_letters, database_.QueryNumber("SELECT count(*) FROM dead_letters"));
  ASSIGN_OR_RETURN(account.dead_bytes, database_.QueryNumber("SELECT CAST(total(bytes) AS INTEGER) FROM dead_letters "
                                                             "WHERE kept = 1"));
  return {};
}

Status SpoolAccountTable::SaveCounter(UploadKind kind, int what, Code code, uint64_t before, uint64_t after) {
  if (before == after) return {};
  return database_.Write("INSERT OR REPLACE INTO counters (kind, what, code, count) VALUES (?, ?, ?, ?)", kind, what,
                         code, after);
}

Status SpoolAccountTable::Save(const SpoolAccount& saved, const SpoolAccount& now) {
  for (const UploadKind kind : kUploadKinds) {
    const KindAccount& before = saved.of(kind);
    const KindAccount& after = now.of(kind);
    RETURN_IF_ERROR(SaveCounter(kind, kOffered, kNoCode, before.offered, after.offered));
    RETURN_IF_ERROR(SaveCounter(kind, kDelivered, kNoCode, before.delivered, after.delivered));
    RETURN_IF_ERROR(SaveCounter(kind, kDuplicate, kNoCode, before.duplicate, after.duplicate));
    for (const auto& [code, count] : after.refused)
      RETURN_IF_ERROR(SaveCounter(kind, kRefused, code, CountOf(before.refused, code), count));
    for (const auto& [code, count] : after.dropped)
      RETURN_IF_ERROR(SaveCounter(kind, kDropped, code, CountOf(before.dropped, code), count));
  }
  return {};
}

Result<SpoolAccountTable::Holding> SpoolAccountTable::Held(const DeviceId& device) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT uploads, bytes, telemetry FROM holders WHERE device = ?", device));
  Holding holding;
  if (!rows.empty()) RETURN_IF_ERROR(rows[0].Into(holding.uploads, holding.bytes, holding.telemetry));
  return holding;
}

Status SpoolAccountTable::Hold(const DeviceId& device, const Holding& holding) {
  if (holding.uploads == 0) return database_.Write("DELETE FROM holders WHERE device = ?", device);
  return database_.Write("INSERT OR REPLACE INTO holders (device, uploads, bytes, telemetry) VALUES (?, ?, ?, ?)",
                         device, holding.uploads, holding.bytes, holding.telemetry);
}

}  // namespace tributary
