#include "protocol/hop/client/client.h"

#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// How often a question without an answer, or a handshake, is looked at; and a session at rest.
constexpr Millis kWatchBusy{200};
constexpr Millis kWatchIdle{1'000};
// No server is believed that would have its clients ask all the time, or never.
constexpr Millis kShortestCheckIn{1'000};
constexpr Millis kLongestCheckIn{600'000};
// As many requests for certificates as a server takes of one connection.
constexpr size_t kEnrolments = 64;
// Keys of the server that are tried: the one it had, the one it has, the one it will have.
constexpr size_t kServerKeys = 3;
// When to ask again for a certificate after a session that ended: it takes about so long to have the next one.
constexpr RetryWindow kAskAgain{Millis(2'000), Millis(10'000)};

}  // namespace

HopClient::HopClient(const Parts& parts, Options options, Hooks hooks)
    : parts_(parts),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      backoff_(options_.first_retry, options_.retry_cap),
      server_keys_{options_.server_key},
      check_in_interval_(options_.check_in_interval) {
  for (const Bytes& key : options_.server_keys) {
    if (server_keys_.size() < kServerKeys && std::ranges::find(server_keys_, key) == server_keys_.end()) {
      server_keys_.push_back(key);
    }
  }
}

HopClient::~HopClient() {
  *alive_ = false;
  parts_.loop.Cancel(retry_timer_);
  parts_.loop.Cancel(watch_timer_);
}

void HopClient::Start() {
  if (state_ != State::kStopped) return;
  Connect();
  Watch();
}

void HopClient::Stop() {
  if (state_ == State::kUp) Send(hop::Goodbye{}, {}, false);
  const bool was_up = up();
  state_ = State::kStopped;
  parts_.loop.Cancel(retry_timer_);
  parts_.loop.Cancel(watch_timer_);
  socket_.reset();
  if (was_up) {
    for (Part* part : listeners_) part->OnDown();
  }
  AbandonEnrolments();
}

void HopClient::Connect() {
  ++attempt_;
  // Whatever fails from here on is an attempt that failed, and is tried again.
  state_ = State::kGreeting;
  socket_.reset();
  auto socket = ClientSocket::Connect(parts_.loop, options_.endpoint, server_key(), parts_.identity.curve_secret,
                                      options_.transport, *this);
  if (!socket) return Down(socket.error());
  socket_ = std::move(*socket);
  asked_ = false;
  moved_ = 0;
  const hop::Hello hello = hop::Greeting(parts_.random, options_.versions);
  hello_ = hop::Encode(hello);
  Send(hello);
}

void HopClient::OnDisconnected() {
  if (state_ == State::kWaiting) return;
  Down({Code::kUnreachable, "the connection to " + options_.endpoint + " broke"});
}

void HopClient::Renew(const std::string& why) {
  if (!up()) return;
  Send(hop::Goodbye{}, {}, false);
  Down({Code::kNoSession, why});
}

void HopClient::Send(const hop::Message& message, ByteView bulk, bool expects_answer) {
  if (!socket_) return;
  if (expects_answer && !asked_) {
    asked_ = true;
    asked_since_ = parts_.clock.Monotonic();
  }
  const Bytes bytes = hop::Encode(message);
  link_[hop::PurposeOf(message)].up += bytes.size() + bulk.size();
  if (const Status sent = socket_->Send(bytes, bulk); !sent) Down(sent.error());
}

void HopClient::CheckInNow() {
  if (!up()) return;
  // Spread, so that clients which came together do not go on asking together.
  next_check_in_ = parts_.clock.Monotonic() +
                   Backoff::Within({check_in_interval_ - check_in_interval_ / 4, check_in_interval_}, parts_.random);
  Send(hooks_.describe_self());
}

void HopClient::OnMessage(ByteView bytes, ByteView bulk) {
  asked_ = false;
  const auto message = hop::Decode(bytes);
  if (!message) return Down(message.error());
  link_[hop::PurposeOf(*message)].down += bytes.size() + bulk.size();
  if (const auto* refused = std::get_if<hop::Refused>(&*message)) {
    return Down({refused->refusal.code, "the server refused: " + refused->refusal.sentence}, refused->refusal.retry);
  }
  if (state_ == State::kGreeting) {
    const auto* challenge = std::get_if<hop::Challenge>(&*message);
    const Status status =
        challenge ? OnChallenge(*challenge, bytes) : Fail(Code::kMalformed, "no challenge after hello");
    if (!status) Down(status.error());
    return;
  }
  if (state_ == State::kProving) {
    if (const auto* welcome = std::get_if<hop::Welcome>(&*message)) return OnWelcome(*welcome);
    return Down({Code::kMalformed, "no welcome after the proof"});
  }
  if (state_ != State::kUp) return;
  if (const auto* assignment = std::get_if<hop::Assignment>(&*message)) return OnAssignment(*assignment);
  if (std::holds_alternative<hop::Notice>(*message)) return CheckInNow();
  if (const auto* answer = std::get_if<hop::EnrolAnswer>(&*message)) return OnEnrolAnswer(*answer);
  for (Part* part : listeners_) part->OnMessage(*message, bulk);
}

Status HopClient::Enrol(const Bytes& sealed_request, OnEnrolled on_answer) {
  if (!up()) return Fail(Code::kUnreachable, "there is no session with " + options_.endpoint);
  if (enrolments_.size() >= kEnrolments) {
    return Fail(Code::kBusy, std::to_string(kEnrolments) + " requests for certificates are under way");
  }
  enrolments_.emplace(Sha256(sealed_request), std::move(on_answer));
  // An operator may take his time: silence is no sign of a dead session here.
  Send(hop::Enrol{sealed_request}, {}, false);
  return {};
}

void HopClient::OnEnrolAnswer(const hop::EnrolAnswer& answer) {
  const auto found = enrolments_.find(answer.request);
  if (found == enrolments_.end()) return;
  const OnEnrolled on_answer = std::move(found->second);
  enrolments_.erase(found);
  on_answer(answer.answer);
}

void HopClient::AbandonEnrolments() {
  const EnrolmentAnswer over{
      EnrolmentAnswer::Kind::kPending, {}, {Code::kUnreachable, "the way up was closed meanwhile", kAskAgain}};
  for (const auto& [request, on_answer] : std::exchange(enrolments_, {})) on_answer(over);
}

Status HopClient::OnChallenge(const hop::Challenge& challenge, ByteView bytes) {
  RETURN_IF_ERROR(hop::CheckChallenge(options_.versions, challenge));
  ASSIGN_OR_RETURN(server_,
                   hop::VerifyServer(parts_.identity.anchor, challenge.chain, server_key(), parts_.clock.Now()));
  ASSIGN_OR_RETURN(const Bytes own_key, CurvePublicKeyOf(parts_.identity.curve_secret));
  const Bytes transcript = hop::ProofTranscript(own_key, server_key(), hello_, bytes);
  state_ = State::kProving;
  Send(hop::Proof{parts_.identity.chain, parts_.identity.key.Sign(transcript)});
  return {};
}

void HopClient::OnWelcome(const hop::Welcome& welcome) {
  if (!TakeTerms(welcome.path, welcome.check_in_millis)) return;
  welcome_ = welcome;
  state_ = State::kUp;
  backoff_.Reset();
  LogInfo("hop.up", {{"member", parts_.identity.subject.id.text()}, {"server", welcome.server.text()}});
  OnNextChain(welcome.next_chain);
  CheckInNow();
  for (Part* part : listeners_) part->OnUp();
}

void HopClient::OnAssignment(const hop::Assignment& assignment) {
  if (!TakeTerms(assignment.path, assignment.check_in_millis)) return;
  OnNextChain(assignment.next_chain);
  if (!assignment.publication.empty()) hooks_.on_publication(assignment.publication);
}

void HopClient::OnNextChain(const std::vector<Bytes>& chain) {
  if (chain.empty()) return;
  const auto next = parts_.identity.anchor.Verify(chain, parts_.clock.Now());
  if (!next) return LogFailure(LogLevel::kWarning, "hop.next_key_refused", next.error());
  const Subject& subject = next->subject;
  if (subject.id != server_->subject.id || subject.role != server_->subject.role) {
    return LogFailure(
        LogLevel::kWarning, "hop.next_key_refused",
        {Code::kWrongIdentity, server_->subject.id.text() + " shows a next certificate of " + subject.id.text()});
  }
  if (std::ranges::find(server_keys_, subject.curve_public_key) != server_keys_.end()) return;
  // The one that is in use stays; of the others the oldest goes.
  if (server_keys_.size() >= kServerKeys) {
    const size_t oldest = key_in_use_ == 0 ? 1 : 0;
    server_keys_.erase(server_keys_.begin() + static_cast<ptrdiff_t>(oldest));
    if (oldest < key_in_use_) --key_in_use_;
  }
  server_keys_.push_back(subject.curve_public_key);
  LogInfo("hop.next_key", {{"server", subject.id.text()}, {"key", ToHex(subject.curve_public_key)}});
  if (hooks_.on_server_key) hooks_.on_server_key(subject.curve_public_key, *next);
}

bool HopClient::TakeTerms(const std::vector<DeviceId>& path, uint32_t check_in_millis) {
  if (!options_.carrier) {
    if (const Status fine = hop::CheckPath(parts_.identity.subject.id, path); !fine) {
      Down(fine.error());
      return false;
    }
  }
  check_in_interval_ = check_in_millis == 0 ? options_.check_in_interval
                                            : std::clamp(Millis(check_in_millis), kShortestCheckIn, kLongestCheckIn);
  if (hooks_.on_path) hooks_.on_path(path);
  return true;
}

void HopClient::Down(const Error& why, RetryWindow window) {
  if (state_ == State::kStopped || state_ == State::kWaiting) return;
  const bool was_up = up();
  // With a key that the server does not have nobody answers: the next attempt is with another.
  if (state_ == State::kGreeting && why.code == Code::kUnreachable) {
    key_in_use_ = (key_in_use_ + 1) % server_keys_.size();
  }
  state_ = State::kWaiting;
  last_problem_ = why;
  asked_ = false;
  // A session that the server lost (it restarted) is made anew at once. What is refused for good is asked again at the
  // slowest pace: an operator may mend it.
  Millis delay = backoff_.Next(parts_.random);
  if (window.max > Millis(0)) delay = std::max(delay, Backoff::Within(window, parts_.random));
  if (why.code == Code::kNoSession) delay = Backoff::Within(window, parts_.random);
  if (!IsTransient(why.code)) delay = options_.retry_cap;
  LogFailure(
      IsTransient(why.code) ? LogLevel::kInfo : LogLevel::kError, "hop.down", why,
      {{"member", parts_.identity.subject.id.text()}, {"endpoint", options_.endpoint}, {"retry_ms", delay.count()}});
  if (was_up) {
    for (Part* part : listeners_) part->OnDown();
  }
  AbandonEnrolments();
  // The socket may be the one whose message is being handled: it goes when that is over.
  parts_.loop.Post([this, alive = alive_, attempt = attempt_] {
    if (*alive && attempt == attempt_ && state_ == State::kWaiting) socket_.reset();
  });
  retry_timer_ = parts_.loop.After(delay, [this] { Connect(); });
}

void HopClient::Watch() {
  const Millis now = parts_.clock.Monotonic();
  const bool connecting = state_ == State::kGreeting || state_ == State::kProving;
  const Millis patience = connecting ? options_.handshake_timeout : options_.answer_timeout;
  // Bytes that move are as good as an answer: the link is slow, not dead.
  if (asked_ && socket_) {
    const uint64_t moved = socket_->BytesMoved();
    if (moved != moved_) asked_since_ = now;
    moved_ = moved;
  }
  if (asked_ && now - asked_since_ > patience) {
    Down({connecting ? Code::kUnreachable : Code::kTimeout,
          "no answer from " + options_.endpoint + " for " + std::to_string(patience.count()) + " ms"});
  } else if (up() && !asked_ && now >= next_check_in_) {
    // Not on top of an open question: bytes that a kernel or proxy takes from here would pass for progress.
    CheckInNow();
  }
  watch_timer_ = parts_.loop.After(up() && !asked_ ? kWatchIdle : kWatchBusy, [this] { Watch(); });
}

}  // namespace tributary
