#include "aggregator/operator/command/api_client.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/api/json_tasks.h"
#include "protocol/base/limits.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// Where the API is; all paths below are relative to it.
const std::string kRoot = "/api/v1";

std::string TaskPath(const std::string& task) { return "/tasks/" + EncodeUrlPart(task); }

constexpr size_t kMostNested = 64;
constexpr size_t kMostPages = 10'000;

// Whoever prints or compares a value goes as deep as it is nested.
bool IsNestedTooDeeply(std::string_view json) {
  size_t depth = 0;
  bool text = false;
  for (size_t i = 0; i < json.size() && depth <= kMostNested; ++i) {
    const char c = json[i];
    if (text && c == '\\') ++i;
    if (c == '"') text = !text;
    if (!text && (c == '[' || c == '{')) ++depth;
    if (!text && (c == ']' || c == '}') && depth > 0) --depth;
  }
  return depth > kMostNested;
}

Result<Json> Parse(const Result<HttpReply>& reply) {
  if (!reply) return Fail(reply.error());
  if (IsNestedTooDeeply(reply->body)) return Fail(Code::kMalformed, "the answer is nested too deeply");
  Json json = Json::parse(reply->body, nullptr, false);
  if (json.is_discarded()) return Fail(Code::kMalformed, "the answer is not JSON; is this an aggregator's address?");
  return json;
}

Result<Json> Post(HttpClient& http, const std::string& path, const Json& body) {
  return Parse(http.Post(kRoot + path, Dump(body)));
}

Result<Json> Get(HttpClient& http, const std::string& path) { return Parse(http.Get(kRoot + path)); }

Result<Json> AllPages(HttpClient& http, const std::string& path, const std::string& query = "") {
  Json all = Json::array();
  std::string cursor;  // with the name of its parameter
  for (size_t pages = 0; pages < kMostPages; ++pages) {
    ASSIGN_OR_RETURN(const Json page, Get(http, fmt::format("{}?limit=1000{}{}", path, query, cursor)));
    for (const auto& item : page.value("items", Json::array())) all.push_back(item);
    const auto next = page.find("next_cursor");
    if (next == page.end() || !next->is_string()) return Json({{"items", std::move(all)}});
    cursor = "&cursor=" + EncodeUrlPart(next->get<std::string>());
  }
  return Fail(Code::kTooLarge, "{} has over {} pages", path, kMostPages);
}

}  // namespace

Result<Digest> DigestOfFile(const Path& file) {
  FileSystem& files = RealFileSystem();
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(file));
  Sha256Stream stream;
  for (uint64_t at = 0; at < size;) {
    ASSIGN_OR_RETURN(const Bytes piece, files.ReadAt(file, at, std::min<uint64_t>(limits::kMiB, size - at)));
    stream.Update(piece);
    at += piece.size();
  }
  return std::move(stream).Finish();
}

Result<ApiClient> ApiClient::Create(const HttpClient::Options& options) {
  ASSIGN_OR_RETURN(HttpClient http, HttpClient::Create(options));
  return ApiClient(std::move(http));
}

Result<Json> ApiClient::CreateTask(const TaskRequest& request) {
  return Parse(http_.Post(kRoot + "/tasks", TaskRequestToJson(request)));
}
Result<Json> ApiClient::Tasks() { return Get(http_, "/tasks"); }
Result<Json> ApiClient::Task(const std::string& task) { return Get(http_, TaskPath(task)); }

Result<Json> ApiClient::StartRounds(const std::string& task, uint64_t count) {
  return Post(http_, TaskPath(task) + "/rounds", {{"count", count}});
}
Result<Json> ApiClient::DecideTask(const std::string& task, const std::string& decision, const Json& words) {
  return Post(http_, TaskPath(task) + "/" + decision, words);
}

Result<Json> ApiClient::Rounds(const std::string& task) { return AllPages(http_, TaskPath(task) + "/rounds"); }
Result<Json> ApiClient::OfTask(const std::string& task, const std::string& what) {
  return Get(http_, TaskPath(task) + "/" + what);
}
Result<Json> ApiClient::Round(const std::string& task, uint64_t number, const std::string& list) {
  const std::string path = fmt::format("{}/rounds/{}", TaskPath(task), number);
  return list.empty() ? Get(http_, path) : AllPages(http_, path + "/" + list);
}
Result<Json> ApiClient::Versions(const std::string& task) { return AllPages(http_, TaskPath(task) + "/versions"); }
Result<Json> ApiClient::Devices(const std::string& state) {
  return AllPages(http_, "/devices", state.empty() ? "" : "&state=" + EncodeUrlPart(state));
}
Result<Json> ApiClient::Device(const std::string& device) { return Get(http_, "/devices/" + EncodeUrlPart(device)); }
Result<Json> ApiClient::DecideDevice(const std::string& device, const std::string& decision, const Json& words) {
  return Post(http_, "/devices/" + EncodeUrlPart(device) + "/" + decision, words);
}
Result<Json> ApiClient::RevokeGateway(const std::string& gateway, const std::string& reason) {
  return Post(http_, "/gateways/" + EncodeUrlPart(gateway) + "/revoke", {{"reason", reason}});
}
Result<Json> ApiClient::CreateEnrolmentToken(const Json& request) { return Post(http_, "/enrolment-tokens", request); }
Result<Json> ApiClient::EnrolmentTokens() { return Get(http_, "/enrolment-tokens"); }
Result<Json> ApiClient::RemoveEnrolmentToken(const std::string& id) {
  return Parse(http_.Delete(kRoot + "/enrolment-tokens/" + EncodeUrlPart(id)));
}
Result<Json> ApiClient::Staging(bool drop, const std::string& device) {
  if (drop) return Post(http_, "/staging/drop", device.empty() ? Json::object() : Json{{"device", device}});
  return Get(http_, device.empty() ? "/staging" : "/staging?device=" + EncodeUrlPart(device));
}
Result<Json> ApiClient::Clock(bool accept) {
  return accept ? Post(http_, "/clock", Json::object()) : Get(http_, "/clock");
}
Result<Json> ApiClient::SealingKeys() { return Get(http_, "/sealing-keys"); }
Result<Json> ApiClient::RotateSealingKey(uint64_t overlap_days) {
  return Post(http_, "/sealing-keys", {{"overlap_days", overlap_days}});
}
Result<Json> ApiClient::Audit(uint64_t after, uint64_t limit) {
  return Get(http_, fmt::format("/audit?after={}&limit={}", after, limit));
}
Result<Json> ApiClient::Gateways() { return AllPages(http_, "/gateways"); }
Result<Json> ApiClient::Gateway(const std::string& gateway) {
  return Get(http_, "/gateways/" + EncodeUrlPart(gateway));
}
Result<Json> ApiClient::Account() { return Get(http_, "/account"); }
Result<Json> ApiClient::Readiness() { return Parse(http_.GetAnyStatus("/readyz")); }

Result<BlobRef> ApiClient::PutBlob(ByteView bytes) {
  const BlobRef blob{Sha256(bytes), bytes.size()};
  const std::string path = kRoot + "/blobs/" + blob.digest.hex();
  if (http_.Head(path)) return blob;  // any other answer: the PUT below says the reason
  ASSIGN_OR_RETURN(const HttpReply reply, http_.Put(path, bytes));
  return blob;
}

Status ApiClient::GetBlob(const Digest& digest, const Path& file) {
  RETURN_IF_ERROR(http_.Download(kRoot + "/blobs/" + digest.hex(), file, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const Digest received, DigestOfFile(file));
  if (received == digest) return {};
  (void)RealFileSystem().Remove(file);  // the mismatch is the error to tell
  return Fail(Code::kDigestMismatch, "blob {} arrived as {}", digest.hex(), received.hex());
}

Status ApiClient::Watch(const std::string& task, std::string& last_id,
                        const std::function<bool(const std::string&, const Json&)>& handler) {
  return http_.Watch(kRoot + "/events?task=" + EncodeUrlPart(task), last_id, [&](const ServerSentEvent& event) {
    if (IsNestedTooDeeply(event.data)) return false;
    return handler(event.name, Json::parse(event.data, nullptr, false));
  });
}

}  // namespace tributary
