#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace tributary {

// One line of the audit log. `before` and `after` are JSON: what the change was about, without secrets.
struct AuditEntry {
  uint64_t sequence = 0;  // 1, 2, 3 …
  WallTime time{};
  std::string actor{};           // an API token's name, or "tool:" and who ran the tool
  std::string action{};          // "task.create"
  std::string target{};          // "tasks/digits"
  std::string before = "null";   // as it was; null: it was not there
  std::string after = "null";    // as it is now; null: it is gone, or nothing was changed
  std::string outcome = "done";  // "begun", "done", or the code of why it was not done
  uint64_t begun = 0;            // at its end: the entry it began with; 0 for entries that stand alone
  Digest previous{};             // hash of the entry before; zeros for the first
  Digest hash{};
};

// A line is canonical JSON: keys sorted, no blanks, UTF-8, and no line break. Its `hash` is the SHA-256 of the same
// line without the member `hash`, and covers `previous`, so each entry vouches for all before it:
//   {"action":"rounds.cancel","actor":"alice","after":{…},"before":{…},"begun":6,"hash":"9c…","outcome":"done",
//    "previous":"41…","sequence":7,"target":"tasks/digits","time":"2026-01-01T00:00:00.000Z"}
// By other means: jq -Sc 'del(.hash)' | tr -d '\n' | sha256sum
// Fills in `hash`. Values of over kAuditValueBytes are replaced by their length and SHA-256.
inline constexpr size_t kAuditValueBytes = size_t{16} * 1024;
std::string SealAuditEntry(AuditEntry& entry);
// kCorrupt: not a line as above, byte for byte, or its hash is another.
Result<AuditEntry> AuditEntryFromLine(std::string_view line);

// A page as the API answers it. `damage`: why there is nothing behind the last entry that can be believed.
struct AuditPage {
  std::vector<AuditEntry> entries;
  std::optional<uint64_t> next;  // ask for what is after this one; absent on the last page
  uint64_t head_sequence = 0;
  Digest head;
  std::optional<Error> damage;
};
std::string ToJson(const AuditPage& page);
// One object of a page, as the line it was. kMalformed.
Result<std::string> AuditLineOfJson(std::string_view object);

}  // namespace tributary
