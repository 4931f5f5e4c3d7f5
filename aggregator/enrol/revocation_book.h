#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "aggregator/enrol/member_issuer.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The fleet's revocation lists: this issuer's, which grows here; those of former issuers, as they were last signed; and
// one by the CA itself, made where its key is and put beside as a file. One thread. Writing is in two steps: Next in
// the caller's transaction, Adopt once that is durable, which cannot fail any more.
class RevocationBook {
 public:
  struct Parts {
    FileSystem& files;
    CertificateTable& table;
    const MemberIssuer* issuer;  // null: none
    TrustAnchor anchor;          // is told who is revoked
    Path ca_file;                // empty: none is configured; may be absent until there is something to revoke
  };
  // kMalformed, kBadSignature, kUnknownCertificate, kTooLarge: the file is not a list of this fleet.
  static Result<RevocationBook> Open(const Parts& parts);

  // As protocol/trust/identity/revocation_list.h; empty while nobody was revoked.
  const std::string& text() const { return text_; }
  // Of this issuer's newest list; 0: there is none.
  uint64_t number() const;
  // The next list gets a higher number than this.
  void GoAbove(uint64_t number) { floor_ = std::max(floor_, number); }
  // A list that was signed and read again, but is not believed yet.
  struct Revision {
    StoredRevocations own;
    std::string text;  // with everybody's
    RevocationList read;
  };
  // Signs, with the next number, all that the table says is revoked, and writes it. `forgets`: without those that ended
  // long ago, which `now` has to be right for. kTooLarge.
  Result<Revision> Next(WallTime now, bool forgets);
  void Adopt(Revision revision);
  // A third of its life is left, or it was signed by a clock that was set back since. Never when there is no list.
  bool RenewalDue(WallTime now) const;
  // Takes up another file of the CA. Whether the text changed.
  Result<bool> ReadCaFile();

 private:
  explicit RevocationBook(Parts parts) : parts_(std::move(parts)) {}
  std::string TextOf(const std::vector<StoredRevocations>& lists, const std::string& ca_text) const;
  Status Believe(std::string text);
  std::vector<StoredRevocations> With(StoredRevocations list) const;
  const StoredRevocations* Own() const;

  Parts parts_;
  std::vector<StoredRevocations> lists_;
  uint64_t floor_ = 0;
  std::string ca_text_;
  std::string text_;
};

}  // namespace tributary
