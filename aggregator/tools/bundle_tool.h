#pragma once

#include "aggregator/options.h"
#include "protocol/base/clock.h"

namespace tributary {

// Disks that are carried by hand (protocol/bundle), at the top of the tree. Both run beside the daemon and tell on
// standard output what happened, what is safe and what to do next.

// Carries the uploads on the disk into the running daemon, writes receipts for those that are counted, and puts the
// publication with its blobs on the disk. Ends when nothing moved for `patience`. An error: something is left, or the
// daemon does not run (kUnreachable).
Status ImportFromDisk(const AggregatorOptions& options, const Path& disk, Millis patience);
// Puts the publication with its blobs on the disk, for sites without a link. Needs no daemon.
Status ExportToDisk(const AggregatorOptions& options, const Path& disk);

}  // namespace tributary
