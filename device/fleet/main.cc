#include "device/fleet/fleet.h"
#include "protocol/base/process/daemon.h"
#include "protocol/base/process/plain_output.h"

int main(int argc, char** argv) {
  using namespace tributary;
  const PlainOutput plain;
  return RunDaemon<Fleet, FleetOptions>(
      argc, argv, "tributary-fleet",
      "tributary-fleet: many virtual devices in one process, for demonstrations and tests", FleetManual());
}
