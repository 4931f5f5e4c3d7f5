#include "protocol/base/http/http_message.h"

#include <algorithm>
#include <iterator>

namespace tributary {
namespace {

std::optional<std::string> Find(const std::map<std::string, std::string>& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

constexpr std::string_view kAccessNames[] = {"open", "viewer", "operator", "publisher", "admin"};

}  // namespace

std::string_view AccessName(HttpAccess access) { return kAccessNames[static_cast<size_t>(access)]; }

std::optional<HttpAccess> RoleOfName(std::string_view name) {
  const auto* found = std::find(std::begin(kAccessNames) + 1, std::end(kAccessNames), name);
  if (found == std::end(kAccessNames)) return std::nullopt;
  return static_cast<HttpAccess>(found - std::begin(kAccessNames));
}

const std::string& HttpRequest::parameter(const std::string& name) const {
  const auto found = parameters.find(name);
  TRIBUTARY_CHECK(found != parameters.end()) << "the route of " << path << " has no {" << name << "}";
  return found->second;
}

std::optional<std::string> HttpRequest::query_value(const std::string& name) const { return Find(query, name); }
std::optional<std::string> HttpRequest::header(const std::string& name) const { return Find(headers, name); }

std::optional<std::string> HttpRequest::bearer_token() const {
  constexpr std::string_view kScheme = "Bearer ";
  const auto value = header("authorization");
  if (!value || !value->starts_with(kScheme)) return std::nullopt;
  return value->substr(kScheme.size());
}

HttpResponse HttpResponse::Json(std::string body, int status) { return {.status = status, .body = std::move(body)}; }

HttpResponse HttpResponse::Text(std::string body, int status) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .body = std::move(body)};
}

HttpResponse HttpResponse::File(Path path) {
  return {.content_type = "application/octet-stream", .file = std::move(path)};
}

HttpResponse HttpResponse::EventStream(HttpStream stream) {
  return {.content_type = "text/event-stream", .headers = {{"Cache-Control", "no-store"}}, .stream = std::move(stream)};
}

}  // namespace tributary
