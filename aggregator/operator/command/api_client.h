#pragma once

#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "aggregator/operator/command/http_client.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"

namespace tributary {

struct BlobRef;
struct TaskRequest;

using Json = nlohmann::ordered_json;

// The calls of openapi.yaml, one each, for the command line and for programs that drive an aggregator. Answers are the
// bodies as they came; a caller that looks into one includes <nlohmann/json.hpp>. Errors: those of HttpClient,
// kMalformed when the answer is not JSON. Not thread safe.
class ApiClient {
 public:
  explicit ApiClient(HttpClient http) : http_(std::move(http)) {}
  static Result<ApiClient> Create(const HttpClient::Options& options);

  Result<Json> CreateTask(const TaskRequest& request);
  Result<Json> Tasks();
  Result<Json> Task(const std::string& task);
  Result<Json> StartRounds(const std::string& task, uint64_t count);
  // POST /tasks/{task}/{decision}: rounds/cancel, rounds/ask-again, rollback, prune, versions/3/pin; `words`: its request.
  Result<Json> DecideTask(const std::string& task, const std::string& decision, const Json& words);
  // All pages in one list.
  Result<Json> Rounds(const std::string& task);
  Result<Json> Round(const std::string& task, uint64_t number, const std::string& list = "");
  Result<Json> Versions(const std::string& task);
  // GET /tasks/{task}/{what}: versions/3, versions/3/manifest, versions/3/spread, privacy.
  Result<Json> OfTask(const std::string& task, const std::string& what);
  // All pages in one list. `state`: only devices in this state of enrolment; empty: all.
  Result<Json> Devices(const std::string& state = "");
  Result<Json> Device(const std::string& device);
  // `decision`: approve, refuse, revoke, forget or forget-report; `words`: its request. Answers the enrolment after it.
  Result<Json> DecideDevice(const std::string& device, const std::string& decision, const Json& words);
  Result<Json> RevokeGateway(const std::string& gateway, const std::string& reason);
  // Answers the record and the invitation that carries the secret.
  Result<Json> CreateEnrolmentToken(const Json& request);
  Result<Json> EnrolmentTokens();
  Result<Json> RemoveEnrolmentToken(const std::string& id);
  // Partial uploads; `drop`: drops them, and answers how many. `device`: only its own; empty: all.
  Result<Json> Staging(bool drop, const std::string& device);
  // How it stands, after it was accepted if `accept` says so.
  Result<Json> Clock(bool accept);
  Result<Json> SealingKeys();
  Result<Json> RotateSealingKey(uint64_t overlap_days);
  // The audit log's entries after number `after`, and the number to go on from ("next").
  Result<Json> Audit(uint64_t after, uint64_t limit);
  // All pages in one list.
  Result<Json> Gateways();
  Result<Json> Gateway(const std::string& gateway);
  Result<Json> Account();
  // {"ready": …, "checks": […]}, also when it is not ready. Needs no token.
  Result<Json> Readiness();
  // Returns its digest and size; sends nothing when the aggregator has it.
  Result<BlobRef> PutBlob(ByteView bytes);
  // Writes the blob into `file` and checks its digest. kDigestMismatch: the file is removed again.
  Status GetBlob(const Digest& digest, const Path& file);
  // See HttpClient::Watch; `handler` gets the event's name and body.
  Status Watch(const std::string& task, std::string& last_id,
               const std::function<bool(const std::string& name, const Json& event)>& handler);

 private:
  HttpClient http_;
};

// Of a file of any size. Errors: of reading it.
Result<Digest> DigestOfFile(const Path& file);

}  // namespace tributary
