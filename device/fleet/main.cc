#include "device/fleet/fleet.h"
#include "device/import/data_command.h"
#include "protocol/base/process/daemon.h"
#include "protocol/base/process/plain_output.h"

int main(int argc, char** argv) {
  using namespace tributary;
  const PlainOutput plain;
  if (IsDataCommand(argc, argv)) {
    const auto folders = [](const Path& config) -> Result<std::map<std::string, Path>> {
      ASSIGN_OR_RETURN(const FleetOptions options, FleetOptions::Load(config));
      return DeviceFolders(options, SystemClock().Now());
    };
    return RunDataCommand(argc, argv, {"tributary-fleet", "fleet.toml", true, folders});
  }
  return RunDaemon<Fleet, FleetOptions>(
      argc, argv, "tributary-fleet",
      "tributary-fleet: many virtual devices in one process, for demonstrations and tests", FleetManual());
}
