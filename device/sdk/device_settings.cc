#include "device/sdk/device_settings.h"

#include <dlfcn.h>
#include <unistd.h>

#include "device/sdk/arguments.h"

namespace tributary {
namespace {

constexpr const char* kLearner = "tributary-learner";
constexpr int kFoldersAbove = 2;  // of lib/libtributary.so and lib/x86_64-linux-gnu/libtributary.so
constexpr size_t kLearnerWords = 1'000;

// 0 means the default, which is there already.
template <class Given>
void Use(Given given, int64_t& option) {
  if (given != 0) option = static_cast<int64_t>(std::min<uint64_t>(given, INT64_MAX));
}

}  // namespace

std::string LearnerBesideLibrary() {
  Dl_info library{};
  if (dladdr(reinterpret_cast<const void*>(&tributary_version), &library) != 0 && library.dli_fname) {
    std::error_code error;
    Path folder = std::filesystem::absolute(library.dli_fname, error).parent_path();
    for (int above = 0; !error && above < kFoldersAbove; ++above) {
      folder = folder.parent_path();
      const Path program = folder / "bin" / kLearner;
      if (access(program.c_str(), X_OK) == 0) return program.string();
    }
  }
  return kLearner;
}

Result<EmbeddedDevice::Options> TakeOptions(const tributary_options* given) {
  ASSIGN_OR_RETURN(const tributary_options options, TakeStruct(given, "options"));
  EmbeddedDevice::Options taken;
  DeviceOptions& device = taken.device;
  ASSIGN_OR_RETURN(const std::string folder, TakeText(options.folder, "options.folder"));
  if (folder.empty()) return Fail(Code::kConfigInvalid, "options.folder is empty");
  std::error_code error;
  taken.folder = std::filesystem::absolute(folder, error);  // the program may change its working folder
  device.data_dir = taken.folder / "data";
  ASSIGN_OR_RETURN(const std::string identity, TakeTextIfAny(options.identity_folder, "options.identity_folder"));
  device.identity_dir = identity.empty() ? taken.folder / "identity" : std::filesystem::absolute(identity, error);
  ASSIGN_OR_RETURN(device.gateway.endpoint, TakeTextIfAny(options.gateway, "options.gateway"));
  ASSIGN_OR_RETURN(device.gateway.server_key, TakeTextIfAny(options.server_key, "options.server_key"));
  for (const char* const* word = options.learner; word && *word; ++word) {
    if (device.learner.command.size() == kLearnerWords)
      return Fail(Code::kConfigInvalid, "options.learner has over {} words; a NULL ends it", kLearnerWords);
    ASSIGN_OR_RETURN(std::string text, TakeText(*word, "options.learner"));
    device.learner.command.push_back(std::move(text));
  }
  if (device.learner.command.empty()) device.learner.command = {LearnerBesideLibrary()};
  Use(options.learner_memory_mib, device.learner.memory_mib);
  Use(options.learner_cores, device.learner.cores);
  Use(options.learner_seconds, device.learner.wall_seconds);
  Use(options.outbox_max_mib, device.outbox_max_mib);
  Use(options.retry_cap_seconds, device.retry_cap_seconds);
  device.reports = options.no_reports == 0;
  if (!device.gateway.endpoint.empty()) {
    if (const auto hop = HopOptionsFor(device.gateway, device.retry_cap_seconds); !hop)
      return Fail(Code::kConfigInvalid, "options.server_key: {}", hop.error().message);
  }
  if (const Status bounds = CheckFields(device.Fields()); !bounds)
    return Fail(Code::kConfigInvalid, "of the options, {}", bounds.error().message);
  return taken;
}

}  // namespace tributary
