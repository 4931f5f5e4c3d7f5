#include <fstream>
#include <iostream>
#include <thread>
#include <vector>

#include "tests/support/must.h"
#include "tests/support/synthetic_device.h"

// synthetic-fleet --config FILE: synthetic devices in a process of their own, which give one update to every round they
// hear of until the process is killed. Killed and started again they go on with what their outboxes hold. Each line of
// the file is one device:
//
//   IDENTITY_DIR FOLDER ENDPOINT SERVER_KEY CHUNK_BYTES
namespace tributary {
namespace {

void GiveToEveryRound(SyntheticDevice& device) {
  for (uint64_t version = 0;;) {
    const auto next = device.AwaitRoundAfter(version);
    if (!next) continue;
    version = *next;
    device.GiveUpdate();
  }
}

std::vector<std::unique_ptr<SyntheticDevice>> Read(DeviceThread& thread, const Path& config) {
  std::vector<std::unique_ptr<SyntheticDevice>> devices;
  std::ifstream lines(config);
  Path identity;
  SyntheticDevice::Options options;
  while (lines >> identity >> options.folder >> options.server.endpoint >> options.server.server_key >>
         options.chunk_bytes) {
    devices.push_back(
        std::make_unique<SyntheticDevice>(thread, Must(LoadIdentity(identity, SystemClock().Now())), options));
  }
  return devices;
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  using namespace tributary;
  TRIBUTARY_CHECK(argc == 3 && std::string(argv[1]) == "--config") << "usage: synthetic-fleet --config FILE";
  DeviceThread thread;
  const auto devices = Read(thread, argv[2]);
  std::cout << "fleet.started " << devices.size() << std::endl;
  std::vector<std::jthread> givers;
  for (const auto& device : devices) givers.emplace_back([&device] { GiveToEveryRound(*device); });
}
