#pragma once

#include <string>

#include "aggregator/api/route.h"
#include "aggregator/records/records.h"

// Tasks, the model versions that their rounds made, and the blobs of both, as openapi.yaml describes them.
namespace tributary {

class BlobStore;
class TufShelf;

// Adds /tasks, /tasks/{task}/versions with pin and unpin, and /tasks/{task}/prune. A task's own JSON is in json_tasks.h.
void AddTaskRoutes(HttpServer& server, const ApiParts& parts);

// {"keep": 20}: the newest versions whose weights stay, 8 or more. kInvalidArgument.
Result<uint64_t> PruneRequestFromJson(std::string_view body);

std::string ToJson(const VersionRecord& version);

// Adds /blobs/{digest}: TorchScript modules and weights by their SHA-256. A blob comes in through the core thread in
// pieces of a MiB and counts when its digest is right; two uploads of the same blob may run at once. It goes out as a
// file, without the core thread. An upload of a blob that is there already is read, thrown away and answered with 200.
void AddBlobRoutes(HttpServer& server, const ApiParts& parts);

// Adds /tuf/metadata/ and /tuf/targets/: the publication as a TUF 1.0 repository over HTTP, open to everybody, since
// whoever reads it verifies it from the root metadata. Both must outlive the server's Stop.
void AddTufRoutes(HttpServer& server, const TufShelf& shelf, const BlobStore& blobs);

}  // namespace tributary
