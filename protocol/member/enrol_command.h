#pragma once

#include <functional>
#include <string>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// Where a member connects to and keeps its identity, as its configuration file says it.
struct EnrolPlace {
  std::string endpoint;
  std::string server_key;
  Path identity;
};

// `PROGRAM enrol`: the same for every kind of member.
struct EnrolCommand {
  std::string program;      // "tributary-device"
  std::vector<Role> roles;  // what it can be
  std::function<Result<EnrolPlace>(const Path& config)> place;
};

bool IsEnrol(int argc, char** argv);  // the first word after the program's name
// Parses the command line, does it, and answers the exit code. `argv[1]` is "enrol".
int RunEnrol(const EnrolCommand& command, int argc, char** argv);

}  // namespace tributary
