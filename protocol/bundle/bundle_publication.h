#pragma once

#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/catalogue/publication.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// A publication with the blobs it names, in a folder: publication.bin and blobs/<digest>. Bundles, a gateway's relay
// store and its drop folder are all laid out like that.

// Every blob of it once.
std::vector<BlobRef> BlobsOf(const Publication& publication);

// Reads the publication in `folder`, verified at `now`. kNotFound: none; the errors of OpenPublication, also kExpired: an expired
// publication is not installed anywhere.
Result<Publication> ReadPublication(FileSystem& files, const Path& folder, const TrustAnchor& anchor, WallTime now);

// Reads the whole file. kNotFound, kIo, kDigestMismatch (also for another length).
Status CheckBlob(FileSystem& files, const Path& blob, const BlobRef& expected);

struct CopiedPublication {
  uint64_t number = 0;        // in `from`
  uint64_t there_before = 0;  // the number in `to`, 0: none
  bool copied = false;        // false: `to` had the same, or a newer one, which stays
  uint64_t blob_bytes = 0;
};
// Copies the publication when it is newer, blobs first, each checked against its digest; goes on where an earlier copy
// was interrupted. Blobs that only the older one named are removed from `to`. kNotFound: none in `from`; the errors of
// OpenPublication; kMissingData: a blob is not in `from`; kDigestMismatch: a blob is damaged; kDiskFull, kReadOnly,
// kIo.
Result<CopiedPublication> CopyPublication(FileSystem& files, const Path& from, const Path& to,
                                          const TrustAnchor& anchor, WallTime now);

}  // namespace tributary
