#pragma once

#include <string_view>

#include "protocol/base/file.h"
#include "protocol/catalogue/publication.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/trust_anchor.h"
#include "protocol/trust/seal/hpke.h"
#include "tests/support/manual_clock.h"
#include "tests/support/test_repository.h"

namespace tributary {

// A fleet's CA, identities of its members, the repository it publishes from, and the aggregator's HPKE pair (the same
// in every run; signing keys are fresh). Certificates are valid from `start` for `kTestLifetime`. Resource type; Issue…
// are thread safe.
inline constexpr Millis kTestLifetime{30ll * 24 * 3600 * 1000};

class TestFleet {
 public:
  explicit TestFleet(WallTime start = kTestStart);

  const CertificateAuthority& authority() const { return authority_; }
  const TrustAnchor& anchor() const { return anchor_; }
  const TestRepository& repository() const { return repository_; }
  const HpkeKeyPair& sealing_key() const { return sealing_key_; }
  WallTime start() const { return start_; }

  // In memory. Each believes for itself: nobody hears of a revocation through another's anchor.
  Identity Issue(Role role, std::string_view id) const;
  // The same with a lifetime of its own, beginning at `from`.
  Identity IssueFor(Role role, std::string_view id, WallTime from, Millis lifetime) const;
  // As the aggregator would publish it: the bytes that travel. With growing numbers they verify one after the other.
  Bytes Publish(const Publication& publication) const;
  // As a folder that LoadIdentity reads; returns `folder`.
  Path IssueInto(const Path& folder, Role role, std::string_view id) const;

 private:
  WallTime start_;
  CertificateAuthority authority_;
  TestRepository repository_;
  TrustAnchor anchor_;
  HpkeKeyPair sealing_key_;
};

// For tests' own names and ids: dies when they are not well formed.
DeviceId TestDevice(std::string_view id);
TaskId TestTask(std::string_view id);

}  // namespace tributary
