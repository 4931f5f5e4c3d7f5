#include "protocol/spool/dead_letter_table.h"

namespace tributary {
namespace {

#define TRIBUTARY_LETTER_COLUMNS                                           \
  "SELECT upload, kind, task, base, device, bytes, reason, buried, kept, " \
  "lost FROM dead_letters "

Result<std::vector<DeadLetter>> LettersFromRows(const Result<std::vector<Row>>& rows) {
  if (!rows) return Fail(rows.error());
  std::vector<DeadLetter> letters;
  for (const Row& row : *rows) {
    DeadLetter letter;
    ASSIGN_OR_RETURN(letter.id, UploadId::FromBytes(row.Blob(0)));
    letter.kind = static_cast<UploadKind>(row.Int(1));
    ASSIGN_OR_RETURN(letter.task, TaskId::Parse(row.Text(2)));
    letter.base_version = static_cast<ModelVersion>(row.Int(3));
    ASSIGN_OR_RETURN(letter.device, DeviceId::Parse(row.Text(4)));
    letter.bytes = static_cast<uint64_t>(row.Int(5));
    letter.reason = static_cast<Code>(row.Int(6));
    letter.when = {row.Int(7)};
    letter.kept = row.Int(8) != 0;
    letter.bytes_lost = static_cast<uint64_t>(row.Int(9));
    letters.push_back(std::move(letter));
  }
  return letters;
}

}  // namespace

Status DeadLetterTable::Bury(const DeadLetter& letter) {
  RETURN_IF_ERROR(Done(database_.Execute(
      "INSERT OR REPLACE INTO dead_letters (upload, kind, task, device, bytes, reason, buried, kept, lost, base, "
      "priority, expires, chunk_size, chunk_count, ciphertext_digest, in_index, envelope) SELECT upload, kind, task, "
      "device, ciphertext_size, :reason, :buried, :kept, :lost, base, priority, expires, chunk_size, chunk_count, "
      "ciphertext_digest, in_index, iif(:kept, envelope, NULL) FROM uploads WHERE upload = :id",
      letter.reason, letter.when.unix_millis, letter.kept, letter.bytes_lost, letter.id)));
  return Done(database_.Execute("DELETE FROM uploads WHERE upload = ?", letter.id));
}

Status DeadLetterTable::Unbury(const SpooledUpload& upload, WallTime now) {
  RETURN_IF_ERROR(Done(database_.Execute(
      "INSERT INTO uploads (upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, "
      "ciphertext_size, ciphertext_digest, in_index, state, next_chunk, touched, envelope) SELECT upload, kind, "
      "priority, task, base, device, expires, chunk_size, chunk_count, bytes, ciphertext_digest, in_index, ?, "
      "chunk_count, ?, envelope FROM dead_letters WHERE upload = ?",
      UploadState::kComplete, now.unix_millis, upload.id)));
  return Remove(upload.id);
}

Status DeadLetterTable::Remove(const UploadId& id) {
  return Done(database_.Execute("DELETE FROM dead_letters WHERE upload = ?", id));
}

Status DeadLetterTable::Empty(const SpooledUpload& upload) {
  RETURN_IF_ERROR(
      Done(database_.Execute("UPDATE dead_letters SET kept = 0, envelope = NULL WHERE upload = ?", upload.id)));
  return Done(database_.Execute("DELETE FROM chunks WHERE upload = ?", upload.id));
}

Result<std::optional<DeadLetter>> DeadLetterTable::Find(const UploadId& id) {
  ASSIGN_OR_RETURN(auto letters,
                   database_.Noted(LettersFromRows(database_.Query(TRIBUTARY_LETTER_COLUMNS "WHERE upload = ?", id))));
  if (letters.empty()) return std::nullopt;
  return std::move(letters.front());
}

Result<std::vector<DeadLetter>> DeadLetterTable::List(size_t limit) {
  return database_.Noted(
      LettersFromRows(database_.Query(TRIBUTARY_LETTER_COLUMNS "ORDER BY sequence DESC LIMIT ?", limit)));
}

Result<std::vector<DeadLetter>> DeadLetterTable::Oldest(size_t limit) {
  return database_.Noted(LettersFromRows(database_.Query(TRIBUTARY_LETTER_COLUMNS "ORDER BY sequence LIMIT ?", limit)));
}

Result<std::optional<SpooledUpload>> DeadLetterTable::FindKept(const UploadId& id) {
  return FirstOf(database_.Uploads(TRIBUTARY_DEAD_UPLOAD_COLUMNS "AND upload = ?", id));
}

Result<std::optional<SpooledUpload>> DeadLetterTable::OldestKept() {
  return FirstOf(database_.Uploads(TRIBUTARY_DEAD_UPLOAD_COLUMNS "ORDER BY sequence LIMIT 1"));
}

Result<std::vector<UploadId>> DeadLetterTable::KeptFiles(const std::optional<UploadId>& last, size_t limit) {
  return database_.Ids(
      "SELECT upload FROM dead_letters WHERE kept = 1 AND in_index = 0 AND upload > ? ORDER BY upload LIMIT ?",
      AfterId(last), limit);
}

Result<Bytes> DeadLetterTable::Envelope(const UploadId& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT envelope FROM dead_letters WHERE kept = 1 AND upload = ?", id));
  if (rows.empty()) return UnknownUpload(id);
  return rows[0].Blob(0);
}

Result<DeadLetterTable::Totals> DeadLetterTable::Count() {
  ASSIGN_OR_RETURN(const auto letters, database_.Query("SELECT count(*) FROM dead_letters"));
  ASSIGN_OR_RETURN(const auto bytes, database_.Query("SELECT total(bytes) FROM dead_letters WHERE kept = 1"));
  return Totals{static_cast<uint64_t>(letters[0].Int(0)), static_cast<uint64_t>(bytes[0].Real(0))};
}

}  // namespace tributary
