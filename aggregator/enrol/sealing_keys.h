#pragma once

#include <memory>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/publication.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary {

// The aggregator's HPKE keys: one that devices seal to now, and former ones that still open until their end.
// A file per key, `sealing/<key id hex>.key` of mode 0600, and `sealing/index.json` with their dates; all durable
// before a key is published. One thread.
class SealingKeys {
 public:
  // Makes the first key when there is none; takes over `sealing.key` of an older data folder. kMissingData and kCorrupt
  // name the file; kPermissions: others may read it.
  static Result<SealingKeys> Open(FileSystem& files, const Path& data_dir, WallTime now);

  const HpkeKeyPair& current() const;
  // nullptr: unknown, or over at `now`.
  const HpkeKeyPair* Find(const KeyId& id, WallTime now) const;
  // For the publication: former keys with the time until which uploads sealed to them are opened.
  std::vector<FormerSealingKey> Former(WallTime now) const;
  // A new current key; the present one opens for `overlap` more. Durable on return; nothing changed on an error.
  Status Rotate(WallTime now, Millis overlap);
  // Removes (and wipes) those whose time is over. How many.
  Result<size_t> DropEnded(WallTime now);

 private:
  struct Key;
  using Keys = std::vector<std::shared_ptr<const Key>>;
  SealingKeys(FileSystem& files, Path folder) : files_(&files), folder_(std::move(folder)) {}
  Path FileOf(const KeyId& id) const { return folder_ / (id.hex() + ".key"); }
  Path IndexFile() const { return folder_ / "index.json"; }
  Status Begin(const Path& older, WallTime now);
  Status Load(ByteView index);
  Status RemoveStrays(const Path& older);
  Result<std::shared_ptr<const Key>> SaveKey(HpkeKeyPair pair, WallTime now);
  Status SaveIndex(const Keys& keys);
  FileSystem* files_;
  Path folder_;
  Keys keys_;  // the current one last
};

}  // namespace tributary
