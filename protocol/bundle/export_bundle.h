#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/bundle/bundle_publication.h"
#include "protocol/spool/spool_reader.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// What an export put on the disk.
struct BundleExport {
  uint64_t written = 0;  // uploads
  uint64_t written_bytes = 0;
  uint64_t there_before = 0;                        // from an earlier export to this disk
  uint64_t gone = 0;                                // left the spool while it was read: the uplink delivered them
  uint64_t no_room = 0;                             // did not fit
  std::vector<std::pair<UploadId, Error>> damaged;  // in the spool
  std::optional<Error> stopped;                     // why the disk takes nothing more, though it is not full
  std::optional<CopiedPublication> publication;
  std::optional<Error> no_publication;

  bool Whole() const { return no_room == 0 && !stopped; }
};

// Writes every upload in custody of a spool into a bundle, the important ones first, and the publication that the
// gateway holds in `relay`. Custody stays with the gateway until a receipt comes back or its uplink delivers. Also
// while a daemon works in the spool. Errors: the bundle's folder cannot be written to, or the spool cannot be read.
struct BundleExportParts {
  FileSystem& files;
  const TrustAnchor& anchor;
  WallTime now;
};
Result<BundleExport> ExportBundle(const BundleExportParts& parts, SpoolReader& spool, const Path& relay,
                                  const Path& bundle);

// In plain words, for whoever carries the disk: what happened, what is safe, what to do next.
std::string Tell(const BundleExport& report, const Path& bundle);

}  // namespace tributary
