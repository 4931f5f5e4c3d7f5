#pragma once

#include <string>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/spool/spool_reader.h"

namespace tributary {

// One upload in custody whose payload is not what its header announced.
struct DamagedUpload {
  SpooledUpload upload;
  uint64_t bytes_lost = 0;  // missing bytes; all of them when the length is right and the digest is not
  std::string what;
};

struct SpoolCheck {
  uint64_t uploads = 0;  // complete ones that were read and compared
  uint64_t bytes = 0;
  uint64_t partial = 0;  // not compared: their senders have custody
  std::vector<DamagedUpload> damaged;
  std::vector<std::string> orphans;         // files of nobody, which the next start of the daemon removes
  std::vector<std::string> index_problems;  // SQLite's words
  SpoolAccount account;

  uint64_t BytesLost() const;
  // Nothing is damaged and the account balances. Orphans harm nobody.
  bool Sound() const { return damaged.empty() && index_problems.empty() && account.Balances(); }
};

// Reads a whole spool, also while a daemon works in it, and compares every payload with its digest. Changes nothing. It
// takes as long as reading all payloads takes, and the memory of one chunk and of what was found. Errors: those of
// SpoolReader::Open; kCorrupt: the index itself cannot be read.
Result<SpoolCheck> CheckSpool(const Path& folder, FileSystem& files);

}  // namespace tributary
