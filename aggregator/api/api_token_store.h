#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/http/http_message.h"
#include "protocol/base/ids.h"
#include "protocol/base/random.h"
#include "protocol/base/result.h"

namespace tributary {

// A token of the API, without its secret.
struct ApiTokenRecord {
  std::string name;  // as in ids.h; what the audit log calls its holder
  HttpAccess role = HttpAccess::kViewer;
  WallTime created;
  WallTime expires;  // 0: never
};

// For the audit log: {"name", "role", "created", "expires"}.
std::string ToJson(const ApiTokenRecord& token);

// The bearer tokens of an aggregator's API. Only their SHA-256 is kept, in one file of mode 0600, a line per token:
//   <hex SHA-256 of the token> <name> <created, unix milliseconds> <role> <expires, unix milliseconds or 0>
// A line without role and expiry is of a time when there was one kind of token: it is an admin's and does not expire.
// A token is 32 random bytes, so its hash needs no salt and cannot be searched. Thread safe, and safe against other
// processes that add and remove.
class ApiTokenStore {
 public:
  explicit ApiTokenStore(Path file) : file_(std::move(file)) {}

  // Makes a token, "trb_" and 64 hexadecimal digits, and remembers its hash. This is the only time it is seen.
  // kMalformed: not a name as in ids.h. kAlreadyExists.
  Result<std::string> Add(const ApiTokenRecord& token, Random& random);
  // It counts no more when this returns, at every process that reads the file. kNotFound.
  Result<ApiTokenRecord> Remove(std::string_view name);
  // Whose token this is. Tokens that were added or removed meanwhile count at once. kUnauthorized: not one of these, or
  // it expired; kPermissions: others may read or write the file; kCorrupt: a line has another form.
  Result<ApiTokenRecord> Check(std::string_view token, WallTime now);
  // In the order in which they were added.
  Result<std::vector<ApiTokenRecord>> Tokens();

 private:
  struct Entry {
    Digest hash;
    ApiTokenRecord token;
  };
  using Seen = std::array<int64_t, 4>;
  static Result<Entry> EntryOf(const std::string& line);
  Status Reload();
  Status Write(std::span<const Entry> entries);

  const Path file_;
  std::mutex mutex_;
  Seen seen_{};  // the file that entries_ were read from: inode, size, time of change
  std::vector<Entry> entries_;
};

}  // namespace tributary
