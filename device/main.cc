#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <string_view>

#include "device/agent/agent_state.h"
#include "device/device.h"
#include "device/import/data_command.h"
#include "device/learn/learner_child.h"
#include "device/proof_command.h"
#include "protocol/base/process/daemon.h"
#include "protocol/base/process/plain_output.h"
#include "protocol/base/time_floor.h"
#include "protocol/member/enrol.h"

namespace tributary {
namespace {

// `tributary-device WORD --config FILE` for what is done with a data folder and ends in a text.
int RunHere(int argc, char** argv, const std::string& help, Result<std::string> (*act)(const Path& data_dir)) {
  const auto parsed = ParseDaemonArguments(argc - 1, argv + 1, help, "");
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const auto options = DeviceOptions::Load(std::get<DaemonArguments>(parsed).config);
  if (!options) return ExitWith("tributary-device", options.error());
  const auto text = act(options->data_dir);
  if (!text) return ExitWith("tributary-device", text.error());
  std::cout << *text << std::flush;
  return kExitOk;
}

int RunStatus(int argc, char** argv) {
  return RunHere(argc, argv, "tributary-device status: what waits, where every upload went, how far each task is",
                 [](const Path& data_dir) { return DescribeDevice(RealFileSystem(), data_dir, SystemClock().Now()); });
}

int RunForgetTime(int argc, char** argv) {
  return RunHere(argc, argv,
                 "tributary-device forget-time: forget what publications said about the time, after one was signed by a wrong "
                 "clock; stop the daemon first",
                 [](const Path& data_dir) { return ForgetTime(RealFileSystem(), data_dir); });
}

// Work on models is LibTorch's, and so the learner's.
constexpr auto kModelTools = std::to_array<std::string_view>({"new-model", "pack", "export", "evaluate"});

int RunLearner(char** argv) {
  const Path program = ProgramBeside("tributary-learner");
  execv(program.c_str(), argv);
  return ExitWith("tributary-device",
                  {Code::kNotFound, fmt::format("{} cannot be started: {}", program.string(), std::strerror(errno))});
}

EnrolCommand DeviceEnrolment() {
  return {"tributary-device", {Role::kDevice, Role::kEvaluator}, [](const Path& config) -> Result<EnrolPlace> {
            ASSIGN_OR_RETURN(const DeviceOptions options, DeviceOptions::Load(config));
            return EnrolPlace{options.gateway, options.identity_dir};
          }};
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  using namespace tributary;
  // A model's weights that were freed go back to the system: by itself the allocator would keep blocks of their size.
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  const PlainOutput plain;
  if (argc > 1 && std::ranges::find(kModelTools, std::string_view(argv[1])) != kModelTools.end())
    return RunLearner(argv);
  if (IsDataCommand(argc, argv)) {
    using Folders = std::map<std::string, Path>;
    const auto folders = [](const Path& config) -> Result<Folders> {
      ASSIGN_OR_RETURN(const DeviceOptions options, DeviceOptions::Load(config));
      return Folders{{"", options.data_dir}};
    };
    return RunDataCommand(argc, argv, {"tributary-device", "device.toml", false, folders});
  }
  if (IsProofCommand(argc, argv)) return RunProofCommand(argc, argv);
  if (IsEnrol(argc, argv)) return RunEnrol(DeviceEnrolment(), argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "status") return RunStatus(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "forget-time") return RunForgetTime(argc, argv);
  return RunDaemon<DeviceProcess, DeviceOptions>(argc, argv, "tributary-device",
                                          "tributary-device: trains on its own examples and uploads sealed updates",
                                          DeviceManual());
}
