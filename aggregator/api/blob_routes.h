#pragma once

#include "aggregator/api/route.h"

namespace tributary {

// Adds /blobs/{digest}: TorchScript modules and weights by their SHA-256. A blob comes in through the core thread in
// pieces of a MiB and counts when its digest is right; two uploads of the same blob may run at once. It goes out as a
// file, without the core thread. An upload of a blob that is there already is read, thrown away and answered with 200.
void AddBlobRoutes(HttpServer& server, const ApiParts& parts);

}  // namespace tributary
