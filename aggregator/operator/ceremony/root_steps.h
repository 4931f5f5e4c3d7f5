#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aggregator/operator/command/context.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"

// The steps of the publication's root ceremony, offline: a function for each subcommand of `tributary root`. They ask
// for passphrases, write signed metadata (aggregator/publish/root_ceremony.h) and say which signatures are still wanted.
namespace tributary {

// The options of `tributary root …`; each step reads its own.
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

// Makes the publication folder and its keys. kAlreadyExists: it holds a root.
Status InitRoot(const Context& context, RootOptions options);
// Makes the next root: other keys, another threshold, a later end.
Status RotateRoot(const Context& context, const RootOptions& options);
// Signs the same targets or releases again, with a later end.
Status RenewRoles(const Context& context, const RootOptions& options);
// Adds a signature to a file of metadata.
Status SignFile(const Context& context, RootOptions options);
// Shows keys, thresholds, ends, and the root that waits for signatures.
Status ShowRoot(const Context& context, const RootOptions& options);
// Makes an offline key that somebody else's root will name.
Status MakeOfflineKey(const Context& context, const RootOptions& options);

}  // namespace tributary
