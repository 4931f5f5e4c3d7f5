#pragma once

#include <string>

#include "gateway/desk/drop_folder.h"
#include "gateway/options.h"

// The commands of tributary-gateway for people: each prints what it did, on standard output. They work beside the
// running daemon, through its drop folder or its port; when none runs, they hold the data folder themselves.
namespace tributary {

// Lists in plain text, or as JSON for programs.
enum class ListForm { kTable, kJson };

// `bundle export DIR`: reads the spool and copies it. kDiskFull, kIo …: not all of it is on the disk.
Status ExportToDisk(const GatewayOptions& options, const Path& disk);
// `bundle import DIR`: receipts and a newer publication first, then the uploads. Ends when nothing moved for `patience`.
// An error: not all of it was taken in.
Status ImportFromDisk(const GatewayOptions& options, const Path& disk, Millis patience);

// `rotate-key`: makes the next connection key, which the daemon announces and changes to. kConflict: there is one.
Status RotateKey(const GatewayOptions& options);

// `spool check`: compares every payload with its digest. kCorrupt: something is damaged.
Status CheckSpoolHere(const GatewayOptions& options, ListForm form);

// `spool partial`: uploads that have begun and are not whole, those first that got a chunk longest ago; of one device,
// or of all for an empty text. kInvalidArgument: no device's id.
Status ListPartial(const GatewayOptions& options, const std::string& device, ListForm form);

// An upload's id as a person gives it. kInvalidArgument says how one looks.
Result<UploadId> UploadOf(const std::string& text);
// `dead-letter list`, the newest first.
Status ListDeadLetters(const GatewayOptions& options, ListForm form);
// `dead-letter show ID`. kUnknownUpload.
Status ShowDeadLetter(const GatewayOptions& options, const std::string& id, ListForm form);
// `dead-letter requeue ID`, `dead-letter purge ID|--all`, `spool drop-partial DEVICE|--all`.
Status CarryOut(const GatewayOptions& options, const Order& order);

}  // namespace tributary
