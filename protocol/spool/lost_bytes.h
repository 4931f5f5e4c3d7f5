#pragma once

#include <functional>

#include "protocol/spool/spooled_upload.h"

namespace tributary {

// How many bytes of a complete upload's payload are gone: 0 when its digest is right; those from the first chunk that
// cannot be read; all of them when it has its length and another digest. `read` gives a chunk; it fails with kCorrupt,
// kNotFound or kUnknownUpload where there is none. Errors: its others.
Result<uint64_t> LostBytes(const SpooledUpload& upload, const std::function<Result<Bytes>(uint32_t chunk)>& read);

}  // namespace tributary
