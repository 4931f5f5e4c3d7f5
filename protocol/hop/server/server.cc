#include "protocol/hop/server/server.h"

#include <utility>

namespace tributary {

HopServer::HopServer(const Parts& parts, Options options)
    : options_(std::move(options)),
      sessions_(parts.loop, parts.clock, parts.identity, options_),
      down_(sessions_, parts.blobs, parts.observer, parts.reader),
      uploads_(sessions_, parts.sink, parts.observer),
      registrar_(sessions_, parts.desk),
      greeter_(sessions_, parts.random, down_) {
  sessions_.identity_watch().Tell(
      [&observer = parts.observer](const DeviceId& member) { observer.OnIdentityTwice(member); });
}

void HopServer::SayGoodbye() {
  const Error stopping{Code::kShuttingDown, "this server is being stopped"};
  sessions_.ForEachProven(
      [&](const Session& session) { sessions_.Send(session.route, hop::Refused{RefusalOf(stopping)}); });
}

const HopServer::Counts& HopServer::counts() {
  sessions_.counts().credit_in_use = uploads_.credit_in_use();
  return sessions_.CountAll();
}

void HopServer::OnNonsense(const ServerSocket::Peer& peer) {
  sessions_.Close(peer.route, {Code::kMalformed, "frames that are no hop message"});
}

void HopServer::OnMessage(const ServerSocket::Peer& peer, ByteView bytes, ByteView bulk) {
  Session* session = sessions_.Find(peer.route);
  const size_t size = bytes.size() + bulk.size();
  if (!(session && session->proven) && size > options_.max_unproven_message) {
    return sessions_.Close(peer.route, {Code::kTooLarge, fmt::format("{} bytes before the proof", size)});
  }
  const auto message = hop::Decode(bytes);
  if (!message) return sessions_.Close(peer.route, message.error());
  sessions_.counts().link[hop::PurposeOf(*message)].up += size;
  if (const auto* hello = std::get_if<hop::Hello>(&*message)) return greeter_.OnHello(peer, *hello, bytes);
  if (!session) {
    // A client sent it before it noticed that this process was started anew.
    return sessions_.Send(peer.route, hop::Refused{RefusalOf({Code::kNoSession, "introduce yourself first"})});
  }
  if (session->curve_public_key != peer.curve_public_key) {
    return sessions_.Close(peer.route, {Code::kWrongIdentity, "the connection's key changed"});
  }
  sessions_.Heard(*session, uploads_.HasCredit(*session));
  const Status status = Dispatch(*session, *message, bulk);
  if (!status) sessions_.Close(peer.route, status.error());
}

Status HopServer::Dispatch(Session& session, const hop::Message& message, ByteView bulk) {
  if (const auto* proof = std::get_if<hop::Proof>(&message)) return greeter_.OnProof(session, *proof);
  if (session.proven) return DispatchProven(session, message, bulk);
  const auto* enrol = std::get_if<hop::Enrol>(&message);
  if (enrol && bulk.empty()) return registrar_.OnEnrol(session, *enrol);
  return Fail(Code::kNoSession, "a message before the proof");
}

Status HopServer::DispatchProven(Session& session, const hop::Message& message, ByteView bulk) {
  if (const auto* chunk = std::get_if<hop::Chunk>(&message)) return uploads_.OnChunk(session, *chunk, bulk);
  const Rate& rate = session.BringsOthers() ? options_.gateway_messages : options_.member_messages;
  if (!session.messages->Take(rate, sessions_.clock().Monotonic())) {
    return Fail(Code::kTooFast, "more than {} messages a second from {}", static_cast<int>(rate.per_second),
                session.member.subject.id.text());
  }
  if (!bulk.empty()) return Fail(Code::kMalformed, "bulk bytes behind a message that has none");
  if (const auto* enrol = std::get_if<hop::Enrol>(&message)) return registrar_.OnEnrol(session, *enrol);
  if (const auto* offer = std::get_if<hop::Offer>(&message)) return uploads_.OnOffer(session, *offer);
  if (const auto* fetch = std::get_if<hop::Fetch>(&message)) return down_.OnFetch(session, *fetch);
  if (const auto* check_in = std::get_if<hop::CheckIn>(&message)) return down_.OnCheckIn(session, *check_in);
  if (std::holds_alternative<hop::Goodbye>(message)) {
    sessions_.Forget(session.route);
    return {};
  }
  return Fail(Code::kMalformed, "a message that only servers send");
}

}  // namespace tributary
