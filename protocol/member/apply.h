#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/random.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// What `enrol` is told on the command line.
struct Application {
  Path invitation;           // a file of mode 0600: it holds a token
  Path identity;             // the folder to make
  std::string endpoint;      // tcp://host:port of a gateway, or of the aggregator
  std::string server_key;    // its CURVE public key, 64 hexadecimal digits
  std::string id;            // the id it would like; empty: the fleet chooses
  std::vector<Role> roles;   // what this program can be
  Millis retry_cap{30'000};  // the longest pause between attempts when the server cannot be reached
};

// Enrols: makes keys and a request in the identity folder, sends it, and waits, however long, until the fleet has
// decided. Says on `progress` what it waits for, a line for each change. May be ended and begun again at any time: the
// same keys and the same request are used, until the folder holds a certificate. Blocks.
//
// Errors: kWrongRole: the invitation is for something else; kAlreadyExists: the folder holds a whole identity;
// kPermissions: others may read the invitation; kInvalidArgument: server key or id; the code of a final refusal; those
// of BeginIdentity and CompleteIdentity.
Status Apply(const Application& application, const Clock& clock, Random& random, FileSystem& files,
             std::ostream& progress);

}  // namespace tributary
