#pragma once

#include <string>

#include "gateway/desk/order.h"
#include "gateway/options.h"

namespace tributary {

// What the tools print. Lists in plain text, or as JSON for programs.
enum class ListForm { kTable, kJson };

// An id as a person gives it. kInvalidArgument says how one looks.
Result<UploadId> UploadOf(const std::string& text);
// `spool check`: compares every payload with its digest, also beside a running daemon. kCorrupt: something is damaged.
Status CheckSpoolHere(const GatewayOptions& options, ListForm form);
// `dead-letter list`, the newest first.
Status ListDeadLetters(const GatewayOptions& options, ListForm form);
// `dead-letter show ID`. kUnknownUpload.
Status ShowDeadLetter(const GatewayOptions& options, const std::string& id, ListForm form);
// `dead-letter requeue ID`, `dead-letter purge ID|--all`: by the daemon, or, when none runs, here.
Status OrderDeadLetters(const GatewayOptions& options, const Order& order);

}  // namespace tributary
