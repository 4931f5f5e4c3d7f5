#include "aggregator/api/api_token_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/secret.h"

namespace tributary {

std::string ToJson(const ApiTokenRecord& token) {
  const Json json = {{"name", token.name},
                     {"role", AccessName(token.role)},
                     {"created", Rfc3339(token.created)},
                     {"expires", TimeOrNull(token.expires)}};
  return Dump(json);
}

// Every write makes a new file, so its inode tells as well, should two writes share a time stamp.
Status ApiTokenStore::Reload() {
  struct stat status {};
  if (stat(file_.c_str(), &status) != 0) {
    if (errno != ENOENT) return Fail(Code::kIo, "stat {}: {}", file_.string(), std::strerror(errno));
    entries_.clear();
    seen_ = {};
    return {};
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Fail(Code::kPermissions, "{} may be read or written by others; make it mode 0600", file_.string());
  }
  const Seen there{static_cast<int64_t>(status.st_ino), status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  if (there == seen_) return {};

  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), file_, limits::kConfigBytes));
  std::vector<Entry> entries;
  std::istringstream lines{std::string(AsText(bytes))};
  for (std::string line; std::getline(lines, line);) {
    auto entry = EntryOf(line);
    if (!entry) {
      return Fail(Code::kCorrupt, "{}:{} is not '<hash> <name> <created> <role> <expires>'", file_.string(),
                  entries.size() + 1);
    }
    entries.push_back(std::move(*entry));
  }
  entries_ = std::move(entries);
  seen_ = there;
  return {};
}

Result<ApiTokenStore::Entry> ApiTokenStore::EntryOf(const std::string& line) {
  std::istringstream words(line);
  std::string hash, role;
  Entry entry;
  words >> hash >> entry.token.name >> entry.token.created.unix_millis;
  const auto digest = Digest::FromHex(hash);
  if (!words || !digest) return Fail(Code::kCorrupt, "not a token");
  entry.hash = *digest;
  entry.token.role = HttpAccess::kAdmin;
  if (!(words >> role)) return entry;
  words >> entry.token.expires.unix_millis;
  const auto known = RoleOfName(role);
  if (!words || !known) return Fail(Code::kCorrupt, "not a token");
  entry.token.role = *known;
  return entry;
}

Status ApiTokenStore::Write(std::span<const Entry> entries) {
  std::string text;
  for (const auto& [hash, token] : entries) {
    text += fmt::format("{} {} {} {} {}\n", hash.hex(), token.name, token.created.unix_millis, AccessName(token.role),
                        token.expires.unix_millis);
  }
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), file_, AsBytes(text)));
  seen_ = {};
  return {};
}

Result<std::string> ApiTokenStore::Add(const ApiTokenRecord& token, Random& random) {
  RETURN_IF_ERROR(CheckName(token.name, "token name"));
  TRIBUTARY_CHECK(token.role != HttpAccess::kOpen) << "a token without a role";
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const FileLock file_lock, FileLock::Wait(file_));
  RETURN_IF_ERROR(Reload());
  const auto same = [&](const Entry& entry) { return entry.token.name == token.name; };
  if (std::ranges::any_of(entries_, same)) {
    return Fail(Code::kAlreadyExists, "there is a token of the name '{}'", token.name);
  }
  Bytes secret(32);
  random.Fill(secret);
  std::string text = "trb_" + ToHex(secret);
  std::vector<Entry> entries = entries_;
  entries.push_back({Sha256(AsBytes(text)), token});
  RETURN_IF_ERROR(Write(entries));
  return text;
}

Result<ApiTokenRecord> ApiTokenStore::Remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const FileLock file_lock, FileLock::Wait(file_));
  RETURN_IF_ERROR(Reload());
  std::vector<Entry> entries = entries_;
  const auto found = std::ranges::find(entries, name, [](const Entry& entry) { return entry.token.name; });
  if (found == entries.end()) return Fail(Code::kNotFound, "no token '{}'", name);
  ApiTokenRecord removed = found->token;
  entries.erase(found);
  RETURN_IF_ERROR(Write(entries));
  return removed;
}

Result<ApiTokenRecord> ApiTokenStore::Check(std::string_view token, WallTime now) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Reload());
  if (entries_.empty()) {
    return Fail(Code::kUnauthorized,
                "this aggregator has no tokens yet; make one with 'tributary-aggregator token add NAME --role ROLE'");
  }
  const Digest hash = Sha256(AsBytes(token));
  const Entry* found = nullptr;
  for (const auto& entry : entries_) {  // all of them, so that the duration does not tell which
    if (EqualInConstantTime(entry.hash.view(), hash.view())) found = &entry;
  }
  if (!found) return Fail(Code::kUnauthorized, "the token is not one of this aggregator's");
  if (found->token.expires.unix_millis != 0 && found->token.expires <= now) {
    return Fail(Code::kUnauthorized, "the token '{}' has expired; ask for another", found->token.name);
  }
  return found->token;
}

Result<std::vector<ApiTokenRecord>> ApiTokenStore::Tokens() {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Reload());
  std::vector<ApiTokenRecord> tokens;
  for (const auto& entry : entries_) tokens.push_back(entry.token);
  return tokens;
}

}  // namespace tributary
