#pragma once

#include <memory>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/sql/database.h"
#include "protocol/spool/spooled_upload.h"

// The tables of a spool's index, and how their rows become values. For the table classes beside this file.
namespace tributary {

// Created when absent, brought up to date.
Result<std::unique_ptr<Database>> OpenSpoolDatabase(const Path& file);
// As it is; refuses to write. kVersionUnsupported: it is not of this program's version.
Result<std::unique_ptr<Database>> OpenSpoolDatabaseToRead(const Path& file);

// What UploadFromRow reads, of `uploads` and of a kept dead letter.
#define TRIBUTARY_UPLOAD_COLUMNS                                                                           \
  "SELECT upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, ciphertext_size, " \
  "ciphertext_digest, state, next_chunk, in_index FROM uploads "
#define TRIBUTARY_DEAD_UPLOAD_COLUMNS                                                            \
  "SELECT upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, bytes, " \
  "ciphertext_digest, 1, chunk_count, in_index FROM dead_letters WHERE kept = 1 "

// kMalformed: damage.
Result<SpooledUpload> UploadFromRow(const Row& row);
// kCorrupt: damage; else the query's error.
Result<std::vector<SpooledUpload>> UploadsFromRows(Result<std::vector<Row>> rows);

Status Done(Result<int64_t> changed);
tl::unexpected<Error> UnknownUpload(const UploadId& id);

}  // namespace tributary
