#include "protocol/hop/client/client.h"

#include <algorithm>
#include <utility>

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
// When to ask again for a certificate after a session that ended: it takes about so long to have the next one.
constexpr RetryWindow kAskAgain{Millis(2'000), Millis(10'000)};
// A server that is behind gets the publication this often.
constexpr Millis kShowAgain{60'000};

std::vector<Bytes> KeysOf(const HopClient::Options& options) {
  std::vector<Bytes> keys{options.server_key};
  keys.insert(keys.end(), options.server_keys.begin(), options.server_keys.end());
  return keys;
}

}  // namespace

HopClient::HopClient(const Parts& parts, Options options, Hooks hooks)
    : parts_(parts),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      dialer_({parts_.loop, parts_.clock, parts_.random, parts_.identity.anchor},
              {options_.endpoint, KeysOf(options_), &parts_.identity.curve_secret, options_.versions,
               options_.transport, options_.retry_cap},
              *this),
      backoff_(options_.first_retry, options_.retry_cap),
      check_in_interval_(options_.check_in_interval) {}

HopClient::~HopClient() { parts_.loop.Cancel(watch_timer_); }

void HopClient::Start() {
  if (!dialer_.stopped()) return;
  dialer_.Start();
  Watch();
}

void HopClient::Stop() {
  if (up_) Send(hop::Goodbye{}, {}, false);
  dialer_.Stop();
  parts_.loop.Cancel(watch_timer_);
  TellDown(std::exchange(up_, false));
}

void HopClient::OnDialled() {
  // A question that the last session left open is none of this one.
  asked_ = false;
  moved_ = 0;
  Asked();
}

void HopClient::Renew(const std::string& why) {
  if (!up_) return;
  Send(hop::Goodbye{}, {}, false);
  dialer_.Drop({Code::kNoSession, why});
}

void HopClient::Asked() {
  if (std::exchange(asked_, true)) return;
  asked_since_ = parts_.clock.Monotonic();
}

void HopClient::Send(const hop::Message& message, ByteView bulk, bool expects_answer) {
  if (expects_answer) Asked();
  dialer_.Send(message, bulk);
}

void HopClient::CheckInNow() {
  if (!up_) return;
  // Spread, so that clients which came together do not go on asking together.
  next_check_in_ = parts_.clock.Monotonic() +
                   Backoff::Within({check_in_interval_ - check_in_interval_ / 4, check_in_interval_}, parts_.random);
  hop::CheckIn check_in = hooks_.describe_self();
  if (std::exchange(shows_publication_, false)) check_in.publication = hooks_.held_publication();
  Send(check_in);
}

// However often a server asks: a publication may have megabytes, and the link may be slow.
void HopClient::ShowPublication() {
  const Millis now = parts_.clock.Monotonic();
  if (!hooks_.held_publication || (showed_publication_ && now - *showed_publication_ < kShowAgain)) return;
  showed_publication_ = now;
  shows_publication_ = true;
  CheckInNow();
}

Status HopClient::OnGreeted(const VerifiedIdentity& server, const Bytes& transcript) {
  asked_ = false;
  server_ = server;
  Send(hop::Proof{parts_.identity.chain, parts_.identity.key.Sign(transcript)});
  return {};
}

void HopClient::OnReceived(const hop::Message& message, ByteView bulk) {
  asked_ = false;
  if (!up_) {
    if (const auto* welcome = std::get_if<hop::Welcome>(&message)) return OnWelcome(*welcome);
    return dialer_.Drop({Code::kMalformed, "no welcome after the proof"});
  }
  if (const auto* assignment = std::get_if<hop::Assignment>(&message)) return OnAssignment(*assignment);
  if (std::holds_alternative<hop::Notice>(message)) return CheckInNow();
  if (const auto* answer = std::get_if<hop::EnrolAnswer>(&message)) return OnEnrolAnswer(*answer);
  for (Part* part : listeners_) part->OnMessage(message, bulk);
}

Status HopClient::Enrol(const Bytes& sealed_request, OnEnrolled on_answer) {
  if (!up_) return Fail(Code::kUnreachable, "there is no session with {}", options_.endpoint);
  if (enrolments_.size() >= kEnrolments) {
    return Fail(Code::kBusy, "{} requests for certificates are under way", kEnrolments);
  }
  enrolments_.emplace(Sha256(sealed_request), std::move(on_answer));
  // An operator may take his time: silence is no sign of a dead session here.
  Send(hop::Enrol{sealed_request}, {}, false);
  return {};
}

void HopClient::OnEnrolAnswer(const hop::EnrolAnswer& answer) {
  const auto asked = enrolments_.extract(answer.request);
  if (asked) asked.mapped()(answer.answer);
}

void HopClient::TellDown(bool was_up) {
  if (was_up) {
    for (Part* part : listeners_) part->OnDown();
  }
  const EnrolmentAnswer over{
      EnrolmentAnswer::Kind::kPending, {}, {Code::kUnreachable, "the way up was closed meanwhile", kAskAgain}};
  for (const auto& [request, on_answer] : std::exchange(enrolments_, {})) on_answer(over);
}

void HopClient::OnWelcome(const hop::Welcome& welcome) {
  if (!TakeTerms(welcome)) return;
  welcome_ = welcome;
  up_ = true;
  backoff_.Reset();
  LogInfo("hop.up", {{"member", parts_.identity.subject.id.text()}, {"server", welcome.server.text()}});
  OnNextChain(welcome.next_chain);
  CheckInNow();
  for (Part* part : listeners_) part->OnUp();
}

void HopClient::OnAssignment(const hop::Assignment& assignment) {
  if (!TakeTerms(assignment)) return;
  OnNextChain(assignment.next_chain);
  if (!assignment.publication.empty()) hooks_.on_publication(assignment.publication);
  if (assignment.wants_publication) ShowPublication();
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
  if (!dialer_.AddServerKey(subject.curve_public_key)) return;
  LogInfo("hop.next_key", {{"server", subject.id.text()}, {"key", ToHex(subject.curve_public_key)}});
  if (hooks_.on_server_key) hooks_.on_server_key(subject.curve_public_key, *next);
}

bool HopClient::TakeTerms(const hop::Terms& terms) {
  if (!options_.carrier) {
    if (const Status fine = hop::CheckPath(parts_.identity.subject.id, terms.path); !fine) {
      dialer_.Drop(fine.error());
      return false;
    }
  }
  check_in_interval_ = terms.check_in_millis == 0
                           ? options_.check_in_interval
                           : std::clamp(Millis(terms.check_in_millis), kShortestCheckIn, kLongestCheckIn);
  if (hooks_.on_path) hooks_.on_path(terms.path);
  return true;
}

Millis HopClient::OnLost(const Error& why, RetryWindow window) {
  const bool was_up = std::exchange(up_, false);
  last_problem_ = why;
  asked_ = false;
  // A session that the server lost (it restarted) is made anew at once. A client that is refused for good asks again at
  // the slowest pace: an operator may mend it.
  Millis delay = backoff_.Next(parts_.random);
  if (window.max > Millis(0)) delay = std::max(delay, Backoff::Within(window, parts_.random));
  if (why.code == Code::kNoSession && was_up) delay = Backoff::Within(window, parts_.random);
  if (!IsTransient(why.code)) delay = options_.retry_cap;
  const bool is_twice = why.code == Code::kIdentityTwice;  // goes on, but somebody has to do something
  const LogLevel level = !IsTransient(why.code) ? LogLevel::kError : is_twice ? LogLevel::kWarning : LogLevel::kInfo;
  LogFailure(
      level, "hop.down", why,
      {{"member", parts_.identity.subject.id.text()}, {"endpoint", options_.endpoint}, {"retry_ms", delay.count()}});
  TellDown(was_up);
  return delay;
}

void HopClient::Watch() {
  const Millis now = parts_.clock.Monotonic();
  const Millis patience = up_ ? options_.answer_timeout : options_.handshake_timeout;
  // Bytes that move are as good as an answer: the link is slow, not dead.
  if (asked_) {
    const uint64_t moved = dialer_.BytesMoved();
    if (moved != moved_) asked_since_ = now;
    moved_ = moved;
  }
  if (asked_ && now - asked_since_ > patience) {
    Error silence = dialer_.Silence(patience);
    if (up_) silence.code = Code::kTimeout;
    dialer_.Drop(silence);
  } else if (up_ && !asked_ && now >= next_check_in_) {
    // Not on top of an open question: bytes that a kernel or proxy takes from here would pass for progress.
    CheckInNow();
  }
  watch_timer_ = parts_.loop.After(up_ && !asked_ ? kWatchIdle : kWatchBusy, [this] { Watch(); });
}

}  // namespace tributary
