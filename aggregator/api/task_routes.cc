#include "aggregator/api/task_routes.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/attempt_limit.h"
#include "aggregator/api/device_routes.h"
#include "aggregator/api/json_fields.h"
#include "aggregator/api/json_tasks.h"
#include "aggregator/publish/tuf_shelf.h"
#include "aggregator/release/tasks.h"
#include "protocol/base/limits.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/catalogue/module_archive.h"
#include "protocol/envelope/remembered_versions.h"

namespace tributary {
namespace {

// ---- tasks and versions

Json VersionJson(const VersionRecord& version) {
  return {{"task", version.task.text()},
          {"version", Number(version.version)},
          {"weights", BlobToJson(version.weights)},
          {"optimizer_state", version.optimizer_state ? BlobToJson(*version.optimizer_state) : Json()},
          {"parent", VersionOrNull(version.parent)},
          {"round", version.round == 0 ? Json() : Json(version.round)},
          {"created", Rfc3339(version.created)},
          {"restores", VersionOrNull(version.restores)},
          {"reason", TextOrNull(version.reason)},
          {"pinned", TextOrNull(version.pinned)},
          {"pruned", TimeOrNull(version.pruned)},
          {"metrics", MetricsToJson(version.metrics)}};
}

Result<std::string> PageOfVersions(const ApiParts& parts, const HttpRequest& request) {
  ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
  ASSIGN_OR_RETURN(const uint64_t after, NumberCursor(request));
  ASSIGN_OR_RETURN(const uint64_t limit, PageLimit(request));
  const auto read = [parts, task](const Slice<ModelVersion>& slice) { return parts.tasks.Versions(task, slice); };
  ASSIGN_OR_RETURN(auto versions, ReadPage(parts.core, ModelVersion{after}, limit, read,
                                           [](const VersionRecord& version) { return version.version; }));
  return Dump(PageToJson(std::move(versions), limit, &VersionJson,
                         [](const VersionRecord& last) { return std::to_string(Number(last.version)); }));
}

// On the HTTP server's thread: the core is not kept from its work while a large file is read.
Status CheckModule(const BlobStore& blobs, const BlobRef& module, const TaskManifest& manifest) {
  const auto size = blobs.Size(module.digest);
  if (!size || *size != module.size) return {};  // creating the task says so
  ASSIGN_OR_RETURN(const Bytes bytes, blobs.ReadAll(module.digest));
  auto fine = CheckModuleOf(manifest, bytes);
  if (!fine) fine.error().message.insert(0, "module: ");
  return fine;
}

Result<ChangeMade> CreateTask(const ApiParts& parts, const TaskRequest& wanted) {
  RETURN_IF_ERROR(CheckModule(parts.tasks.blobs(), wanted.task.module, wanted.task.manifest));
  ASSIGN_OR_RETURN(const TaskRecord made,
                   parts.core.Run([parts, wanted] { return parts.tasks.Create(wanted.task, wanted.weights); }));
  HttpResponse response = HttpResponse::Json(ToJson(made), 201);
  response.headers.emplace_back("Location", "/api/v1/tasks/" + made.id.text());
  return ChangeMade{std::move(response), {"null", ToJson(made)}};
}

// Pins, or with an empty reason unpins.
Result<ChangeMade> PinVersion(const ApiParts& parts, const TaskId& task, ModelVersion version,
                              const std::string& reason) {
  using BeforeAndAfter = std::pair<VersionRecord, VersionRecord>;
  ASSIGN_OR_RETURN(const BeforeAndAfter changed, parts.core.Run([=]() -> Result<BeforeAndAfter> {
    ASSIGN_OR_RETURN(VersionRecord before, parts.tasks.Version(task, version));
    ASSIGN_OR_RETURN(VersionRecord after, parts.tasks.Pin(task, version, reason));
    return BeforeAndAfter(std::move(before), std::move(after));
  }));
  const auto& [before, after] = changed;
  return ChangeMade{HttpResponse::Json(ToJson(after)), {ToJson(before), ToJson(after)}};
}

// In turns on the core thread. One that fails leaves what the turns before it did, which is right as it is.
Result<ChangeMade> PruneVersions(const ApiParts& parts, const TaskId& task, uint64_t keep) {
  Pruned all;
  for (std::optional<ModelVersion> after = ModelVersion{}; after;) {
    ASSIGN_OR_RETURN(const Pruned some, parts.core.Run([parts, task, keep, from = *after] {
      return parts.tasks.Prune(task, keep, from);
    }));
    all.versions += some.versions;
    all.bytes += some.bytes;
    after = some.last;
  }
  const std::string done =
      Dump(Json{{"task", task.text()}, {"keep", keep}, {"versions", all.versions}, {"bytes", all.bytes}});
  return ChangeMade{HttpResponse::Json(done), {"null", done}};
}

// ---- blobs

// One turn on the core thread per this many bytes: few enough turns, and none of them long.
constexpr size_t kPiece = limits::kMiB;

Result<Digest> DigestOfPath(const HttpRequest& request) {
  auto digest = Digest::FromHex(request.parameter("digest"));
  if (!digest) return Fail(Code::kUnknownBlob, "'{}' is not a SHA-256 in hexadecimal", request.parameter("digest"));
  return digest;
}

Error WhyAbsent(const CoreCall& core, Tasks& tasks, const Digest& digest) {
  const Status why = core.Run([&tasks, digest] { return tasks.WhyAbsent(digest); });
  return why ? Error{Code::kUnknownBlob, fmt::format("no blob {}", digest.hex())} : why.error();
}

// A blob on its way in. Two uploads of the same blob may run at once: each adds what the part does not have yet, and if
// one of them lies about its bytes both fail at the digest.
class BlobUpload final : public HttpUpload {
 public:
  BlobUpload(const ApiParts& parts, std::string actor, const Digest& digest)
      : parts_(parts), actor_(std::move(actor)), digest_(digest) {}

  Status Take(ByteView piece) override {
    Append(pending_, piece);
    return pending_.size() < kPiece ? Status() : Flush();
  }

  Result<HttpResponse> Finish() override {
    RETURN_IF_ERROR(Flush());
    const BlobRef blob{digest_, flushed_};
    const AuditEntry what{.actor = actor_, .action = "blob.put", .target = "blobs/" + digest_.hex()};
    RETURN_IF_ERROR(RunAudited(parts_.audit, what, [&]() -> Result<AuditValues> {
      const Status done = parts_.core.Run([&tasks = parts_.tasks, blob]() -> Status {
        if (tasks.blobs().Has(blob.digest)) return {};  // the other upload was first
        return tasks.mutable_blobs().Complete(blob);
      });
      if (!done) return Fail(done.error());
      return AuditValues{"null", ToJson(blob)};
    }));
    return HttpResponse::Json(ToJson(blob), 201);
  }

 private:
  Status Flush() {
    if (pending_.empty()) return {};
    const uint64_t offset = flushed_;
    flushed_ += pending_.size();
    auto piece = std::make_shared<const Bytes>(std::exchange(pending_, {}));
    return parts_.core.Run([&tasks = parts_.tasks, digest = digest_, offset, piece]() -> Status {
      BlobStore& blobs = tasks.mutable_blobs();
      if (blobs.Has(digest)) return {};
      const uint64_t there = blobs.PartSize(digest);
      if (there >= offset + piece->size()) return {};
      const uint64_t skip = there > offset ? there - offset : 0;
      return blobs.AppendPart(digest, offset + skip, ByteView(*piece).subspan(skip));
    });
  }

  const ApiParts parts_;
  const std::string actor_;
  const Digest digest_;
  uint64_t flushed_ = 0;
  Bytes pending_;
};

// The blob is there already: its bytes are read and thrown away.
class IgnoredUpload final : public HttpUpload {
 public:
  explicit IgnoredUpload(const BlobRef& blob) : blob_(blob) {}
  Status Take(ByteView) override { return {}; }
  Result<HttpResponse> Finish() override { return HttpResponse::Json(ToJson(blob_), 200); }

 private:
  const BlobRef blob_;
};

// Adds the routes of what is kept and what goes.
void AddRetentionRoutes(HttpServer& server, const ApiParts& parts) {
  for (const bool pin : {true, false}) {
    const std::string verb = pin ? "pin" : "unpin";
    AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/versions/{version}/" + verb, HttpAccess::kOperator,
              "models." + verb, [parts, pin](const HttpRequest& request) -> Result<Change> {
                ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
                ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "version", Code::kUnknownVersion));
                ASSIGN_OR_RETURN(const std::string reason, ReasonFromJson(request.body));
                return Change{fmt::format("tasks/{}/versions/{}", task.text(), number),
                              [=] { return PinVersion(parts, task, ModelVersion{number}, pin ? reason : ""); }};
              });
  }
  AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/prune", HttpAccess::kOperator, "models.prune",
            [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
              ASSIGN_OR_RETURN(const uint64_t keep, PruneRequestFromJson(request.body));
              return Change{"tasks/" + task.text(), [=] { return PruneVersions(parts, task, keep); }};
            });
}

// ---- the publication

// A file whose name says which bytes it has never changes.
constexpr const char* kForEver = "public, immutable";

Result<HttpResponse> ServeTarget(const TufShelf& shelf, const BlobStore& blobs, const std::string& path) {
  ASSIGN_OR_RETURN(const TufShelf::Target target, shelf.Find(path));
  HttpResponse response;
  if (target.bytes) {
    response.body = std::string(AsText(*target.bytes));
  } else if (blobs.Has(target.blob.digest)) {
    RETURN_IF_ERROR(blobs.Check(target.blob.digest));
    response = HttpResponse::File(blobs.PathOf(target.blob.digest));
  } else {
    return Fail(Code::kNotFound, "no target " + path);
  }
  response.content_type = "application/octet-stream";
  response.headers.emplace_back("Cache-Control", kForEver);
  return response;
}

}  // namespace

std::string ToJson(const VersionRecord& version) { return Dump(VersionJson(version)); }

Result<uint64_t> PruneRequestFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  uint64_t keep = 0;
  Fields fields(json);
  fields.Whole("keep", keep, kRememberedVersions, 1'000'000'000, true);
  RETURN_IF_ERROR(fields.Finish());
  return keep;
}

void AddTaskRoutes(HttpServer& server, const ApiParts& parts) {
  AddChange(server, parts.audit, "POST", "/api/v1/tasks", HttpAccess::kPublisher, "task.create",
            [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskRequest wanted, TaskRequestFromJson(request.body));
              return Change{"tasks/" + wanted.task.id.text(), [=] { return CreateTask(parts, wanted); }};
            });

  AddView(server, "/api/v1/tasks", [parts](const HttpRequest&) -> Result<std::string> {
    ASSIGN_OR_RETURN(const auto all, parts.core.Run([parts] { return parts.tasks.All(); }));
    return ToJson(all);
  });

  AddView(server, "/api/v1/tasks/{task}", [parts](const HttpRequest& request) -> Result<std::string> {
    ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
    ASSIGN_OR_RETURN(const TaskRecord record, parts.core.Run([parts, task] { return parts.tasks.Get(task); }));
    return ToJson(record);
  });

  AddView(server, "/api/v1/tasks/{task}/versions",
          [parts](const HttpRequest& request) { return PageOfVersions(parts, request); });

  AddView(server, "/api/v1/tasks/{task}/versions/{version}",
          [parts](const HttpRequest& request) -> Result<std::string> {
            ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
            ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "version", Code::kUnknownVersion));
            const ModelVersion version{number};
            ASSIGN_OR_RETURN(const VersionRecord record,
                             parts.core.Run([parts, task, version] { return parts.tasks.Version(task, version); }));
            return ToJson(record);
          });
  AddView(server, "/api/v1/tasks/{task}/versions/{version}/manifest",
          [parts](const HttpRequest& request) -> Result<std::string> {
            ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
            ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "version", Code::kUnknownVersion));
            return parts.core.Run([parts, task, number] { return parts.tasks.Manifest(task, ModelVersion{number}); });
          });
  // For devices, which have no token. A leaf is known to the author of its update alone. A proof costs the core thread a
  // pass over all leaves, so strangers get few of them.
  const auto each = std::make_shared<AttemptLimit>(10, Millis(6'000));
  const auto all = std::make_shared<AttemptLimit>(20, Millis(200));
  server.Add("GET", "/api/v1/tasks/{task}/versions/{version}/proofs/{leaf}", HttpAccess::kOpen,
             [parts, each, all](const HttpRequest& request) -> Result<HttpResponse> {
               const Millis now = parts.clock.Monotonic();
               if (!each->Allow(AddressKey(request.address), now) || !all->Allow("", now))
                 return Fail(Code::kTooFast, "too many proofs were asked for; an address gets one in six seconds");
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "version", Code::kUnknownVersion));
               const auto leaf = Digest::FromHex(request.parameter("leaf"));
               if (!leaf) return Fail(Code::kNotFound, "'{}' is no leaf", request.parameter("leaf"));
               ASSIGN_OR_RETURN(const std::string proof, parts.core.Run([parts, task, number, leaf = *leaf] {
                 return parts.tasks.Proof(task, ModelVersion{number}, leaf);
               }));
               return HttpResponse::Json(proof);
             });
  AddRetentionRoutes(server, parts);
}

void AddBlobRoutes(HttpServer& server, const ApiParts& parts) {
  server.AddUpload("PUT", "/api/v1/blobs/{digest}", HttpAccess::kPublisher, limits::kBlobBytes,
                   [parts](const HttpRequest& request) -> Result<std::unique_ptr<HttpUpload>> {
                     ASSIGN_OR_RETURN(const Digest digest, DigestOfPath(request));
                     if (!parts.tasks.blobs().Has(digest))
                       return std::make_unique<BlobUpload>(parts, request.actor->name, digest);
                     ASSIGN_OR_RETURN(const uint64_t size, parts.tasks.blobs().Size(digest));
                     return std::make_unique<IgnoredUpload>(BlobRef{digest, size});
                   });

  server.Add("GET", "/api/v1/blobs/{digest}", HttpAccess::kViewer,
             [core = parts.core, &tasks = parts.tasks](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const Digest digest, DigestOfPath(request));
               if (!tasks.blobs().Has(digest)) return Fail(WhyAbsent(core, tasks, digest));
               RETURN_IF_ERROR(tasks.blobs().Check(digest));
               HttpResponse response = HttpResponse::File(tasks.blobs().PathOf(digest));
               response.headers.emplace_back("ETag", "\"" + digest.hex() + "\"");
               response.headers.emplace_back("Cache-Control", "private, immutable");
               return response;
             });
}

void AddTufRoutes(HttpServer& server, const TufShelf& shelf, const BlobStore& blobs) {
  server.Add("GET", "/tuf/metadata/{file}", HttpAccess::kOpen,
             [&shelf](const HttpRequest& request) -> Result<HttpResponse> {
               const std::string& file = request.parameter("file");
               ASSIGN_OR_RETURN(const auto bytes, shelf.Metadata(file));
               HttpResponse response = HttpResponse::Json(std::string(AsText(*bytes)));
               response.headers.emplace_back("Cache-Control", file == "timestamp.json" ? "no-cache" : kForEver);
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
