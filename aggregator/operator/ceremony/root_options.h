#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aggregator/operator/command/commands.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"

// What `tributary root …` is told, for the root_*.cc of this folder. Each command fills what it has an option for.
namespace tributary {

struct RootOptions {
  Path folder;
  Path ca;
  Path keys;  // folder for new offline keys
  Path passphrase_file;
  bool protect = false;
  uint32_t root_keys = 0;                   // new ones to make
  std::vector<std::string> root_key_names;  // that are there
  uint32_t threshold = 0;
  std::string targets_key;
  std::string releases_key;
  std::vector<std::string> signing;
  std::string new_targets_key;
  std::string new_releases_key;
  bool online_keys = false;
  int64_t days = 365;
  Path file;
  std::string key;
};

// From now on.
WallTime EndOf(const RootOptions& options);

// Where a key may be, for help texts.
inline constexpr const char* kKeyPlaces = "a PEM file, or a PKCS#11 URI (pkcs11:token=…;object=…)";

// Options that several commands have. `options` must outlive parsing.
void AddPassphrase(CLI::App* command, RootOptions& options);
void AddFolder(CLI::App* command, RootOptions& options);
void AddCa(CLI::App* command, RootOptions& options);
void AddDays(CLI::App* command, RootOptions& options);

}  // namespace tributary
