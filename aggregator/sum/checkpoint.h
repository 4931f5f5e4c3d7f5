#pragma once

#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"

namespace tributary {

// Writes a sum to `path`, durable on return (written beside, synced, renamed, folder synced), and reads it back. The
// file is the serialised sum followed by its SHA-256; the caller's database names the file that counts, so two
// generations lie side by side until the transaction with the contribution keys commits.
Status WriteCheckpoint(FileSystem& files, const Path& path, const WeightedSum& sum);
// kNotFound, kCorrupt (the digest does not fit; the message says the size).
Result<WeightedSum> ReadCheckpoint(FileSystem& files, const Path& path);

}  // namespace tributary
