#include <algorithm>
#include <utility>

#include "protocol/base/log.h"
#include "protocol/hop/server/server.h"
#include "protocol/hop/server/sessions.h"

// Who connects: hello, challenge, proof.
namespace tributary {

void HopServer::OnHello(const ServerSocket::Peer& peer, const hop::Hello& hello, ByteView bytes) {
  if (sessions_.contains(peer.route)) return CloseWith(peer.route, {Code::kMalformed, "a second hello"});
  const auto version = hop::HighestOfBoth(options_.versions, {hello.min_version, hello.max_version});
  if (!version) {
    return CloseWith(
        peer.route, {Code::kVersionUnsupported, "this server speaks versions " + std::to_string(options_.versions.min) +
                                                    " to " + std::to_string(options_.versions.max)});
  }
  if (hello.nonce.empty()) return CloseWith(peer.route, {Code::kMalformed, "a hello without a nonce"});
  if (counts_.sessions >= options_.max_sessions) {
    return CloseWith(peer.route, {Code::kBusy, "all " + std::to_string(options_.max_sessions) + " sessions are taken"});
  }
  if (unproven_.size() >= options_.max_unproven) {
    const Route oldest = unproven_.begin()->second;
    CloseWith(oldest, {Code::kBusy, "too many introduce themselves at once"});
  }
  auto session = std::make_unique<Session>();
  session->route = peer.route;
  session->serial = ++last_serial_;
  session->curve_public_key = peer.curve_public_key;
  session->connection = peer.connection;
  session->last_heard = parts_.clock.Monotonic();
  hop::Challenge challenge{*version, Bytes(32), parts_.identity.chain, options_.versions.min, options_.versions.max};
  parts_.random.Fill(challenge.nonce);
  const Bytes sent = hop::Encode(challenge);
  session->transcript = hop::ProofTranscript(peer.curve_public_key, curve_public_key_, bytes, sent);
  SendBytes(peer.route, sent, LinkPurpose::kControl);
  unproven_.emplace(session->serial, peer.route);
  sessions_.emplace(peer.route, std::move(session));
}

Status HopServer::OnProof(Session& session, const hop::Proof& proof) {
  if (session.proven) return Fail(Code::kMalformed, "a second proof");
  ASSIGN_OR_RETURN(VerifiedIdentity member, parts_.identity.anchor.Verify(proof.chain, parts_.clock.Now()));
  const bool carrier = IsCarrier(member);
  if (!carrier && member.subject.role == Role::kAggregator) {
    return Fail(Code::kWrongRole, std::string(RoleName(member.subject.role)) + " is not a client of anybody");
  }
  if (member.subject.curve_public_key != session.curve_public_key) {
    return Fail(Code::kWrongIdentity,
                "the certificate of " + member.subject.id.text() + " names another connection key");
  }
  RETURN_IF_ERROR(VerifySignature(member.public_key, session.transcript, proof.signature));

  if (!carrier) {
    if (member.subject.role == Role::kGateway) RETURN_IF_ERROR(hop::CheckPath(member.subject.id, path_));
    // A member has one session: a new one means that the old connection is dead, whatever TCP thinks of it.
    if (const auto older = by_member_.find(member.subject.id); older != by_member_.end()) {
      const Route old_route = older->second;
      if (old_route != session.route) Forget(old_route);
    }
    by_member_[member.subject.id] = session.route;
  }
  socket_->Admit(session.route);
  unproven_.erase(session.serial);
  session.proven = true;
  session.messages.emplace(options_.member_messages, parts_.clock.Monotonic());
  session.carrier = carrier;
  session.member = std::move(member);
  ++counts_.handshakes;
  ++counts_.sessions;
  LogDebug("hop.welcome",
           {{"member", session.member.subject.id.text()}, {"role", RoleName(session.member.subject.role)}});
  Send(session.route, hop::Welcome{parts_.identity.subject.id, 0, options_.max_chunk_bytes, publication_number_,
                                   CheckInMillis(session), path_, next_chain_});
  return {};
}

bool HopServer::IsCarrier(const VerifiedIdentity& member) const {
  const Subject& own = parts_.identity.subject;
  return member.subject.id == own.id && member.subject.role == own.role &&
         member.public_key == parts_.identity.key.public_key();
}

}  // namespace tributary
