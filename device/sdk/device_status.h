#pragma once

#include <string>
#include <vector>

#include "device/examples/collection.h"
#include "protocol/base/file.h"

namespace tributary {

// What a program is told of its device.
struct KnownOfDevice {
  bool runs = false;
  Path data_dir;
  Path identity_dir;
  std::vector<CollectionInfo> collections;
};

// As JSON: {"version", "runs", "enrolled", "id", "role", "tasks": [{"task", "phase", "version", "round", "failure": {"code",
// "name", "text", "count", "version"}}], "outbox": {"waiting", "bytes"}, "collections": [{"name", "examples", "bytes",
// "purpose"}]}. "id" and "role" only of an enrolled device, "failure" only after one. Errors: those of AgentState and
// SpoolReader.
Result<std::string> StatusJson(const KnownOfDevice& known, WallTime now);

}  // namespace tributary
