#pragma once

#include <sstream>
#include <string>
#include <vector>

// How a list of names (ids.h) stands in one column: with blanks between, which no name has. Private to this folder.
namespace tributary {

inline std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

inline std::vector<std::string> SplitNames(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream words(text);
  for (std::string name; words >> name;) names.push_back(name);
  return names;
}

}  // namespace tributary
