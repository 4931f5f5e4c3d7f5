#pragma once

#include <map>
#include <regex>
#include <string>
#include <vector>

#include "tests/house/source_tree.h"

// How large the classes are, read from sources that clang-format has laid out: a definition outside of a class begins in
// the first column and ends with a "}" there; one inside begins after two blanks and ends with a "}" after two blanks.
namespace tributary {

struct ClassSize {
  size_t methods = 0;  // with a body, constructors among them
  size_t lines = 0;    // of these bodies, first and last line included
};

// The line that ends the block which begins in `first`; `first` itself when the block is on one line. Its head, which may
// have a constructor's initialisers, ends with the line that ends with a brace.
inline size_t EndOfBlock(const std::vector<std::string>& lines, size_t first, const std::string& end) {
  size_t at = first;
  while (at < lines.size() && !lines[at].ends_with("{") && !lines[at].ends_with("}")) {
    if (lines[at].ends_with(";")) return at;  // a declaration
    ++at;
  }
  if (at < lines.size() && lines[at].ends_with("}")) return at;
  while (at < lines.size() && lines[at] != end) ++at;
  return at;
}

// By the name of the class. Nested classes count for the outer one.
inline std::map<std::string, ClassSize> ClassSizes(const std::vector<SourceFile>& sources) {
  static const std::regex outside(R"(^(?:[A-Za-z].*?[ *&])?([A-Z]\w*)(?:::\w+)*::(?:~?\w+|operator[^ (]+)\(.*)");
  static const std::regex class_begins(R"(^(?:class|struct) (\w+)(?: final)?(?: : [^;]*)? ?\{?$)");
  static const std::regex inside(R"(^  [A-Za-z~\[].*\(.*)");
  std::map<std::string, ClassSize> sizes;
  const auto add = [&](const std::string& name, size_t first, size_t last) {
    ++sizes[name].methods;
    sizes[name].lines += last - first + 1;
  };
  for (const SourceFile& source : sources) {
    std::string open_class;
    for (size_t at = 0; at < source.lines.size(); ++at) {
      const std::string& line = source.lines[at];
      std::smatch match;
      if (line == "};") open_class.clear();
      if (open_class.empty() && std::regex_match(line, match, class_begins)) {
        open_class = match[1];
      } else if (open_class.empty() && !line.ends_with(";") && std::regex_match(line, match, outside)) {
        const size_t last = EndOfBlock(source.lines, at, "}");
        if (last < source.lines.size() && !source.lines[last].ends_with(";")) add(match[1], at, last);
        at = last;
      } else if (!open_class.empty() && !line.ends_with(";") && std::regex_match(line, inside)) {
        const size_t last = EndOfBlock(source.lines, at, "  }");
        if (last < source.lines.size() && source.lines[last].ends_with("}")) add(open_class, at, last);
        at = last;
      }
    }
  }
  return sizes;
}

}  // namespace tributary
