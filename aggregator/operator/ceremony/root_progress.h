#pragma once

#include "aggregator/operator/ceremony/root_options.h"

namespace tributary {

// The CA's folder, if one was named, hands root.json to every identity that is issued from then on.
Status CopyToCa(const RootOptions& options, uint64_t version);

// Says which signatures a root still wants and how to give them. One that has them all is copied to the CA.
Status SayProgress(const Context& context, const RootOptions& options, uint64_t version);

}  // namespace tributary
