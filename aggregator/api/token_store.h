#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/base/random.h"
#include "protocol/base/result.h"

namespace tributary {

// The bearer tokens of an aggregator. Only their SHA-256 is kept, in one file of mode 0600, a line per token:
//   <hex SHA-256 of the token> <name> <created, unix milliseconds>
// A token is 32 random bytes, so its hash needs no salt and cannot be searched. There is one kind of token; it may do
// everything. Thread safe. Does not promise that two processes add at the same time.
class TokenStore {
 public:
  explicit TokenStore(Path file) : file_(std::move(file)) {}

  // Makes a token, "trb_" and 64 hexadecimal digits, and remembers its hash. This is the only time it is seen.
  // kMalformed: not a name as in ids.h. kAlreadyExists.
  Result<std::string> Add(std::string_view name, Random& random, WallTime now);
  // The name of the token. Tokens that were added meanwhile count at once. kUnauthorized; kPermissions: others may read
  // or write the file; kCorrupt: a line has another form.
  Result<std::string> Check(std::string_view token);
  // Names, in the order in which they were added.
  Result<std::vector<std::string>> Names();

 private:
  struct Entry {
    Digest hash;
    std::string name;
    int64_t created = 0;
  };
  Status Reload();

  const Path file_;
  std::mutex mutex_;
  std::filesystem::file_time_type read_at_{};  // modification time of what is in entries_
  uintmax_t read_size_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace tributary
