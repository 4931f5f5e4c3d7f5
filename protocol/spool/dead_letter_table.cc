#include "protocol/spool/dead_letter_table.h"

namespace tributary {
namespace {

#define TRIBUTARY_LETTER_COLUMNS \
  "SELECT upload, kind, task, base, device, bytes, reason, buried, kept, lost FROM dead_letters "

Result<DeadLetter> ReadLetter(const Row& row) {
  DeadLetter letter;
  RETURN_IF_ERROR(row.Into(letter.id, letter.kind, letter.task, letter.base_version, letter.device, letter.bytes,
                           letter.reason, letter.when, letter.kept, letter.bytes_lost));
  return letter;
}

}  // namespace

Status DeadLetterTable::Bury(const DeadLetter& letter) {
  RETURN_IF_ERROR(database_.Write(
      "INSERT OR REPLACE INTO dead_letters (upload, kind, task, device, bytes, reason, buried, kept, lost, base, "
      "priority, expires, chunk_size, chunk_count, ciphertext_digest, in_index, ask, envelope) SELECT upload, kind, task, "
      "device, ciphertext_size, :reason, :buried, :kept, :lost, base, priority, expires, chunk_size, chunk_count, "
      "ciphertext_digest, in_index, ask, iif(:kept, envelope, NULL) FROM uploads WHERE upload = :id",
      letter.reason, letter.when, letter.kept, letter.bytes_lost, letter.id));
  return database_.Write("DELETE FROM uploads WHERE upload = ?", letter.id);
}

Status DeadLetterTable::Unbury(const SpooledUpload& upload, WallTime now) {
  RETURN_IF_ERROR(database_.Write(
      "INSERT INTO uploads (upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, "
      "ciphertext_size, ciphertext_digest, in_index, ask, state, next_chunk, touched, envelope) SELECT upload, kind, "
      "priority, task, base, device, expires, chunk_size, chunk_count, bytes, ciphertext_digest, in_index, ask, ?, "
      "chunk_count, ?, envelope FROM dead_letters WHERE upload = ?",
      UploadState::kComplete, now, upload.id));
  return Remove(upload.id);
}

Status DeadLetterTable::Empty(const SpooledUpload& upload) {
  RETURN_IF_ERROR(database_.Write("UPDATE dead_letters SET kept = 0, envelope = NULL WHERE upload = ?", upload.id));
  return database_.Write("DELETE FROM chunks WHERE upload = ?", upload.id);
}

Result<std::optional<DeadLetter>> DeadLetterTable::Find(const UploadId& id) {
  return database_.First(ReadLetter, TRIBUTARY_LETTER_COLUMNS "WHERE upload = ?", id);
}

Result<DeadLetter> DeadLetterTable::Get(const UploadId& id) {
  ASSIGN_OR_RETURN(auto letter, Find(id));
  if (!letter) return Fail(Code::kUnknownUpload, "there is no dead letter {}", id.hex());
  return std::move(*letter);
}

Result<std::vector<DeadLetter>> DeadLetterTable::List(size_t limit) {
  return database_.All(ReadLetter, TRIBUTARY_LETTER_COLUMNS "ORDER BY sequence DESC LIMIT ?", limit);
}

Result<std::vector<DeadLetter>> DeadLetterTable::Oldest(size_t limit) {
  return database_.All(ReadLetter, TRIBUTARY_LETTER_COLUMNS "ORDER BY sequence LIMIT ?", limit);
}

Result<Bytes> DeadLetterTable::Envelope(const UploadId& id) {
  ASSIGN_OR_RETURN(auto bytes, database_.First(FirstCell<Bytes>,
                                               "SELECT envelope FROM dead_letters WHERE kept = 1 AND upload = ?", id));
  if (!bytes) return UnknownUpload(id);
  return std::move(*bytes);
}

}  // namespace tributary
