#pragma once

#include "protocol/publication/publication.h"
#include "protocol/publication/trusted_metadata.h"

// The whole client workflow over one publication, for the .cc files of this folder.
namespace tributary {

struct PublicationUpdate {
  Result<Publication> publication;
  tuf::TrustedFiles
      trusted;  // what is believed from now on; of a publication that failed, what came before the failure
};

// `kept`: what is believed so far. `update_start`: tuf::kAnyTime for a publication that was verified when it came and
// may have expired since.
PublicationUpdate UpdatePublication(ByteView bytes, const tuf::TrustedFiles& kept, const TrustAnchor& anchor,
                                    WallTime update_start);

}  // namespace tributary
