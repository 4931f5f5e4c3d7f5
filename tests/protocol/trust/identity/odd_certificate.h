#pragma once

#include <string>
#include <utility>
#include <vector>

#include "protocol/trust/identity/certificate.h"
#include "tests/support/manual_clock.h"

namespace tributary {

// A certificate that the fleet's CA would not issue: what a careless or hostile holder of a key might make.
struct OddCertificate {
  std::string name;
  Bytes public_key;  // Ed25519; empty for a P-256 key
  // Names and values in the syntax of openssl's configuration files.
  std::vector<std::pair<std::string, std::string>> extensions;
  WallTime not_before = kTestStart;
  Millis lifetime{24ll * 3600 * 1000};
};
Certificate Issue(const OddCertificate& odd, const Certificate& issuer, const SigningKey& issuer_key);

}  // namespace tributary
