#pragma once

#include "gateway/options.h"

namespace tributary {

// `bundle export DIR`: reads the spool, also beside a running daemon, and prints what was done. kDiskFull, kIo …: not
// all of it is on the disk.
Status ExportToDisk(const GatewayOptions& options, const Path& disk);

// `bundle import DIR`: receipts and a newer publication first, then the uploads; prints what was done. An error: not
// all of it was taken in.
Status ImportFromDisk(const GatewayOptions& options, const Path& disk, Millis patience);

}  // namespace tributary
