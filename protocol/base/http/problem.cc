#include "protocol/base/http/problem.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

// A code that is not listed is 500 when this machine failed, else 400.
constexpr std::pair<Code, int> kStatuses[] = {
    {Code::kUnauthorized, 401}, {Code::kForbidden, 403},      {Code::kWrongRole, 403},     {Code::kWrongIdentity, 403},
    {Code::kBadToken, 403},     {Code::kNotFound, 404},       {Code::kUnknownTask, 404},   {Code::kUnknownVersion, 404},
    {Code::kUnknownBlob, 404},  {Code::kUnknownUpload, 404},  {Code::kNotSupported, 501},  {Code::kAlreadyExists, 409},
    {Code::kConflict, 409},     {Code::kRoundClosed, 409},    {Code::kStaleVersion, 409},  {Code::kDuplicate, 409},
    {Code::kTooLarge, 413},     {Code::kDigestMismatch, 422}, {Code::kQuotaExceeded, 429}, {Code::kTooFast, 429},
    {Code::kBusy, 503},         {Code::kShuttingDown, 503},   {Code::kTimeout, 503},       {Code::kUnreachable, 503},
    {Code::kPruned, 410},       {Code::kDiskFull, 507},       {Code::kReadOnly, 400},      {Code::kGaveWay, 400}};

// Of an answer without a code of ours.
constexpr std::pair<int, Code> kCodesOfStatuses[] = {
    {401, Code::kUnauthorized}, {403, Code::kForbidden}, {404, Code::kNotFound}, {405, Code::kNotSupported},
    {501, Code::kNotSupported}, {408, Code::kTimeout},   {504, Code::kTimeout},  {409, Code::kConflict},
    {413, Code::kTooLarge},     {429, Code::kTooFast},   {502, Code::kBusy},     {503, Code::kBusy}};

Code CodeOfStatus(int status) {
  const auto* found = std::ranges::find(kCodesOfStatuses, status, &std::pair<int, Code>::first);
  if (found != std::end(kCodesOfStatuses)) return found->second;
  return status >= 500 ? Code::kIo : Code::kInvalidArgument;
}

std::string TextOf(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

int HttpStatusOf(Code code) {
  const auto* found = std::ranges::find(kStatuses, code, &std::pair<Code, int>::first);
  if (found != std::end(kStatuses)) return found->second;
  return IsOfTheEnvironment(code) ? 500 : 400;
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
  // The detail may quote what came in: what is not UTF-8 is replaced, what is not ASCII is escaped.
  HttpResponse response =
      HttpResponse::Json(problem.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), status);
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
