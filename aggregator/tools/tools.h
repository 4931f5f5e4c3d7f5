#pragma once

#include <string>

#include "aggregator/options.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"

// The aggregator's commands for people. All of them run beside the daemon.
namespace tributary {

// ---- `tributary-aggregator token`: who may use the API. The running daemon heeds a change at once. Each change is an
// entry of the audit log.

// Prints the token, once. `role`: viewer, operator, publisher or admin. `expires_days`: 0 for never.
Status AddToken(const AggregatorOptions& options, const std::string& name, const std::string& role,
                int64_t expires_days);
Status RemoveToken(const AggregatorOptions& options, const std::string& name);
// Name, role, created, expires.
Status ListTokens(const AggregatorOptions& options);

// ---- `tributary-aggregator bundle`: disks that are carried by hand (protocol/bundle), at the top of the tree. Both say
// on standard output what happened, what is safe and what to do next.

// Carries the uploads on the disk into the running daemon, writes receipts for those that are counted, and puts the
// publication with its blobs on the disk. Ends when nothing moved for `patience`. An error: something is left, or the
// daemon does not run (kUnreachable).
Status ImportFromDisk(const AggregatorOptions& options, const Path& disk, Millis patience);
// Puts the publication with its blobs on the disk, for sites without a link. Needs no daemon.
Status ExportToDisk(const AggregatorOptions& options, const Path& disk);

}  // namespace tributary
