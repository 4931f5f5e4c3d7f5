#include "aggregator/api/token_store.h"

#include <algorithm>
#include <sstream>

#include "protocol/base/limits.h"
#include "protocol/seal/digest.h"
#include "protocol/seal/secret.h"

namespace tributary {

Status TokenStore::Reload() {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto status = fs::status(file_, error);
  if (!fs::exists(status)) {
    entries_.clear();
    read_size_ = 0;
    return {};
  }
  constexpr auto kOthers = fs::perms::group_all | fs::perms::others_all;
  if ((status.permissions() & kOthers) != fs::perms::none) {
    return Fail(Code::kPermissions, file_.string() + " may be read or written by others; make it mode 0600");
  }
  const auto modified = fs::last_write_time(file_, error);
  const auto size = fs::file_size(file_, error);
  if (!error && modified == read_at_ && size == read_size_) return {};

  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(RealFileSystem(), file_, limits::kConfigBytes));
  std::vector<Entry> entries;
  std::istringstream lines{std::string(AsText(bytes))};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash;
    Entry entry;
    words >> hash >> entry.name >> entry.created;
    const auto digest = Digest::FromHex(hash);
    if (!words || !digest) {
      return Fail(Code::kCorrupt,
                  file_.string() + ":" + std::to_string(entries.size() + 1) + " is not '<hash> <name> <created>'");
    }
    entry.hash = *digest;
    entries.push_back(std::move(entry));
  }
  entries_ = std::move(entries);
  read_at_ = modified;
  read_size_ = size;
  return {};
}

Result<std::string> TokenStore::Add(std::string_view name, Random& random, WallTime now) {
  RETURN_IF_ERROR(CheckName(name, "token name"));
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Reload());
  if (std::ranges::find(entries_, name, &Entry::name) != entries_.end()) {
    return Fail(Code::kAlreadyExists, "there is a token of the name '" + std::string(name) + "'");
  }
  Bytes secret(32);
  random.Fill(secret);
  std::string token = "trb_" + ToHex(secret);
  std::vector<Entry> entries = entries_;
  entries.push_back({Sha256(AsBytes(token)), std::string(name), now.unix_millis});
  std::string text;
  for (const auto& entry : entries) {
    text += entry.hash.hex() + " " + entry.name + " " + std::to_string(entry.created) + "\n";
  }
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), file_, AsBytes(text)));
  entries_ = std::move(entries);
  read_size_ = 0;  // whatever its time stamp, read it again
  return token;
}

Result<std::string> TokenStore::Check(std::string_view token) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Reload());
  if (entries_.empty()) {
    return Fail(Code::kUnauthorized,
                "this aggregator has no tokens yet; make one with 'tributary-aggregator token add NAME'");
  }
  const Digest hash = Sha256(AsBytes(token));
  const Entry* found = nullptr;
  for (const auto& entry : entries_) {  // all of them, so that the duration does not tell which
    if (EqualInConstantTime(entry.hash.view(), hash.view())) found = &entry;
  }
  if (!found) return Fail(Code::kUnauthorized, "the token is not one of this aggregator's");
  return found->name;
}

Result<std::vector<std::string>> TokenStore::Names() {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Reload());
  std::vector<std::string> names;
  for (const auto& entry : entries_) names.push_back(entry.name);
  return names;
}

}  // namespace tributary
