#include "tests/support/raw_session.h"

#include "protocol/hop/handshake.h"
#include "tests/support/must.h"

namespace tributary {

RawSession::RawSession(DeviceThread& thread, const Identity& identity, const Site::Address& server)
    : thread_(thread), identity_(identity), server_key_(Must(FromHex(server.server_key))) {
  thread_.Run([&] {
    socket_ =
        Must(ClientSocket::Connect(thread_.loop(), server.endpoint, server_key_, identity_.curve_secret, {}, *this));
  });
}

RawSession::~RawSession() {
  thread_.Run([this] { socket_.reset(); });
}

void RawSession::SendBytes(ByteView message, ByteView bulk) {
  Must(thread_.Run([&] { return socket_->Send(message, bulk); }));
}

void RawSession::OnMessage(ByteView bytes, ByteView) {
  auto message = Must(hop::Decode(bytes));
  const std::lock_guard lock(mutex_);
  came_.push_back(std::move(message));
  changed_.notify_all();
}

void RawSession::OnDisconnected() {
  const std::lock_guard lock(mutex_);
  broken_ = true;
  changed_.notify_all();
}

std::optional<hop::Message> RawSession::Receive(Millis bound) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, bound, [this] { return broken_ || !came_.empty(); });
  if (came_.empty()) return std::nullopt;
  hop::Message message = std::move(came_.front());
  came_.pop_front();
  return message;
}

std::string RawSession::Greet() {
  const hop::Hello hello = hop::Greeting(thread_.random());
  Send(hello);
  while (auto message = Receive()) {
    if (const auto* challenge = std::get_if<hop::Challenge>(&*message)) {
      const Bytes own_key = Must(CurvePublicKeyOf(identity_.curve_secret));
      const Bytes transcript = hop::ProofTranscript(own_key, server_key_, hop::Encode(hello), hop::Encode(*challenge));
      Send(hop::Proof{identity_.chain, identity_.key.Sign(transcript)});
    } else if (std::holds_alternative<hop::Welcome>(*message)) {
      return "welcome";
    } else if (const auto* refused = std::get_if<hop::Refused>(&*message)) {
      return std::string(Name(refused->refusal.code));
    }
  }
  return "silence";
}

std::string RawSession::Upload(ByteView envelope, const std::vector<Bytes>& chunks) {
  const SignedEnvelope parsed = Must(ParseEnvelope(envelope));
  const UploadId id = parsed.header.subject.id;
  size_t next = chunks.size();
  Send(hop::Offer{ToBytes(envelope)});
  while (auto message = Receive()) {
    // Messages left over from an earlier upload are not about this one; credit is the connection's.
    if (const auto* more = std::get_if<hop::Credit>(&*message)) credit_ += more->bytes;
    if (const auto* resume = std::get_if<hop::Resume>(&*message); resume && resume->upload == id)
      next = resume->next_chunk;
    if (const auto* custody = std::get_if<hop::Custody>(&*message); custody && custody->upload == id) return "custody";
    if (const auto* already = std::get_if<hop::Already>(&*message); already && already->upload == id) return "already";
    if (const auto* refuse = std::get_if<hop::Refuse>(&*message); refuse && refuse->upload == id) {
      return std::string(Name(refuse->refusal.code));
    }
    if (const auto* refused = std::get_if<hop::Refused>(&*message))
      return "closed: " + std::string(Name(refused->refusal.code));
    for (; next < chunks.size() && chunks[next].size() <= credit_; ++next) {
      credit_ -= chunks[next].size();
      Send(hop::Chunk{id, static_cast<uint32_t>(next)}, chunks[next]);
    }
  }
  return "silence";
}

std::string RawSession::Closed() {
  while (auto message = Receive(Millis(5'000))) {
    if (const auto* refused = std::get_if<hop::Refused>(&*message)) return std::string(Name(refused->refusal.code));
  }
  return "silence";
}

}  // namespace tributary
