#include "protocol/hop/client/dialer.h"

#include <algorithm>
#include <utility>

namespace tributary {
namespace {

// Keys of the server that are tried: the one it had, the one it has, the one it will have.
constexpr size_t kServerKeys = 3;

}  // namespace

Dialer::Dialer(const Parts& parts, Options options, Owner& owner)
    : parts_(parts), options_(std::move(options)), owner_(owner), addresses_(parts.loop, options_.endpoint) {
  TRIBUTARY_CHECK(!options_.server_keys.empty());
  const std::vector<Bytes> keys = std::exchange(options_.server_keys, {});
  for (const Bytes& key : keys) {
    if (options_.server_keys.size() < kServerKeys) AddServerKey(key);
  }
}

Dialer::~Dialer() {
  *alive_ = false;
  parts_.loop.Cancel(retry_timer_);
}

void Dialer::Start() {
  if (state_ == State::kStopped) Connect();
}

void Dialer::Stop() {
  state_ = State::kStopped;
  parts_.loop.Cancel(retry_timer_);
  addresses_.Cancel();
  DropSocket();
}

void Dialer::Connect() {
  ++attempt_;
  // Every failure from here on is one of this attempt, which is made again.
  state_ = State::kFinding;
  socket_.reset();
  addresses_.Find([this](const Result<std::string>& address) {
    if (!address) return Drop(address.error());
    Dial(*address);
  });
}

void Dialer::Dial(const std::string& address) {
  state_ = State::kGreeting;
  auto socket = OpenSocket(address);
  if (!socket) return Drop(socket.error());
  socket_ = std::move(*socket);
  const hop::Hello hello = hop::Greeting(parts_.random, options_.versions);
  hello_ = hop::Encode(hello);
  Send(hello);
  if (state_ == State::kGreeting) owner_.OnDialled();
}

Result<std::unique_ptr<ClientSocket>> Dialer::OpenSocket(const std::string& address) {
  const auto connect = [&](const SecretBytes& secret) -> Result<std::unique_ptr<ClientSocket>> {
    ASSIGN_OR_RETURN(own_key_, CurvePublicKeyOf(secret));
    return ClientSocket::Connect(parts_.loop, address, server_key(), secret, options_.transport, *this);
  };
  return options_.curve_secret ? connect(*options_.curve_secret) : connect(GenerateCurveKeyPair().secret);
}

void Dialer::Send(const hop::Message& message, ByteView bulk) {
  if (!at_work()) return;
  const Bytes bytes = hop::Encode(message);
  link_[hop::PurposeOf(message)].up += bytes.size() + bulk.size();
  if (const Status sent = socket_->Send(bytes, bulk); !sent) Drop(sent.error());
}

void Dialer::OnMessage(ByteView bytes, ByteView bulk) {
  if (!at_work()) return;
  auto message = hop::Decode(bytes);
  if (!message) return Drop(message.error());
  hop::CapRetry(*message, options_.longest_wait);
  link_[hop::PurposeOf(*message)].down += bytes.size() + bulk.size();
  if (const auto* refused = std::get_if<hop::Refused>(&*message)) {
    return Drop({refused->refusal.code, "the server refused: " + refused->refusal.sentence}, refused->refusal.retry);
  }
  if (state_ == State::kOpen) return owner_.OnReceived(*message, bulk);
  if (const Status greeted = OnChallenge(*message, bytes); !greeted) Drop(greeted.error());
}

Status Dialer::OnChallenge(const hop::Message& message, ByteView bytes) {
  const auto* challenge = std::get_if<hop::Challenge>(&message);
  if (!challenge) return Fail(Code::kMalformed, "no challenge after hello");
  RETURN_IF_ERROR(hop::CheckChallenge(options_.versions, *challenge));
  ASSIGN_OR_RETURN(const VerifiedIdentity server,
                   hop::VerifyServer(parts_.anchor, challenge->chain, server_key(), parts_.clock.Now()));
  addresses_.Worked();
  state_ = State::kOpen;
  return owner_.OnGreeted(server, hop::ProofTranscript(own_key_, server_key(), hello_, bytes));
}

void Dialer::OnDisconnected() {
  if (state_ == State::kGreeting) return Drop(WrongKey());
  Drop({Code::kUnreachable, "the connection to " + options_.endpoint + " broke"});
}

void Dialer::OnNotConnected() {
  // The next attempt is at another of its addresses; where there is only one, libzmq tries again sooner than this
  // would.
  if (state_ != State::kGreeting) return;
  if (addresses_.HasOthers())
    return Drop({Code::kUnreachable, "nobody takes connections at one of the addresses of " + options_.endpoint});
  if (options_.tell_refusal)
    Drop({Code::kUnreachable, "nobody takes connections at " + options_.endpoint + ": check address and port, or start it"});
}

// A server closes a connection whose first words it cannot open, without one of its own.
Error Dialer::WrongKey() const {
  return {
      Code::kUnreachable,
      fmt::format("connected to {}, but it does not answer to the key {}: it is another server, or it has another key "
                  "(`tributary ca key DIR` prints it), or it is turning connections away",
                  options_.endpoint, ToHex(server_key()))};
}

Error Dialer::Silence(Millis waited) const {
  if (state_ == State::kGreeting && socket_ && socket_->IsConnected()) return WrongKey();
  return {Code::kUnreachable, fmt::format("no answer from {} for {} ms", options_.endpoint, waited.count())};
}

void Dialer::Drop(const Error& why, RetryWindow window) {
  if (!at_work() && state_ != State::kFinding) return;
  // With a key that the server does not have nobody answers: the next attempt is with another.
  if (state_ == State::kGreeting && why.code == Code::kUnreachable) {
    key_in_use_ = (key_in_use_ + 1) % options_.server_keys.size();
  }
  addresses_.Cancel();
  state_ = State::kWaiting;
  const Millis delay = owner_.OnLost(why, window);
  if (state_ != State::kWaiting) return;  // the owner stopped it
  DropSocket();
  retry_timer_ = parts_.loop.After(delay, [this] { Connect(); });
}

void Dialer::DropSocket() {
  parts_.loop.Post([this, alive = alive_, attempt = attempt_] {
    if (*alive && attempt == attempt_ && !at_work()) socket_.reset();
  });
}

bool Dialer::AddServerKey(const Bytes& key) {
  std::vector<Bytes>& keys = options_.server_keys;
  if (std::ranges::find(keys, key) != keys.end()) return false;
  // The one that is in use stays; of the others the oldest goes.
  if (keys.size() >= kServerKeys) {
    const size_t oldest = key_in_use_ == 0 ? 1 : 0;
    keys.erase(keys.begin() + static_cast<ptrdiff_t>(oldest));
    if (oldest < key_in_use_) --key_in_use_;
  }
  keys.push_back(key);
  return true;
}

}  // namespace tributary
