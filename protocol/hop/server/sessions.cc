#include "protocol/hop/server/sessions.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kSweepInterval{1'000};
// A session that was heard so lately, and is ended by a newer one of its member, counts; so many of them are too many.
constexpr Millis kLiving{20'000};
constexpr Rate kThrownOut{0.05, 5};
constexpr size_t kMembers = 4'096;

}  // namespace

RetryWindow WindowFor(Code code) {
  if (!IsTransient(code)) return {};
  if (code == Code::kDiskFull || code == Code::kQuotaExceeded) return {Millis(2'000), Millis(20'000)};
  if (code == Code::kNoSession) return {Millis(0), Millis(500)};
  return {Millis(200), Millis(2'000)};
}

Refusal RefusalOf(const Error& error) { return {error.code, error.message, WindowFor(error.code)}; }

IdentityWatch::IdentityWatch(const Clock& clock) : clock_(clock), thrown_out_(kMembers) {}

bool IdentityWatch::ThrownOut(const DeviceId& member, Millis last_heard) {
  const Millis now = clock_.Monotonic();
  if (now - last_heard > kLiving) return false;
  TokenBucket& bucket = thrown_out_.FindOrMake(member.text(), TokenBucket(kThrownOut, now));
  if (bucket.Take(kThrownOut, now)) return false;
  bucket = TokenBucket(kThrownOut, now);
  LogFailure(
      LogLevel::kWarning, "hop.identity_twice",
      {Code::kIdentityTwice,
       "two programs connect with the identity of this member and throw each other out, or its link breaks every "
       "few seconds"},
      {{"member", member.text()}});
  tell_(member);
  return true;
}

Sessions::Sessions(Loop& loop, const Clock& clock, const Identity& identity, const HopServerOptions& options)
    : loop_(loop), clock_(clock), identity_(identity), options_(options), identity_watch_(clock) {}

Sessions::~Sessions() { loop_.Cancel(sweep_timer_); }

Status Sessions::Listen(ServerSocket::Handler& handler) {
  ASSIGN_OR_RETURN(curve_public_key_, CurvePublicKeyOf(identity_.curve_secret));
  ASSIGN_OR_RETURN(socket_,
                   ServerSocket::Bind(loop_, options_.endpoint, identity_.curve_secret, options_.transport, handler));
  Sweep();
  return {};
}

const HopServerCounts& Sessions::CountAll() {
  if (socket_) {
    counts_.unproven = socket_->unproven();
    counts_.turned_away = socket_->turned_away();
  }
  return counts_;
}

Session& Sessions::Add(const ServerSocket::Peer& peer) {
  if (unproven_.size() >= options_.max_unproven) {
    const Route oldest = unproven_.begin()->second;
    Close(oldest, {Code::kBusy, "too many introduce themselves at once"});
  }
  auto session = std::make_unique<Session>();
  session->route = peer.route;
  session->serial = ++last_serial_;
  session->curve_public_key = peer.curve_public_key;
  session->connection = peer.connection;
  session->last_heard = clock_.Monotonic();
  session->patience = options_.proof_timeout;
  unproven_.emplace(session->serial, peer.route);
  return *sessions_.emplace(peer.route, std::move(session)).first->second;
}

void Sessions::Prove(Session& session, VerifiedIdentity member, bool carrier) {
  if (!carrier) {
    // A member has one session: a new one means that the old connection is dead, whatever TCP thinks of it. Whoever
    // reads there all the same learns that there are two of it.
    if (const auto older = by_member_.find(member.subject.id); older != by_member_.end()) {
      const Route old_route = older->second;
      if (old_route != session.route) {
        if (identity_watch_.ThrownOut(member.subject.id, Find(old_route)->last_heard)) ++counts_.identity_twice;
        Send(old_route,
             hop::Refused{RefusalOf({Code::kIdentityTwice, "another program connected with this identity"})});
        Forget(old_route);
      }
    }
    by_member_[member.subject.id] = session.route;
  }
  socket_->Admit(session.route);
  unproven_.erase(session.serial);
  session.proven = true;
  session.carrier = carrier;
  session.member = std::move(member);
  session.messages.emplace(options_.member_messages, clock_.Monotonic());
  ++counts_.handshakes;
  ++counts_.sessions;
}

Session* Sessions::Find(const Route& route) {
  const auto found = sessions_.find(route);
  return found != sessions_.end() ? found->second.get() : nullptr;
}

Session* Sessions::Find(const Route& route, uint64_t serial) {
  Session* session = Find(route);
  return session && session->serial == serial ? session : nullptr;
}

void Sessions::ForEachProven(const std::function<void(Session&)>& visit) {
  for (const auto& [route, session] : sessions_) {
    if (session->proven) visit(*session);
  }
}

void Sessions::CloseThose(const std::function<Status(const Session&)>& check) {
  std::vector<std::pair<Route, Error>> faults;
  ForEachProven([&](const Session& session) {
    if (const Status fine = check(session); !fine) faults.emplace_back(session.route, fine.error());
  });
  for (const auto& [route, error] : faults) Close(route, error);
}

void Sessions::CloseFallen() {
  next_standing_ = clock_.Monotonic() + options_.standing_interval;
  CloseThose([&](const Session& session) { return identity_.anchor.Standing(session.member, clock_.Now()); });
}

void Sessions::Heard(Session& session, bool has_credit) {
  session.last_heard = clock_.Monotonic();
  if (has_credit) session.received_at_message = socket_->BytesReceived(session.connection);
}

void Sessions::Send(const Route& route, const hop::Message& message, ByteView bulk) {
  const Bytes bytes = hop::Encode(message);
  // A peer that is gone, or does not read, learns everything again when it comes back.
  if (const Status sent = socket_->Send(route, bytes, bulk); !sent) {
    return LogDebug("hop.unsent", {{"why", sent.error().message}});
  }
  const size_t size = bytes.size() + bulk.size();
  counts_.link[hop::PurposeOf(message)].down += size;
  if (Session* session = Find(route)) session->sent += size;
}

bool Sessions::CanTake(const Session& session, size_t bytes) const {
  const uint64_t read = socket_->BytesAcknowledged(session.connection);
  const uint64_t unread = session.sent - std::min(session.sent, read) + session.promised;
  return unread == 0 || unread + bytes <= options_.max_unread_bytes;
}

// By value: the caller's may lie in the session that ends here.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
void Sessions::Close(Route route, const Error& error) {
  ++counts_.refused[error.code];
  if (const Session* session = Find(route); session && session->proven) {
    LogFailure(LogLevel::kWarning, "hop.closed", error, {{"member", session->member.subject.id.text()}});
  } else {
    OnStranger(route, error);
  }
  Send(route, hop::Refused{RefusalOf(error)});
  Forget(route);
  socket_->Dismiss(route);
}

void Sessions::OnStranger(const Route& route, const Error& error) {
  // A stranger is not to blame for an error that passes.
  if (!IsTransient(error.code)) socket_->ProofFailed(route);
  LogFailure(LogLevel::kWarning, "hop.closed", error, {{"member", "unproven"}});
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as Close
void Sessions::Forget(Route route) {
  const auto forgotten = sessions_.extract(route);
  if (!forgotten) return;
  const Session* session = forgotten.mapped().get();
  unproven_.erase(session->serial);
  if (session->proven) {
    --counts_.sessions;
    if (const auto entry = by_member_.find(session->member.subject.id);
        entry != by_member_.end() && entry->second == route) {
      by_member_.erase(entry);
    }
  }
  socket_->Dismiss(route);
  for (Part* part : listeners_) part->OnForgotten(*session);
}

void Sessions::Sweep() {
  const Millis now = clock_.Monotonic();
  std::vector<std::pair<Route, Error>> over;
  for (const auto& [route, session] : sessions_) {
    if (auto why = Overdue(*session, now)) over.emplace_back(route, std::move(*why));
  }
  for (const auto& [route, error] : over) Close(route, error);
  if (now >= next_standing_) CloseFallen();
  sweep_timer_ = loop_.After(kSweepInterval, [this] { Sweep(); });
}

std::optional<Error> Sessions::Overdue(Session& session, Millis now) {
  const Millis silent = now - session.last_heard;
  if (!session.proven && silent > session.patience) return Error{Code::kTimeout, "no proof came"};
  for (Part* part : listeners_) {
    const Part::Use use = part->OnSweep(session, now);
    if (use == Part::Use::kArriving) return std::nullopt;
    if (use == Part::Use::kHoldingUp) return Error{Code::kTimeout, "credit that others wait for was not used"};
  }
  if (silent <= std::max(options_.session_timeout, 3 * session.check_in)) return std::nullopt;
  if (!IsArriving(session)) return Error{Code::kTimeout, "nothing heard"};
  session.last_heard = now;
  return std::nullopt;
}

bool Sessions::IsArriving(Session& session) {
  // More than the framing of a handful of messages can be.
  constexpr uint64_t kPartOfAChunk = 1024;
  const uint64_t received = socket_->BytesReceived(session.connection);
  const bool grew = std::exchange(session.received, received) != received;
  return grew && received > session.received_at_message + kPartOfAChunk;
}

}  // namespace tributary
