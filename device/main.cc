#include <iostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "device/agent/describe_device.h"
#include "device/device.h"
#include "device/model_tools.h"
#include "protocol/base/daemon.h"

namespace tributary {
namespace {

// `tributary-device status --config FILE`
int RunStatus(int argc, char** argv) {
  Path config;
  CLI::App app("tributary-device status: what waits, where every upload went, how far each task is");
  app.name("tributary-device status");
  app.add_option("-c,--config", config, "The device's configuration file")->required();
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  const auto options = DeviceOptions::Load(config);
  if (!options) return ExitWith("tributary-device", options.error());
  const auto text = DescribeDevice(RealFileSystem(), options->data_dir, SystemClock().Now());
  if (!text) return ExitWith("tributary-device", text.error());
  std::cout << *text << std::flush;
  return kExitOk;
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  using namespace tributary;
  if (IsModelTool(argc, argv)) return RunModelTool(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "status") return RunStatus(argc, argv);
  return RunDaemon<Device, DeviceOptions>(argc, argv, "tributary-device",
                                          "tributary-device: trains on its own examples and uploads sealed updates",
                                          DeviceManual());
}
