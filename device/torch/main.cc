#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>
#include <string_view>

#include "device/learn/learner_service.h"
#include "device/torch/model_tools.h"
#include "device/torch/sandbox.h"
#include "device/torch/torch_learner.h"
#include "protocol/base/process/daemon.h"
#include "protocol/base/process/plain_output.h"

namespace tributary {
namespace {

constexpr int kAgent = 3;

constexpr std::string_view kHelp =
    R"(tributary-learner: learns with LibTorch for an agent that starts it (tributary-device)

It is not started by hand: an agent talks to it over descriptor 3 (device/learn/PROTOCOL.md). By hand, work on models:
  tributary-learner new-model   make the network of the demo as a TorchScript file
  tributary-learner pack        make the package that `tributary task create` takes from a TorchScript file
  tributary-learner export      put weights into a TorchScript file
  tributary-learner evaluate    quality of a TorchScript file on a folder of examples
Each has its own --help.
)";

bool HasAgent() {
  int kind = 0;
  socklen_t size = sizeof(kind);
  return getsockopt(kAgent, SOL_SOCKET, SO_TYPE, &kind, &size) == 0;
}

// No module is loaded before the process can do nothing but compute.
Status Serve() {
  signal(SIGPIPE, SIG_IGN);
  KeepNoCoreDumps();
  WarmUpTorch();
  RETURN_IF_ERROR(EnterSandbox());
  TorchLearner learner;
  return ServeLearner(kAgent, learner, "tributary-learner " TRIBUTARY_VERSION);
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  using namespace tributary;
  const PlainOutput plain;
  if (IsModelTool(argc, argv)) return RunModelTool(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "--version") {
    std::cout << TRIBUTARY_VERSION << "\n";
    return kExitOk;
  }
  if (argc > 1 || !HasAgent()) {
    const bool asked = argc == 2 && std::string_view(argv[1]) == "--help";
    (asked ? std::cout : std::cerr) << kHelp;
    return asked ? kExitOk : kExitUsage;
  }
  const Status served = Serve();
  // LibTorch's own end takes a while, and there is nothing to put in order.
  _exit(served ? kExitOk : ExitWith("tributary-learner", served.error()));
}
