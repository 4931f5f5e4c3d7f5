#include "protocol/hop/server/greeter.h"

#include "protocol/base/log.h"

namespace tributary {

Greeter::Greeter(Sessions& sessions, Random& random, DownPort& down)
    : sessions_(sessions), random_(random), down_(down) {
  sessions_.AddPart(*this);
}

Result<uint16_t> Greeter::Answer(const ServerSocket::Peer& peer, const hop::Hello& hello) const {
  const HopServerOptions& options = sessions_.options();
  if (sessions_.Find(peer.route)) return Fail(Code::kMalformed, "a second hello");
  const auto version = hop::HighestOfBoth(options.versions, {hello.min_version, hello.max_version});
  if (!version) {
    return Fail(Code::kVersionUnsupported, "this server speaks versions {} to {}", options.versions.min,
                options.versions.max);
  }
  if (hello.nonce.empty()) return Fail(Code::kMalformed, "a hello without a nonce");
  if (sessions_.counts().sessions >= options.max_sessions) {
    return Fail(Code::kBusy, "all {} sessions are taken", options.max_sessions);
  }
  return *version;
}

void Greeter::OnHello(const ServerSocket::Peer& peer, const hop::Hello& hello, ByteView bytes) {
  const auto version = Answer(peer, hello);
  if (!version) return sessions_.Close(peer.route, version.error());
  const hop::VersionRange spoken = sessions_.options().versions;
  const Session& session = sessions_.Add(peer);
  hop::Challenge challenge{*version, Bytes(32), sessions_.identity().chain, spoken.min, spoken.max};
  random_.Fill(challenge.nonce);
  transcripts_[session.serial] =
      hop::ProofTranscript(peer.curve_public_key, sessions_.curve_public_key(), bytes, hop::Encode(challenge));
  sessions_.Send(peer.route, challenge);
}

Status Greeter::OnProof(Session& session, const hop::Proof& proof) {
  if (session.proven) return Fail(Code::kMalformed, "a second proof");
  const Identity& own = sessions_.identity();
  ASSIGN_OR_RETURN(VerifiedIdentity member, own.anchor.Verify(proof.chain, sessions_.clock().Now()));
  const Subject& subject = member.subject;
  const bool carrier = IsCarrier(member);
  if (!carrier && subject.role == Role::kAggregator) {
    return Fail(Code::kWrongRole, "{} is not a client of anybody", RoleName(subject.role));
  }
  if (subject.curve_public_key != session.curve_public_key) {
    return Fail(Code::kWrongIdentity, "the certificate of {} names another connection key", subject.id.text());
  }
  RETURN_IF_ERROR(VerifySignature(member.public_key, transcripts_[session.serial], proof.signature));
  if (!carrier && subject.role == Role::kGateway) RETURN_IF_ERROR(hop::CheckPath(subject.id, down_.path()));
  LogDebug("hop.welcome", {{"member", subject.id.text()}, {"role", RoleName(subject.role)}});
  sessions_.Prove(session, std::move(member), carrier);
  transcripts_.erase(session.serial);
  sessions_.Send(session.route, hop::Welcome{down_.TermsFor(session), own.subject.id});
  return {};
}

bool Greeter::IsCarrier(const VerifiedIdentity& member) const {
  const Identity& own = sessions_.identity();
  return member.subject.id == own.subject.id && member.subject.role == own.subject.role &&
         member.public_key == own.key.public_key();
}

}  // namespace tributary
