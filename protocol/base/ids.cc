#include "protocol/base/ids.h"

#include <algorithm>

namespace tributary {

Status CheckName(std::string_view text, std::string_view what) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto allowed = [&](char c) { return plain(c) || c == '-' || c == '_' || c == '.'; };
  if (text.empty() || text.size() > 64 || !plain(text.front()) || !std::ranges::all_of(text, allowed)) {
    return Fail(Code::kMalformed,
                "{} '{}' must be 1 to 64 characters of a-z 0-9 . _ - and begin with a letter or digit", what,
                text.substr(0, 80));
  }
  return {};
}

}  // namespace tributary
