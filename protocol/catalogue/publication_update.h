#pragma once

#include "protocol/catalogue/publication.h"
#include "protocol/catalogue/publication_set.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "protocol/trust/tuf/trusted_metadata.h"

// The whole client workflow over one publication, for the .cc files of this folder, and for the publisher, who reads
// its own again.
namespace tributary {

// Sections 5.3 to 5.7 of the TUF specification over one set, from what `trusted` believes; then that every blob which
// the catalogue names was signed. `trusted` keeps what it came to believe, also of a set that fails. Not looked at:
// whether the revocation list is the CA's own. Errors: those of OpenPublication.
Result<Publication> VerifySet(const PublicationSet& set, tuf::TrustedMetadata& trusted);

struct PublicationUpdate {
  Result<Publication> publication;
  tuf::TrustedFiles
      trusted;  // what is believed from now on; of a publication that failed, what came before the failure
};

// As a member takes it in. `kept`: what is believed so far. `update_start`: tuf::kAnyTime for a publication that was
// verified when it came and may have expired since.
PublicationUpdate UpdatePublication(ByteView bytes, const tuf::TrustedFiles& kept, const TrustAnchor& anchor,
                                    WallTime update_start);

}  // namespace tributary
