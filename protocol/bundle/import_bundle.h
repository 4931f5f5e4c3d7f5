#pragma once

#include <map>
#include <optional>
#include <string>

#include "protocol/base/random.h"
#include "protocol/bundle/bundle_folder.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// The result of an import.
struct BundleImport {
  uint64_t found = 0;  // uploads on the disk
  uint64_t taken = 0;  // in custody here now
  uint64_t sent_bytes = 0;
  uint64_t left = 0;                 // still on the disk
  std::map<Code, uint64_t> passing;  // why: refusals that pass, as often as they came
  std::vector<BundleFolder::SetAside> set_aside;
  bool gives_receipts = false;      // this is the aggregator
  uint64_t receipts = 0;            // files written
  std::optional<Error> no_receipt;  // the disk could not be written to
  uint64_t publication = 0;         // on the disk now; 0: none
  std::optional<Error> problem;     // why it ended early

  bool Whole() const { return left == 0 && !no_receipt && !problem; }
};

struct BundleImportParts {
  const Clock& clock;
  Random& random;
  FileSystem& files;
  const Identity& identity;  // the daemon's own: it signs the receipts
};

// Carries a bundle's uploads into the daemon that listens at `endpoint` on this machine, over a session with the
// daemon's own identity, and puts the daemon's publication with its blobs on the disk for the way back. The aggregator
// writes a receipt for all that it took custody of and removes that from the disk. At a gateway the uploads stay on the
// disk, which may travel on: it has them as well now, but only the aggregator's receipt frees whoever sent them.
// Runs its own loop until nothing is left, or nothing has moved for `patience` (an
// aggregator gives custody with its next checkpoint). Importing again goes on where this ended. Errors: kNotFound: no
// such folder; kUnreachable: no daemon answered; the code with which the daemon refused the session.
Result<BundleImport> ImportBundle(const BundleImportParts& parts, const std::string& endpoint, const Path& bundle,
                                  Millis patience);

// Where a daemon that listens at `listen` can be reached on its own machine: tcp://0.0.0.0:7100 is
// tcp://127.0.0.1:7100.
std::string LocalEndpoint(const std::string& listen);

// In plain words, for whoever carries the disk. `here`: "gateway-1", "the aggregator".
std::string Tell(const BundleImport& report, const std::string& here);

}  // namespace tributary
