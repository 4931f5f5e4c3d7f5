#include "protocol/base/http/problem.h"

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

Code CodeOfStatus(int status) {
  switch (status) {
    case 401:
      return Code::kUnauthorized;
    case 403:
      return Code::kForbidden;
    case 404:
      return Code::kNotFound;
    case 405:
    case 501:
      return Code::kNotSupported;
    case 408:
    case 504:
      return Code::kTimeout;
    case 409:
      return Code::kConflict;
    case 413:
      return Code::kTooLarge;
    case 429:
      return Code::kTooFast;
    case 502:
    case 503:
      return Code::kBusy;
    default:
      return status >= 500 ? Code::kIo : Code::kInvalidArgument;
  }
}

std::string TextOf(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

int HttpStatusOf(Code code) {
  switch (code) {
    case Code::kUnauthorized:
      return 401;
    case Code::kForbidden:
    case Code::kWrongRole:
    case Code::kWrongIdentity:
    case Code::kBadToken:
      return 403;
    case Code::kNotFound:
    case Code::kUnknownTask:
    case Code::kUnknownVersion:
    case Code::kUnknownBlob:
    case Code::kUnknownUpload:
      return 404;
    case Code::kNotSupported:
      return 501;
    case Code::kAlreadyExists:
    case Code::kConflict:
    case Code::kRoundClosed:
    case Code::kStaleVersion:
    case Code::kDuplicate:
      return 409;
    case Code::kTooLarge:
      return 413;
    case Code::kDigestMismatch:
      return 422;
    case Code::kQuotaExceeded:
    case Code::kTooFast:
      return 429;
    case Code::kBusy:
    case Code::kShuttingDown:
    case Code::kTimeout:
    case Code::kUnreachable:
      return 503;
    case Code::kDiskFull:
      return 507;
    case Code::kIo:
    case Code::kCorrupt:
    case Code::kLocked:
    case Code::kPortInUse:
    case Code::kMissingData:
    case Code::kDatabase:
    case Code::kPermissions:
    case Code::kChildFailed:
      return 500;
    default:
      return 400;
  }
}

HttpResponse ProblemOf(const Error& error) { return ProblemOf(error, HttpStatusOf(error.code)); }

HttpResponse ProblemOf(const Error& error, int status) {
  const CodeEntry& entry = Describe(error.code);
  const nlohmann::ordered_json problem = {{"type", "urn:tributary:code:" + std::string(entry.name)},
                                          {"title", entry.sentence},
                                          {"status", status},
                                          {"detail", error.message},
                                          {"code", entry.name},
                                          {"remedy", entry.remedy},
                                          {"transient", entry.transient}};
  // The detail may quote what came in, which need not be UTF-8.
  HttpResponse response =
      HttpResponse::Json(problem.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), status);
  response.content_type = "application/problem+json";
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"tributary\"");
  if (status == 429 || status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

Error ErrorOfProblem(int status, std::string_view body) {
  constexpr size_t kQuoted = 200;  // enough of a stranger's error page to recognise it
  const auto problem = nlohmann::json::parse(body, nullptr, false);
  if (problem.is_object()) {
    const Code code = CodeByName(TextOf(problem, "code")).value_or(CodeOfStatus(status));
    if (const std::string detail = TextOf(problem, "detail"); !detail.empty()) return {code, detail};
  }
  return {CodeOfStatus(status),
          fmt::format("HTTP status {}{}{}", status, body.empty() ? "" : ": ", body.substr(0, kQuoted))};
}

}  // namespace tributary
