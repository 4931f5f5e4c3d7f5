#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/result.h"

// Which target paths a delegation is about, in one of the two forms of the TUF specification (section 4.5).
namespace tributary::tuf {

// Shell patterns: * is any run of characters, ? is one, and neither matches a slash. All else is itself.
struct PathPatterns {
  std::vector<std::string> patterns;
  bool operator==(const PathPatterns&) const = default;
};

// The paths whose SHA-256, as 64 lower-case hexadecimal digits, begins with one of these: so a great many targets are
// spread over a few roles. For example "c7" covers models/digits/module.pt, whose digest is c75cc50e….
struct PathHashPrefixes {
  std::vector<std::string> prefixes;
  bool operator==(const PathHashPrefixes&) const = default;
};

using DelegatedPaths = std::variant<PathPatterns, PathHashPrefixes>;

bool Covers(const DelegatedPaths& paths, std::string_view path);
// kMalformed: a pattern with a bracket or a backslash, which not every client takes for itself; a prefix that is not 1
// to 64 lower-case hexadecimal digits, so that it would never cover a path.
Status CheckPaths(const DelegatedPaths& paths);

}  // namespace tributary::tuf
