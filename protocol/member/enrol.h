#pragma once

#include <functional>
#include <iosfwd>
#include <stop_token>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/random.h"
#include "protocol/member/server_keys.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// How a process asks to become a member.
struct Application {
  Path invitation;           // a file of mode 0600: it holds a token
  Path identity;             // the folder to make
  ServerAddress server;      // a gateway, or the aggregator
  std::string id;            // the id it would like; empty: the fleet chooses
  std::vector<Role> roles;   // what this program can be
  Millis retry_cap{30'000};  // the longest pause between attempts when the server cannot be reached
  Millis patience{0};        // how long it is waited for the decision; 0: as long as it takes
  std::stop_token stop = {};
};

// Enrols: makes keys and a request in the identity folder, sends it, and waits, however long, until the fleet has
// decided. Says on `progress` what it waits for, a line for each change. May be ended and begun again at any time: the
// same keys and the same request are used, until the folder holds a certificate. Blocks.
//
// Errors: kWrongRole: the invitation is for something else; kAlreadyExists: the folder holds a whole identity;
// kPermissions: others may read the invitation; kInvalidArgument: server key or id; kTimeout: not decided within `patience`;
// kShuttingDown: by `stop`; the code of a final refusal; those of BeginIdentity and CompleteIdentity.
Status Apply(const Application& application, const Clock& clock, Random& random, FileSystem& files,
             std::ostream& progress);

// Where a member connects to and keeps its identity, as its configuration file says it.
struct EnrolPlace {
  ServerAddress server;
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
