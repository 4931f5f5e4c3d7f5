#pragma once

#include "protocol/base/http/http_server.h"

namespace tributary {

class BlobStore;
class TufShelf;

// Adds /tuf/metadata/ and /tuf/targets/: the publication as a TUF 1.0 repository over HTTP, open to everybody, since
// whoever reads it verifies it from the root metadata. Both must outlive the server's Stop.
void AddTufRoutes(HttpServer& server, const TufShelf& shelf, const BlobStore& blobs);

}  // namespace tributary
