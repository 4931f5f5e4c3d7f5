#pragma once

#include "protocol/base/ids.h"
#include "protocol/trust/tuf/trusted_metadata.h"

// What a member believes, as it lies in its own file (TrustedMetadata of schema/publication.capnp); for the .cc files
// of this folder.
namespace tributary {

// `anchor`: SHA-256 of the root metadata that the member was given.
Bytes EncodeTrusted(const Digest& anchor, const tuf::TrustedFiles& files);
// kMalformed, kTooLarge: damaged. kConflict: of a member that was given another root.
Result<tuf::TrustedFiles> DecodeTrusted(ByteView bytes, const Digest& anchor);
inline constexpr size_t kTrustedBytes = limits::kRootBytes + limits::kTimestampBytes + limits::kSnapshotBytes + 1024;

}  // namespace tributary
