#include "protocol/trust/tuf/delegated_paths.h"

#include <algorithm>

#include "protocol/trust/seal/digest.h"

namespace tributary::tuf {
namespace {

constexpr size_t kDigestDigits = 2 * Digest::kSize;

// Shell patterns over one part of a path: * is any run of characters, ? is one. Goes back to the last star only, so its
// time is bounded by the product of both lengths.
bool PartMatches(std::string_view pattern, std::string_view part) {
  size_t at = 0, in = 0, star = std::string_view::npos, retry = 0;
  while (in < part.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      retry = in;
    } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == part[in])) {
      ++at, ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++retry;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

bool PathMatches(std::string_view pattern, std::string_view path) {
  while (true) {
    const size_t pattern_end = pattern.find('/');
    const size_t path_end = path.find('/');
    if (!PartMatches(pattern.substr(0, pattern_end), path.substr(0, path_end))) return false;
    if ((pattern_end == std::string_view::npos) != (path_end == std::string_view::npos)) return false;
    if (pattern_end == std::string_view::npos) return true;
    pattern.remove_prefix(pattern_end + 1);
    path.remove_prefix(path_end + 1);
  }
}

bool IsHashPrefix(std::string_view prefix) {
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return !prefix.empty() && prefix.size() <= kDigestDigits && std::ranges::all_of(prefix, digit);
}

}  // namespace

bool Covers(const DelegatedPaths& paths, std::string_view path) {
  if (const auto* hashes = std::get_if<PathHashPrefixes>(&paths)) {
    const std::string digest = Sha256(AsBytes(path)).hex();
    return std::ranges::any_of(hashes->prefixes, [&](const auto& prefix) { return digest.starts_with(prefix); });
  }
  const auto& patterns = std::get<PathPatterns>(paths).patterns;
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return PathMatches(pattern, path); });
}

Status CheckPaths(const DelegatedPaths& paths) {
  if (const auto* hashes = std::get_if<PathHashPrefixes>(&paths)) {
    const auto wrong = std::ranges::find_if_not(hashes->prefixes, IsHashPrefix);
    if (wrong == hashes->prefixes.end()) return {};
    return Fail(Code::kMalformed, "the path hash prefix '{}' is not 1 to 64 lower-case hexadecimal digits",
                wrong->substr(0, 80));
  }
  // Brackets and backslashes mean something to a shell (glob(7)), and the specification names only * and ?: clients
  // differ over them.
  for (const std::string& pattern : std::get<PathPatterns>(paths).patterns) {
    if (pattern.find_first_of("[]\\") == std::string::npos) continue;
    return Fail(Code::kMalformed, "the path pattern '{}' has brackets or a backslash; only * and ? are wildcards",
                pattern.substr(0, 80));
  }
  return {};
}

}  // namespace tributary::tuf
