#pragma once

#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

// `sealing/index.json`: which keys there are and until when, the current one last. Private to this folder.
//   {"keys": [{"id": "8f…", "made": 1767225600000, "until": 1768435200000}, {"id": "03…", "made": 1767830400000}]}
// Times are milliseconds since 1970; the current key has no end.
namespace tributary {

struct SealingIndexEntry {
  KeyId id;
  WallTime made;
  WallTime until;  // 0: the current key
};

Bytes EncodeSealingIndex(const std::vector<SealingIndexEntry>& entries);
// kCorrupt: another form, or not exactly one current key, at the end.
Result<std::vector<SealingIndexEntry>> DecodeSealingIndex(ByteView bytes);

}  // namespace tributary
