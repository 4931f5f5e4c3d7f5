#include "protocol/member/server_keys.h"

#include <algorithm>
#include <sstream>

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr size_t kMostBytes = 1'024;

}  // namespace

Result<Bytes> ServerKeyOf(const std::string& text) {
  auto key = FromHex(text);
  if (key && key->size() == kCurveKeyBytes) return key;
  return Fail(Code::kConfigInvalid,
              "server key '{}' must be 64 hexadecimal digits, as `tributary ca key DIR` prints them", text);
}

Result<HopClient::Options> HopOptionsFor(const ServerAddress& server, int64_t retry_cap_seconds) {
  HopClient::Options options;
  options.endpoint = server.endpoint;
  ASSIGN_OR_RETURN(options.server_key, ServerKeyOf(server.server_key));
  options.retry_cap = Millis(retry_cap_seconds * 1000);
  return options;
}

ServerKeys ServerKeys::Load(FileSystem& files, Path file, Bytes configured) {
  ServerKeys keys(files, std::move(file), std::move(configured));
  const auto bytes = ReadFile(files, keys.file_, kMostBytes);
  if (!bytes) {
    if (bytes.error().code != Code::kNotFound) LogFailure(LogLevel::kWarning, "server_keys.unreadable", bytes.error());
    return keys;
  }
  std::istringstream lines{std::string(AsText(*bytes))};
  for (std::string line; std::getline(lines, line) && keys.learned_.size() < kKept;) {
    auto key = FromHex(line);
    if (key && key->size() == kCurveKeyBytes) {
      keys.learned_.push_back(std::move(*key));
    } else {
      LogWarning("server_keys.damaged", {{"file", keys.file_.string()}});
    }
  }
  return keys;
}

Status ServerKeys::Learn(const Bytes& key) {
  if (std::ranges::find(learned_, key) != learned_.end()) return {};
  if (learned_.empty() && key == configured_) return {};
  std::vector<Bytes> learned = learned_;
  learned.insert(learned.begin(), key);
  if (learned.size() > kKept) learned.resize(kKept);
  std::string text;
  for (const Bytes& one : learned) text += ToHex(one) + "\n";
  RETURN_IF_ERROR(WriteFileAtomically(*files_, file_, AsBytes(text)));
  learned_ = std::move(learned);
  return {};
}

}  // namespace tributary
