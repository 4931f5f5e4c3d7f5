#pragma once

#include "protocol/publication/publication.h"

// The publication's bytes, for the .cc files of this folder.
namespace tributary {

Bytes EncodePublication(const Publication& publication);
// Form and bounds of every field; believes nothing yet. Errors: kMalformed, kTooLarge.
Result<Publication> DecodePublication(ByteView body);

// A publication that this member verified and kept itself, so it may have expired meanwhile, and its publisher's
// certificate too: the chain then has to verify at the time the publication was made. Errors: those of OpenPublication
// but kExpired.
Result<Publication> OpenKeptPublication(ByteView signed_bytes, const TrustAnchor& anchor, WallTime now);

}  // namespace tributary
