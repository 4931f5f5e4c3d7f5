#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

// The sources as a test of the house's rules sees them.
namespace tributary {

struct SourceFile {
  std::string path;  // from the top: "gateway/accept/acceptor.cc"
  std::string room;  // the library it belongs to: "gateway/accept"; "gateway" for what lies beside the folders
  std::string top;   // "gateway"
  std::vector<std::string> lines;
  std::vector<std::string> own_includes;    // #include "…"
  std::vector<std::string> other_includes;  // #include <…>

  bool is_header() const { return path.ends_with(".h"); }
};

// A room is a second-level folder, and a third-level one below these two. Folders below a room belong to it.
inline std::string RoomOf(const std::string& path) {
  static const std::regex room(R"re(^((?:protocol/(?:base/(?:process|sql|http)|trust/\w+))|\w+/\w+|\w+)/.*)re");
  std::smatch match;
  return std::regex_match(path, match, room) ? match[1].str() : std::string();
}

inline SourceFile ReadSource(const std::filesystem::path& top, const std::filesystem::path& file) {
  static const std::regex include(R"re(^\s*#\s*include\s*(["<])([^">]+)[">].*)re");
  SourceFile source;
  source.path = std::filesystem::relative(file, top).generic_string();
  source.room = RoomOf(source.path);
  source.top = source.path.substr(0, source.path.find('/'));
  std::ifstream in(file);
  for (std::string line; std::getline(in, line); source.lines.push_back(line)) {
    std::smatch match;
    if (std::regex_match(line, match, include)) {
      (match[1] == "<" ? source.other_includes : source.own_includes).push_back(match[2]);
    }
  }
  return source;
}

// Every file of these endings below the given top folders.
inline std::vector<SourceFile> ReadSources(const std::vector<std::string>& tops,
                                           const std::vector<std::string>& endings = {".h", ".cc"}) {
  const std::filesystem::path root = TRIBUTARY_SOURCE_DIR;
  std::vector<SourceFile> sources;
  for (const std::string& top : tops) {
    if (!std::filesystem::exists(root / top)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / top)) {
      if (entry.is_regular_file() && std::ranges::count(endings, entry.path().extension().string()) > 0)
        sources.push_back(ReadSource(root, entry.path()));
    }
  }
  return sources;
}

}  // namespace tributary
