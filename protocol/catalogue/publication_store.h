#pragma once

#include <optional>

#include "protocol/base/file.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/catalogue/publication.h"
#include "protocol/catalogue/publication_set.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "protocol/trust/tuf/trusted_metadata.h"

namespace tributary {

// Who may sign what rounds make: the role's keys, and all that it chooses from.
struct RoundsKeys {
  tuf::Keys all;
  tuf::RoleKeys role;
};

// Keeps the newest verified publication of one member in a file, and beside it the metadata that it believes
// (<file>.trusted) and the newest revocation list (<file>.revoked); and never goes back. Tells the anchor who was
// revoked: a later publication without the list, by whoever stole the online keys, unrevokes nobody. Used by devices
// and gateways alike. Not thread safe. Does not promise freshness: only that nothing older than what was once seen is
// ever taken.
class PublicationStore {
 public:
  // Reads what was kept. A kept publication that has expired since is still served (a device runs its present model for
  // ever) but says so in `expired(now)`. A file that does not verify is set aside beside it as publication.bad, and the
  // store starts empty and says so in `damage()`, which the caller logs; what was believed stays believed. Errors:
  // those of the file system.
  static Result<PublicationStore> Open(FileSystem& files, const Path& file, const TrustAnchor& anchor);

  // For a folder that changes hands (a disk, an inbox): believes nothing that lies there, begins with the anchor's root
  // every time, and leaves nothing behind but the publication.
  static Result<PublicationStore> OpenCarried(FileSystem& files, const Path& file, const TrustAnchor& anchor);

  // The publication that another store has adopted in this file, verified again; it may have expired since. Changes nothing.
  // kNotFound: there is none; errors of OpenPublication and of the file system.
  static Result<Publication> ReadAdopted(FileSystem& files, const Path& file, const TrustAnchor& anchor);

  // The keys that it says may sign what rounds make. The same errors.
  static Result<RoundsKeys> ReadAdoptedKeys(FileSystem& files, const Path& file, const TrustAnchor& anchor);

  // The client workflow at `now` from what is believed so far. What became trusted is durable on return, also when the
  // publication as a whole does not verify. Errors: those of OpenPublication and of the file system; kRollback: older
  // than what was seen before, or the same number with other content.
  Result<Publication> Verify(ByteView bytes, WallTime now);
  // Whether it would be taken: newer than the current one, or the first.
  bool IsNewer(const Publication& publication) const { return !current_ || tributary::IsNewer(publication, *current_); }
  // Verifies and, when newer, keeps it durably. Returns whether it was newer. The errors of Verify (the publication
  // stays what it was then).
  Result<bool> Take(ByteView bytes, WallTime now);
  // Take for a publication whose blobs are all in `blobs`; then removes all others but those of the publication before,
  // which somebody below may still be fetching.
  Result<bool> TakeAndRetain(ByteView bytes, WallTime now, BlobStore& blobs);

  const std::optional<Publication>& current() const { return current_; }
  // kCorrupt and what was lost, when what was kept did not verify.
  const std::optional<Error>& damage() const { return damage_; }
  const Bytes& current_bytes() const { return bytes_; }
  // Of current_bytes.
  const Digest& current_digest() const { return digest_; }
  uint64_t number() const { return current_ ? current_->number : 0; }
  uint64_t root_version() const { return current_ ? current_->root_version : 0; }
  bool expired(WallTime now) const { return current_ && current_->expires <= now; }

 private:
  PublicationStore(FileSystem& files, Path file, const TrustAnchor& anchor);
  Status ReadTrusted();
  Status ReadRevoked();
  Status ReadKept();
  Result<Publication> VerifyKept(ByteView bytes, tuf::TrustedFiles* trusted) const;
  Status SetAside(const Error& why);
  Status SaveTrusted(tuf::TrustedFiles trusted);
  Status SaveRevoked(const std::string& text);
  void Adopt(Publication publication, Bytes bytes);

  FileSystem* files_;
  Path file_;
  TrustAnchor anchor_;
  tuf::TrustedFiles trusted_;
  RevocationList revoked_;  // as <file>.revoked has it
  bool carried_ = false;
  std::optional<Publication> current_;
  Bytes bytes_;
  Digest digest_;
  std::optional<Error> damage_;
};

// The metadata that a member believes, as its own file has it (TrustedMetadata of schema/publication.capnp).
// `anchor`: SHA-256 of the root metadata that the member was given.
Bytes EncodeTrusted(const Digest& anchor, const tuf::TrustedFiles& files);
// kMalformed, kTooLarge: damaged. kConflict: of a member that was given another root.
Result<tuf::TrustedFiles> DecodeTrusted(ByteView bytes, const Digest& anchor);

// Sections 5.3 to 5.7 of the TUF specification over one set, from what `trusted` believes; then that every blob which
// the catalogue names was signed. `trusted` keeps what it came to believe, also of a set that fails. Not looked at:
// whether the revocation list is the CA's own. Errors: those of OpenPublication.
Result<Publication> VerifySet(const PublicationSet& set, tuf::TrustedMetadata& trusted);

}  // namespace tributary
