#pragma once

#include <cstdint>
#include <unordered_map>

#include "protocol/hop/server/down_port.h"

namespace tributary {

// Finds out who connects to a hop server: answers a hello with a challenge, checks the proof, and welcomes. The
// counterpart of the client's Dialer and of HopClient's proof. All on the loop's thread. Everything given to the
// constructor must outlive it.
class Greeter final : public Sessions::Part {
 public:
  // Refuses the version numbers, the load and the circles that the schema names; `down` knows the terms of a welcome.
  Greeter(Sessions& sessions, Random& random, DownPort& down);

  // Opens a session for the peer, or refuses it. `bytes`: the hello as it travelled.
  void OnHello(const ServerSocket::Peer& peer, const hop::Hello& hello, ByteView bytes);
  // An error closes the session: kMalformed for a second proof, kWrongRole, kWrongIdentity, kUpstreamCycle, and the
  // errors of TrustAnchor::Verify and VerifySignature.
  Status OnProof(Session& session, const hop::Proof& proof);

 private:
  void OnForgotten(const Session& session) override { transcripts_.erase(session.serial); }
  // Why nobody can be greeted just now, or not with this hello; otherwise the version to speak.
  Result<uint16_t> Answer(const ServerSocket::Peer& peer, const hop::Hello& hello) const;
  bool IsCarrier(const VerifiedIdentity& member) const;

  Sessions& sessions_;
  Random& random_;
  DownPort& down_;
  std::unordered_map<uint64_t, Bytes> transcripts_;  // by session: what its proof must sign
};

}  // namespace tributary
