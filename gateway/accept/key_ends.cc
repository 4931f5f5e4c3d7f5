#include "gateway/accept/key_ends.h"

#include <algorithm>
#include <sstream>
#include <string>

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr size_t kMostBytes = 64 * KeyEnds::kMost;

}  // namespace

KeyEnds KeyEnds::Load(FileSystem& files, Path file) {
  KeyEnds ends(files, std::move(file));
  const auto bytes = ReadFile(files, ends.file_, kMostBytes);
  if (!bytes) return ends;
  std::istringstream lines{std::string(AsText(*bytes))};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hex;
    int64_t until = 0;
    words >> hex >> until;
    const auto key = KeyId::FromHex(hex);
    if (words && key) {
      ends.ends_[*key] = {until};
    } else {
      LogWarning("key_ends.damaged", {{"file", ends.file_.string()}});
    }
  }
  return ends;
}

void KeyEnds::Note(const Publication& publication) {
  std::map<KeyId, WallTime> ends = ends_;
  for (const FormerSealingKey& former : publication.former_keys) ends[former.id] = former.until;
  while (ends.size() > kMost) {
    ends.erase(std::ranges::min_element(ends, {}, [](const auto& entry) { return entry.second; }));
  }
  if (ends == ends_) return;
  ends_ = std::move(ends);
  std::string text;
  for (const auto& [key, until] : ends_) text += key.hex() + " " + std::to_string(until.unix_millis) + "\n";
  if (const Status kept = WriteFileAtomically(*files_, file_, AsBytes(text)); !kept)
    LogFailure(LogLevel::kWarning, "key_ends.not_kept", kept.error());
}

bool KeyEnds::IsOver(const KeyId& key, WallTime now) const {
  const auto found = ends_.find(key);
  return found != ends_.end() && found->second <= now;
}

std::vector<KeyId> KeyEnds::Over(WallTime now) const {
  std::vector<KeyId> over;
  for (const auto& [key, until] : ends_) {
    if (until <= now) over.push_back(key);
  }
  return over;
}

}  // namespace tributary
