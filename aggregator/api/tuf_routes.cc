#include "aggregator/api/tuf_routes.h"

#include "aggregator/publish/tuf_shelf.h"
#include "protocol/catalogue/blob_store.h"

namespace tributary {
namespace {

// A file whose name says which bytes it has never changes.
void CacheForEver(HttpResponse& response) { response.headers.emplace_back("Cache-Control", "public, immutable"); }

Result<HttpResponse> ServeTarget(const TufShelf& shelf, const BlobStore& blobs, const std::string& path) {
  ASSIGN_OR_RETURN(const TufShelf::Target target, shelf.Find(path));
  HttpResponse response;
  if (target.bytes) {
    response.body = std::string(AsText(*target.bytes));
  } else if (blobs.Has(target.blob.digest)) {
    response = HttpResponse::File(blobs.PathOf(target.blob.digest));
  } else {
    return Fail(Code::kNotFound, "no target " + path);
  }
  response.content_type = "application/octet-stream";
  CacheForEver(response);
  return response;
}

}  // namespace

void AddTufRoutes(HttpServer& server, const TufShelf& shelf, const BlobStore& blobs) {
  server.Add("GET", "/tuf/metadata/{file}", HttpAccess::kOpen,
             [&shelf](const HttpRequest& request) -> Result<HttpResponse> {
               const std::string& file = request.parameter("file");
               ASSIGN_OR_RETURN(const auto bytes, shelf.Metadata(file));
               HttpResponse response = HttpResponse::Json(std::string(AsText(*bytes)));
               if (file == "timestamp.json") {
                 response.headers.emplace_back("Cache-Control", "no-cache");
               } else {
                 CacheForEver(response);
               }
               return response;
             });
  server.Add("GET", "/tuf/targets/{folder}/{file}", HttpAccess::kOpen, [&shelf, &blobs](const HttpRequest& request) {
    return ServeTarget(shelf, blobs, request.parameter("folder") + "/" + request.parameter("file"));
  });
  server.Add(
      "GET", "/tuf/targets/models/{task}/{file}", HttpAccess::kOpen, [&shelf, &blobs](const HttpRequest& request) {
        return ServeTarget(shelf, blobs, "models/" + request.parameter("task") + "/" + request.parameter("file"));
      });
}

}  // namespace tributary
