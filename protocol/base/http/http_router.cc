#include "protocol/base/http/http_router.h"

#include <algorithm>
#include <map>
#include <optional>

namespace tributary {
namespace {

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

struct Match {
  std::map<std::string, std::string> parameters;
  std::string rank;  // one character per segment, literals before parameters
};

std::optional<Match> MatchPattern(std::string_view pattern, std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  const auto wanted = Segments(pattern);
  const auto given = Segments(path);
  if (wanted.size() != given.size()) return std::nullopt;
  Match match;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const bool is_parameter = wanted[i].starts_with('{') && wanted[i].ends_with('}');
    if (is_parameter ? given[i].empty() : given[i] != wanted[i]) return std::nullopt;
    match.rank += is_parameter ? '1' : '0';
    if (is_parameter) match.parameters[std::string(wanted[i].substr(1, wanted[i].size() - 2))] = given[i];
  }
  return match;
}

}  // namespace

void HttpRouter::Add(HttpRoute route) {
  for (const auto& present : routes_) {
    TRIBUTARY_CHECK(present.method != route.method || present.pattern != route.pattern)
        << "route " << route.method << " " << route.pattern << " is there already";
  }
  routes_.push_back(std::move(route));
}

Result<const HttpRoute*> HttpRouter::Find(HttpRequest& request) const {
  const HttpRoute* best = nullptr;
  Match best_match;
  for (const auto& route : routes_) {
    if (route.method != request.method) continue;
    auto match = MatchPattern(route.pattern, request.path);
    if (!match || (best && best_match.rank <= match->rank)) continue;
    best = &route;
    best_match = std::move(*match);
  }
  if (best) {
    request.parameters = std::move(best_match.parameters);
    return best;
  }
  const std::string allowed = Allowed(request.path);
  if (allowed.empty()) return Fail(Code::kNotFound, "no resource {}", request.path);
  return Fail(Code::kNotSupported, "{} takes {}, not {}", request.path, allowed, request.method);
}

std::string HttpRouter::Allowed(std::string_view path) const {
  std::string allowed;
  for (const auto& route : routes_) {
    if (!MatchPattern(route.pattern, path)) continue;
    if (allowed.find(route.method) == std::string::npos) allowed += (allowed.empty() ? "" : ", ") + route.method;
  }
  return allowed;
}

}  // namespace tributary
