#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "tests/house/class_sizes.h"
#include "tests/house/source_tree.h"

// The rules of the house (ARCHITECTURE.md), read from the sources. Each rule is a table; a failure names the file.
namespace tributary::house_test {
namespace {

const std::vector<std::string> kHouse = {"protocol", "device", "gateway", "aggregator"};

const std::vector<SourceFile>& House() {
  static const std::vector<SourceFile> sources = ReadSources(kHouse);
  return sources;
}

// ---- the arrows: who may include whom

// One line for each room: the rooms whose headers it may include. Nothing else may be included, and there is no circle.
using Arrows = std::map<std::string, std::set<std::string>>;
const Arrows kArrows = {
#include "tests/house/arrows.inc"
};

// The code that opens a payload. Only the aggregator has it; the envelope's opening file is the one door to it.
const std::set<std::string> kOpeningHalf = {"protocol/trust/seal/opener.h", "protocol/envelope/open_upload.h"};

TEST(House, EveryFolderHasSources) {
  for (const std::string& top : kHouse) {
    const auto count = std::ranges::count(House(), top, &SourceFile::top);
    EXPECT_GT(count, 5) << top << ": this test does not see the sources";
  }
}

TEST(House, IncludesFollowTheArrows) {
  std::map<std::string, std::set<std::string>> seen;
  for (const SourceFile& source : House()) {
    seen[source.room];
    for (const std::string& include : source.own_includes) {
      const std::string to = RoomOf(include);
      if (to == source.room) continue;
      seen[source.room].insert(to);
      EXPECT_TRUE(kArrows.contains(source.room) && kArrows.at(source.room).contains(to))
          << source.path << " includes " << include << ": arrows.inc has no arrow from " << source.room << " to " << to;
    }
  }
  EXPECT_EQ(seen, kArrows) << "an arrow that nobody uses any more belongs out of arrows.inc";
}

// Follows the arrows from `room`; true when they come back to a room of `path`.
bool HasCircle(const Arrows& arrows, const std::string& room, std::set<std::string>& path,
               std::set<std::string>& done) {
  if (done.contains(room)) return false;
  if (!path.insert(room).second) return true;
  for (const std::string& next : arrows.at(room)) {
    if (HasCircle(arrows, next, path, done)) return true;
  }
  path.erase(room);
  done.insert(room);
  return false;
}

TEST(House, TheArrowsGoOneWay) {
  std::set<std::string> done;
  for (const auto& [room, to] : kArrows) {
    const std::string top = room.substr(0, room.find('/'));
    for (const std::string& next : to) {
      const std::string next_top = next.substr(0, next.find('/'));
      EXPECT_TRUE(next_top == "protocol" || next_top == top) << room << " includes " << next;
    }
    // The halls are wired in main.cc, which includes the tools that include the hall.
    if (room == "gateway" || room == "aggregator" || room.ends_with("/tools")) continue;
    std::set<std::string> path;
    EXPECT_FALSE(HasCircle(kArrows, room, path, done)) << "a circle through " << room;
  }
}

TEST(House, OnlyTheAggregatorIncludesTheOpeningHalf) {
  int users = 0;
  for (const SourceFile& source : House()) {
    for (const std::string& include : source.own_includes) {
      if (!kOpeningHalf.contains(include)) continue;
      ++users;
      const bool may = source.top == "aggregator" || source.room == "protocol/trust/seal" ||
                       source.path == "protocol/envelope/open_upload.h" ||
                       source.path == "protocol/envelope/open_upload.cc";
      EXPECT_TRUE(may) << source.path << " includes " << include;
    }
  }
  EXPECT_GE(users, 3) << "the search finds nobody";
}

// ---- third-party libraries: each in the .cc files of its one folder

struct Library {
  std::string name;
  std::vector<std::string> prefixes;  // of what is included: a folder, or one header
  std::set<std::string> rooms;        // whose files may include it
  std::set<std::string> files;        // further files that may
  std::set<std::string> headers;      // the private headers of an adapter, included by .cc files only
};

const std::vector<Library> kLibraries = {
    {"LibTorch",
     {"torch/", "ATen/", "c10/"},
     {"device/torch"},
     {},
     {"device/torch/batch.h", "device/torch/builtin_loss.h", "device/torch/graph_walk.h", "device/torch/last_layer.h",
      "device/torch/task_methods.h", "device/torch/torch_module.h", "device/torch/trial_batch.h"}},
    {"ZeroMQ", {"zmq.hpp", "zmq.h", "zmq_addon.hpp"}, {"protocol/transport"}, {}, {"protocol/transport/zmq_frames.h"}},
    {"Cap'n Proto",
     {"capnp/", "kj/"},
     {"protocol/schema"},
     {"protocol/catalogue/task_wire.cc"},
     {"protocol/schema/canonical.h"}},
    {"SQLite", {"sqlite3.h"}, {"protocol/base/sql"}, {}, {}},
    {"OpenSSL",
     {"openssl/"},
     {"protocol/trust/seal", "protocol/trust/identity"},
     {"protocol/base/http/http_connection.cc"},
     {"protocol/trust/identity/x509_parts.h"}},
    {"p11-kit", {"p11-kit/"}, {"aggregator/publish"}, {}, {"aggregator/publish/pkcs11_session.h"}},
    {"Eigen",
     {"Eigen/", "unsupported/Eigen/"},
     {"aggregator/sum", "aggregator/optimise", "aggregator/privacy"},
     {},
     {}},
    {"cpp-httplib", {"httplib.h"}, {"protocol/base/http"}, {"aggregator/operator/command/http_client.cc"}, {}},
    {"prometheus-cpp", {"prometheus/"}, {"protocol/base/process"}, {}, {}},
    {"spdlog", {"spdlog/"}, {"protocol/base"}, {}, {}},
    {"toml++", {"toml++/"}, {"protocol/base/process"}, {}, {}},
    {"zlib",
     {"zlib.h"},
     {"device/examples", "device/import"},
     {"protocol/catalogue/npz_file.cc", "protocol/catalogue/zip_records.cc"},
     {}},
    {"libzip", {"zip.h"}, {"device/import"}, {}, {}},
    {"libcsv", {"csv.h"}, {"device/import"}, {}, {}},
    {"libpng", {"png.h"}, {"device/import"}, {}, {}},
    {"libjpeg-turbo", {"turbojpeg.h"}, {"device/import"}, {}, {}},
    {"libseccomp", {"seccomp.h"}, {"device/torch"}, {}, {}},
    {"CLI11",
     {"CLI/"},
     {"aggregator/operator", "protocol/base/process"},
     {"protocol/member/enrol.cc", "device/import/data_command.cc", "device/proof_command.cc",
      "device/torch/model_tools.cc", "aggregator/main.cc", "gateway/main.cc"},
     {}},
    {"nlohmann-json",
     {"nlohmann/"},
     {"aggregator/api", "aggregator/operator", "aggregator/enrol", "protocol/trust/identity", "protocol/trust/tuf",
      "protocol/base", "protocol/base/http", "protocol/plan"},
     {"device/learn/learner_wire.cc", "device/learn/personal_model.cc", "device/sdk/device_status.cc",
      "protocol/catalogue/version_manifest.cc", "device/torch/trial_batch.cc"},
     {"protocol/base/json.h", "protocol/trust/tuf/canonical_json.h", "protocol/plan/field_json.h"}},
};

// For programs of others: C, with C's headers.
const std::string kPublicHeader = "device/sdk/include/tributary/tributary.h";

// Headers name the type of a JSON value with this one, which is small.
constexpr auto kForwardDeclarations = "nlohmann/json_fwd.hpp";

// Headers that include what Cap'n Proto's compiler made of a schema.
const std::set<std::string> kSchemaHeaders = {"protocol/hop/gateway_state_wire.h", "protocol/hop/wire_fields.h",
                                              "protocol/catalogue/task_wire.h"};

bool IsOf(const Library& library, const std::string& include) {
  return std::ranges::any_of(library.prefixes, [&](const std::string& prefix) {
    return prefix.ends_with('/') ? include.starts_with(prefix) : include == prefix;
  });
}

TEST(House, LibrariesAreIncludedInTheirOneFolder) {
  for (const Library& library : kLibraries) {
    int users = 0;
    for (const SourceFile& source : House()) {
      for (const std::string& include : source.other_includes) {
        if (!IsOf(library, include)) continue;
        ++users;
        EXPECT_TRUE(library.rooms.contains(source.room) || library.files.contains(source.path))
            << source.path << " includes <" << include << ">; " << library.name << " has another room";
        EXPECT_TRUE(!source.is_header() || library.headers.contains(source.path) || include == kForwardDeclarations)
            << source.path << " is a header and includes <" << include << ">";
      }
    }
    EXPECT_GT(users, 0) << library.name << " is not used any more: take it out of this table";
  }
}

// A private header of an adapter must not be reached through any other header.
TEST(House, AdaptersPrivateHeadersAreIncludedByNoHeader) {
  std::set<std::string> hidden = kSchemaHeaders;
  for (const Library& library : kLibraries) {
    hidden.insert(library.headers.begin(), library.headers.end());
  }
  for (const SourceFile& source : House()) {
    if (!source.is_header()) continue;
    for (const std::string& include : source.own_includes) {
      const bool schema = include.ends_with(".capnp.h") && !kSchemaHeaders.contains(source.path);
      const bool one_of_them = hidden.contains(source.path);
      EXPECT_TRUE((!hidden.contains(include) || one_of_them) && !schema) << source.path << " includes " << include;
    }
  }
}

// Nothing but the standard library, the system and what is in the table above.
TEST(House, HeadersIncludeNothingElse) {
  for (const SourceFile& source : House()) {
    if (!source.is_header() || source.path == kPublicHeader) continue;
    for (const std::string& include : source.other_includes) {
      const bool standard = include.find('.') == std::string::npos && include.find('/') == std::string::npos;
      const bool system = include.starts_with("sys/") || include == "tl/expected.hpp" || include == "fmt/core.h" ||
                          include == kForwardDeclarations;
      const bool adapter = std::ranges::any_of(kLibraries, [&](const Library& library) {
        return IsOf(library, include) && library.headers.contains(source.path);
      });
      EXPECT_TRUE(standard || system || adapter) << source.path << " includes <" << include << ">";
    }
  }
}

// ---- names

// The classes, structs and enums that a file defines, with their namespaces; what lies in an anonymous namespace is the
// file's own. Sources are formatted: a definition in a namespace begins in the first column.
std::set<std::string> DefinedTypes(const SourceFile& source) {
  static const std::regex opens(R"(^namespace ([\w:]*) ?\{$)");
  static const std::regex defines(R"(^(?:class|struct|union|enum|enum class) ([\w:]+)(?: final)?(?: [:{].*)?$)");
  std::set<std::string> types;
  std::vector<std::string> scopes;
  for (const std::string& line : source.lines) {
    std::smatch match;
    if (std::regex_match(line, match, opens)) scopes.push_back(match[1]);
    if (line.starts_with("}  // namespace") && !scopes.empty()) scopes.pop_back();
    if (std::ranges::find(scopes, std::string()) != scopes.end() || !std::regex_match(line, match, defines)) continue;
    std::string name;
    for (const std::string& scope : scopes) name += scope + "::";
    types.insert(name + match[1].str());
  }
  return types;
}

// Two types of one name in one program are undefined behaviour that no linker reports.
TEST(House, NoTwoFilesDefineTypesOfOneName) {
  std::map<std::string, std::string> where;
  for (const SourceFile& source : House()) {
    for (const std::string& type : DefinedTypes(source)) {
      const auto [first, is_new] = where.emplace(type, source.path);
      EXPECT_TRUE(is_new) << source.path << " and " << first->second << " both define " << type;
    }
  }
  EXPECT_EQ(where["tributary::Spool"], "protocol/spool/spool.h") << "this test does not see the definitions";
  EXPECT_GT(where.size(), 300u);
}

// ---- the form of a file

TEST(House, HeadersBeginWithPragmaOnceAndFilesAreShort) {
  auto sources = ReadSources({"protocol", "device", "gateway", "aggregator", "tests", "bench"});
  EXPECT_GT(sources.size(), House().size());
  for (const SourceFile& source : sources) {
    EXPECT_LE(source.lines.size(), 500u) << source.path;
    if (source.is_header()) {
      ASSERT_FALSE(source.lines.empty()) << source.path;
      EXPECT_EQ(source.lines.front(), "#pragma once") << source.path;
    }
  }
}

TEST(House, LinesOfPythonAreShort) {
  const auto sources = ReadSources({"protocol", "device", "gateway", "aggregator", "tests", "bench"}, {".py"});
  EXPECT_GT(sources.size(), 30u) << "this test does not see them";
  for (const SourceFile& source : sources) {
    EXPECT_LE(source.lines.size(), 500u) << source.path;
    for (const std::string& line : source.lines) {
      const auto letters = std::ranges::count_if(line, [](char byte) { return (byte & 0xC0) != 0x80; });
      EXPECT_LE(letters, 120) << source.path << ": " << line;
    }
  }
}

// A .cc without a header of its own is a page torn out of a class. Its header is its first include, so that compiling the
// .cc shows that the header compiles alone.
TEST(House, SourcesBeginWithTheirOwnHeader) {
  for (const SourceFile& source : House()) {
    if (source.is_header() || source.path.ends_with("main.cc")) continue;
    const std::string own =
        source.path == "device/sdk/tributary.cc" ? kPublicHeader : source.path.substr(0, source.path.size() - 3) + ".h";
    ASSERT_FALSE(source.own_includes.empty()) << source.path << " includes no header of its own";
    EXPECT_EQ(source.own_includes.front(), own) << source.path;
    EXPECT_TRUE(source.lines.front().starts_with("#include \""))
        << source.path << " includes something else before " << own;
  }
}

// Above that it is several classes.
TEST(House, ClassesAreSmall) {
  constexpr size_t kMethods = 30, kLines = 400;
  const auto sizes = ClassSizes(House());
  EXPECT_GT(sizes.size(), 200u);
  for (const auto& [name, size] : sizes) {
    EXPECT_LE(size.methods, kMethods) << name;
    EXPECT_LE(size.lines, kLines) << name;
  }
}

}  // namespace
}  // namespace tributary::house_test
