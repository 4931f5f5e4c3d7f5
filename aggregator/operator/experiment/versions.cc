#include "aggregator/operator/experiment/versions.h"

#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

namespace tributary {
namespace {

// Those that compute, and those that seal and carry.
constexpr std::string_view kLibrariesShown[] = {"libtorch",  "libc10",  "libopenblas", "libblas",  "liblapack",
                                                "libdnnl",   "libgomp", "libm.",       "libc.",    "libstdc++",
                                                "libcrypto", "libssl",  "libzmq",      "libcapnp", "libsqlite3"};

// "libtorch_cpu.so.1.13" of each line of /proc/PID/maps that is a library.
void AddLibraries(pid_t process, std::set<std::string>& libraries) {
  std::ifstream maps(fmt::format("/proc/{}/maps", process));
  for (std::string line; std::getline(maps, line);) {
    const size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    std::error_code error;
    const Path file = std::filesystem::canonical(line.substr(slash), error);
    const std::string name = file.filename().string();
    if (!error && std::ranges::any_of(kLibrariesShown, [&](std::string_view shown) { return name.starts_with(shown); }))
      libraries.insert(name);
  }
}

std::string Processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

Result<Json> VersionsOf(const Federation& federation) {
  Json programs = Json::object();
  std::set<std::string> libraries;
  for (const auto& [name, process] : federation.Running()) {
    AddLibraries(process, libraries);
    ASSIGN_OR_RETURN(const Path file, FindProgram(name));
    ASSIGN_OR_RETURN(const Digest digest, DigestOfFile(file));
    programs[name] = digest.hex();
  }
  utsname system{};
  uname(&system);
  return Json({{"tributary", TRIBUTARY_VERSION},
               {"programs", std::move(programs)},
               {"libraries", libraries},
               {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
               {"processor", Processor()}});
}

}  // namespace tributary
