#pragma once

#include <optional>
#include <string>

#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

struct ContributionQuestion {
  TaskId task;
  ModelVersion version{};
  std::optional<Path> proof;  // what the aggregator answered; absent: how to ask it
};

// Says how to ask the aggregator whether an update of this device is in a version, or whether what it answered proves it:
// the manifest is signed by the publication's key, the version is the one in question, and the path leads from one of this
// device's own uploads to the manifest's root. Reads the device's folder only; the daemon may run meanwhile. kNotFound: the
// device has delivered no update of the task that it remembers; kDigestMismatch: the proof is not of this version, or of none
// of this device's updates; those of CheckProof and PublicationStore::ReadAdopted.
Result<std::string> ProveContribution(FileSystem& files, const Path& data_dir, const TrustAnchor& anchor,
                                      const ContributionQuestion& question);

}  // namespace tributary
