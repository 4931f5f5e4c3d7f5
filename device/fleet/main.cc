#include "device/fleet/fleet.h"
#include "protocol/base/process/daemon.h"

int main(int argc, char** argv) {
  using namespace tributary;
  return RunDaemon<Fleet, FleetOptions>(
      argc, argv, "tributary-fleet",
      "tributary-fleet: many virtual devices in one process, for demonstrations and tests", FleetManual());
}
