#pragma once

#include <map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/catalogue/publication.h"

namespace tributary {

// Until when uploads sealed to the aggregator's former keys are opened, as publications have said it; also after they
// stopped saying so. Only what a publication has named is ever over: a key that this gateway does not know may be one
// that is newer than its publication, which a device has from elsewhere.
//
// Kept in a file, text, a line for each: the key's id in hexadecimal, " ", Unix milliseconds. Value type, not thread
// safe. Does not promise to remember all: the oldest are forgotten, and what is sealed to them is then refused above.
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
