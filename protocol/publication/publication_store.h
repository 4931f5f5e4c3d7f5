#pragma once

#include <memory>
#include <optional>

#include "protocol/base/file.h"
#include "protocol/publication/publication.h"

namespace tributary {

// Keeps the newest verified publication of one member in a file, and never goes back. Used by devices and gateways
// alike. Not thread safe. Does not promise freshness: only that nothing older than what was once seen is ever taken.
class PublicationStore {
 public:
  // Reads what was kept. A kept publication that has expired since is still served (a device runs its present model for
  // ever) but says so in `expired(now)`. A file that does not verify is set aside beside it as publication.bad, and the
  // store starts empty and says so in `damage()`, which the caller logs. Errors: those of the file system.
  static Result<PublicationStore> Open(FileSystem& files, const Path& file, const TrustAnchor& anchor, WallTime now);

  // Verifies and, when newer, keeps it durably. Returns whether it was newer. Errors: those of OpenPublication and
  // of the file system (nothing changes then); kRollback: its number is lower than the kept one's, or the same with
  // other content.
  Result<bool> Take(ByteView signed_bytes, WallTime now);

  const std::optional<Publication>& current() const { return current_; }
  // kCorrupt and what was lost, when what was kept did not verify.
  const std::optional<Error>& damage() const { return damage_; }
  const Bytes& current_bytes() const { return bytes_; }
  uint64_t number() const { return current_ ? current_->number : 0; }
  bool expired(WallTime now) const { return current_ && current_->expires <= now; }

 private:
  PublicationStore(FileSystem& files, Path file, const TrustAnchor& anchor)
      : files_(&files), file_(std::move(file)), anchor_(anchor) {}
  FileSystem* files_;
  Path file_;
  TrustAnchor anchor_;
  std::optional<Publication> current_;
  Bytes bytes_;
  std::optional<Error> damage_;
};

}  // namespace tributary
