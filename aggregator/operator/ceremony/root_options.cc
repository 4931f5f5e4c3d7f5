#include "aggregator/operator/ceremony/root_options.h"

namespace tributary {
namespace {

constexpr Millis kDay{24ll * 3600 * 1000};

}  // namespace

WallTime EndOf(const RootOptions& options) { return SystemClock().Now() + kDay * options.days; }

void AddPassphrase(CLI::App* command, RootOptions& options) {
  command->add_option("--passphrase-file", options.passphrase_file,
                      "File (mode 0600) with the passphrase or PIN; without it the terminal is asked");
}
void AddFolder(CLI::App* command, RootOptions& options) {
  command->add_option("--dir", options.folder, "The publication folder (config aggregator.publication_dir)")
      ->required();
}
void AddCa(CLI::App* command, RootOptions& options) {
  command->add_option("--ca", options.ca, "The CA's folder: a root that is complete becomes its root.json");
}
void AddDays(CLI::App* command, RootOptions& options) {
  command->add_option("--days", options.days, "Validity of what is signed")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
}

}  // namespace tributary
