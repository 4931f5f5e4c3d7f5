#pragma once

#include <optional>
#include <vector>

#include "protocol/base/random.h"
#include "protocol/hop/messages.h"
#include "protocol/trust/identity/certificate.h"

// The checks that both ends of a handshake make of each other (schema/hop.capnp, Hello to Proof).
namespace tributary::hop {

// All versions that a program speaks. Value type.
struct VersionRange {
  uint16_t min = kProtocolVersion;
  uint16_t max = kProtocolVersion;
};
// nullopt: there is none that both speak.
std::optional<uint16_t> HighestOfBoth(VersionRange one, VersionRange other);

// A client's first message, with a fresh nonce.
Hello Greeting(Random& random, VersionRange spoken = {});
// A client's check of the answer. kVersionUnsupported: the version is not the highest that both speak, so that somebody
// would have an older one spoken.
Status CheckChallenge(VersionRange spoken, const Challenge& challenge);
// Checks that the chain is a server's of this fleet and belongs to the key that was connected to. The errors of
// TrustAnchor::Verify, kWrongRole, kWrongIdentity.
Result<VerifiedIdentity> VerifyServer(const TrustAnchor& anchor, const std::vector<Bytes>& chain, ByteView server_key,
                                      WallTime now);

// The bytes that a Proof's signature covers (schema/hop.capnp, Proof): `hello` and `challenge` as they travelled.
Bytes ProofTranscript(ByteView client_curve_key, ByteView server_curve_key, ByteView hello, ByteView challenge);

}  // namespace tributary::hop
