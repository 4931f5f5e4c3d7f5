#pragma once

#include <map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/publication.h"

namespace tributary {

// The times at which the aggregator's former sealing keys end, as publications have named them. A time is remembered
// when later publications name it no more. Only a key that a publication has named is ever over: one that this gateway
// does not know may be newer than its publication, and a device may have it from elsewhere.
//
// The file is text, a line for each key: its id in hexadecimal, " ", Unix milliseconds. Value type, not thread safe. It
// does not promise to remember all keys: it forgets the oldest, and uploads that are sealed to them are refused above.
class KeyEnds {
 public:
  static constexpr size_t kMost = 64;

  // An absent file is none. What is damaged is left out.
  static KeyEnds Load(FileSystem& files, Path file);
  // A failure to keep them is logged: the next publication says most of it again.
  void Note(const Publication& publication);
  bool IsOver(const KeyId& key, WallTime now) const;
  std::vector<KeyId> Over(WallTime now) const;

 private:
  KeyEnds(FileSystem& files, Path file) : files_(&files), file_(std::move(file)) {}
  FileSystem* files_;
  Path file_;
  std::map<KeyId, WallTime> ends_;
};

}  // namespace tributary
