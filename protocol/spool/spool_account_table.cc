#include "protocol/spool/spool_account_table.h"

namespace tributary {
namespace {

// counters.what; never renumbered.
enum Counter { kOffered = 1, kDelivered = 2, kDuplicate = 3, kRefused = 4, kDropped = 5 };
constexpr Code kNoCode{0};

uint64_t& CounterOf(KindAccount& kind, int64_t what, Code code) {
  if (what == kOffered) return kind.offered;
  if (what == kDelivered) return kind.delivered;
  if (what == kDuplicate) return kind.duplicate;
  return what == kRefused ? kind.refused[code] : kind.dropped[code];
}

uint64_t CountOf(const std::map<Code, uint64_t>& counts, Code code) {
  const auto found = counts.find(code);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace

Result<SpoolAccount> SpoolAccountTable::Load() {
  SpoolAccount account;
  ASSIGN_OR_RETURN(const auto counters, database_.Query("SELECT kind, what, code, count FROM counters"));
  for (const Row& row : counters) {
    KindAccount& kind = account.of(static_cast<UploadKind>(row.Int(0)));
    RETURN_IF_ERROR(row.Get(3, CounterOf(kind, row.Int(1), static_cast<Code>(row.Int(2)))));
  }
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
    const auto kind = static_cast<UploadKind>(row.Int(0));
    const auto count = static_cast<uint64_t>(row.Int(2));
    account.of(kind).spooled += count;
    account.waiting_of(static_cast<Priority>(row.Int(1))) += count;
    account.bytes += static_cast<uint64_t>(row.Int(3));
    account.bytes_of(kind) += static_cast<uint64_t>(row.Int(3));
  }
  ASSIGN_OR_RETURN(const auto partial,
                   database_.Query("SELECT kind, count(*), sum(" TRIBUTARY_HELD "), sum(" TRIBUTARY_HELD
                                   " - min(ciphertext_size, next_chunk * (chunk_size + :seal))) FROM uploads "
                                   "WHERE state = 0 GROUP BY kind",
                                   limits::kSealTagBytes));
  for (const Row& row : partial) {
    const auto kind = static_cast<UploadKind>(row.Int(0));
    account.of(kind).in_flight += static_cast<uint64_t>(row.Int(1));
    account.bytes += static_cast<uint64_t>(row.Int(2));
    account.bytes_of(kind) += static_cast<uint64_t>(row.Int(2));
    account.unwritten += static_cast<uint64_t>(row.Int(3));
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
