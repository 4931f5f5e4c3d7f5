#include "device/device.h"
#include "device/model_tools.h"
#include "protocol/base/daemon.h"

int main(int argc, char** argv) {
  using namespace tributary;
  if (IsModelTool(argc, argv)) return RunModelTool(argc, argv);
  return RunDaemon<Device, DeviceOptions>(argc, argv, "tributary-device",
                                          "tributary-device: trains on its own examples and uploads sealed updates",
                                          DeviceManual());
}
