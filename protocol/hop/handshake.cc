#include "protocol/hop/handshake.h"

#include <algorithm>

#include "protocol/trust/seal/digest.h"

namespace tributary::hop {

std::optional<uint16_t> HighestOfBoth(VersionRange one, VersionRange other) {
  const uint16_t highest = std::min(one.max, other.max);
  if (highest < std::max(one.min, other.min)) return std::nullopt;
  return highest;
}

Hello Greeting(Random& random, VersionRange spoken) {
  Hello hello{spoken.min, spoken.max, Bytes(32)};
  random.Fill(hello.nonce);
  return hello;
}

Status CheckChallenge(VersionRange spoken, const Challenge& challenge) {
  const auto best = HighestOfBoth(spoken, {challenge.min_version, challenge.max_version});
  if (best == challenge.version) return {};
  return Fail(Code::kVersionUnsupported,
              "the server chose version {} and says that it speaks {} to {}; this program speaks {} to {}",
              challenge.version, challenge.min_version, challenge.max_version, spoken.min, spoken.max);
}

Result<VerifiedIdentity> VerifyServer(const TrustAnchor& anchor, const std::vector<Bytes>& chain, ByteView server_key,
                                      WallTime now) {
  ASSIGN_OR_RETURN(VerifiedIdentity server, anchor.Verify(chain, now));
  const Subject& subject = server.subject;
  if (subject.role != Role::kGateway && subject.role != Role::kAggregator) {
    return Fail(Code::kWrongRole, "{} is a {}, not a server", subject.id.text(), RoleName(subject.role));
  }
  // CURVE has proven that the server holds the secret to the key; this ties the key to a name in the fleet.
  if (!std::ranges::equal(subject.curve_public_key, server_key)) {
    return Fail(Code::kWrongIdentity, "the certificate of {} names another connection key", subject.id.text());
  }
  return server;
}

Bytes ProofTranscript(ByteView client_curve_key, ByteView server_curve_key, ByteView hello, ByteView challenge) {
  Bytes transcript = ToBytes(AsBytes("tributary hop proof v2\n"));
  Append(transcript, client_curve_key);
  Append(transcript, server_curve_key);
  Append(transcript, Sha256(hello).view());
  Append(transcript, Sha256(challenge).view());
  return transcript;
}

}  // namespace tributary::hop
