#pragma once

#include "protocol/catalogue/publication.h"

// The catalogue's bytes, for the .cc files of this folder. Number, root version, expiry and revocations are not among
// them: the metadata says those.
namespace tributary {

Bytes EncodePublication(const Publication& publication);
// Form and bounds of every field; believes nothing yet. Errors: kMalformed, kTooLarge.
Result<Publication> DecodePublication(ByteView body);

}  // namespace tributary
