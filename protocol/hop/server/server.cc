#include "protocol/hop/server/server.h"

#include <algorithm>
#include <utility>

#include "protocol/base/log.h"
#include "protocol/hop/server/sessions.h"

// The table of sessions and the way down (publication, blobs). The handshake is in server_handshake.cc, the way up in
// server_uploads.cc.
namespace tributary {
namespace {

// What is logged of those who prove nothing: whoever mends something sees it, and a flood does not fill the disk.
constexpr Rate kLogs{1, 20};

}  // namespace

HopServer::HopServer(const Parts& parts, Options options)
    : parts_(parts),
      options_(std::move(options)),
      pool_(options_.credit_bytes),
      path_{parts_.identity.subject.id},
      pending_(options_.remembered_applicants),
      unproven_log_(kLogs, parts_.clock.Monotonic()) {}

HopServer::~HopServer() {
  *alive_ = false;
  parts_.loop.Cancel(sweep_timer_);
}

Status HopServer::Listen() {
  ASSIGN_OR_RETURN(curve_public_key_, CurvePublicKeyOf(parts_.identity.curve_secret));
  ASSIGN_OR_RETURN(socket_, ServerSocket::Bind(parts_.loop, options_.endpoint, parts_.identity.curve_secret,
                                               options_.transport, *this));
  Sweep();
  return {};
}

void HopServer::Publish(Bytes signed_publication, uint64_t number, uint64_t root_version) {
  publication_ = std::move(signed_publication);
  publication_number_ = number;
  root_version_ = root_version;
  EndFallen();
  for (const auto& [route, session] : sessions_) {
    if (session->proven) Send(route, hop::Notice{number});
  }
}

void HopServer::SayGoodbye() {
  const Code code = Code::kShuttingDown;
  for (const auto& [route, session] : sessions_) {
    if (session->proven) Send(route, hop::Refused{{code, "this server is being stopped", WindowFor(code)}});
  }
}

void HopServer::SetPath(std::vector<DeviceId> above) {
  std::vector<DeviceId> path{parts_.identity.subject.id};
  path.insert(path.end(), above.begin(), above.end());
  if (path == path_) return;
  path_ = std::move(path);
  std::vector<std::pair<Route, Error>> loops;
  for (const auto& [route, session] : sessions_) {
    if (!session->proven || session->carrier || session->member.subject.role != Role::kGateway) continue;
    const Status fine = hop::CheckPath(session->member.subject.id, path_);
    if (!fine) loops.emplace_back(route, fine.error());
    // It checks in, and learns the path with the answer.
    if (fine) Send(route, hop::Notice{publication_number_});
  }
  for (const auto& [route, error] : loops) CloseWith(route, error);
}

Status HopServer::SetNextIdentity(std::vector<Bytes> chain) {
  if (!chain.empty()) {
    ASSIGN_OR_RETURN(const VerifiedIdentity next, parts_.identity.anchor.Verify(chain, parts_.clock.Now()));
    const Subject& own = parts_.identity.subject;
    if (next.subject.id != own.id || next.subject.role != own.role) {
      return Fail(Code::kWrongIdentity, "the next certificate is of " + next.subject.id.text() + ", a " +
                                            std::string(RoleName(next.subject.role)) + ", not of this server");
    }
  }
  next_chain_ = std::move(chain);
  for (const auto& [route, session] : sessions_) {
    if (session->proven) Send(route, hop::Notice{publication_number_});
  }
  return {};
}

void HopServer::EndFallen() {
  const WallTime now = parts_.clock.Now();
  next_standing_ = parts_.clock.Monotonic() + options_.standing_interval;
  std::vector<std::pair<Route, Error>> fallen;
  for (const auto& [route, session] : sessions_) {
    if (!session->proven) continue;
    const Status standing = parts_.identity.anchor.Standing(session->member, now);
    if (!standing) fallen.emplace_back(route, standing.error());
  }
  for (const auto& [route, error] : fallen) CloseWith(route, error);
}

const HopServer::Counts& HopServer::counts() {
  counts_.credit_in_use = pool_.used();
  if (socket_) {
    counts_.unproven = socket_->unproven();
    counts_.turned_away = socket_->turned_away();
  }
  return counts_;
}

void HopServer::OnNonsense(const ServerSocket::Peer& peer) {
  CloseWith(peer.route, {Code::kMalformed, "frames that are no hop message"});
}

void HopServer::OnMessage(const ServerSocket::Peer& peer, ByteView bytes, ByteView bulk) {
  const auto found = sessions_.find(peer.route);
  const bool proven = found != sessions_.end() && found->second->proven;
  if (!proven && bytes.size() + bulk.size() > options_.max_unproven_message) {
    return CloseWith(peer.route,
                     {Code::kTooLarge, std::to_string(bytes.size() + bulk.size()) + " bytes before the proof"});
  }
  const auto message = hop::Decode(bytes);
  if (!message) return CloseWith(peer.route, message.error());
  counts_.link[hop::PurposeOf(*message)].up += bytes.size() + bulk.size();
  if (const auto* hello = std::get_if<hop::Hello>(&*message)) return OnHello(peer, *hello, bytes);

  if (found == sessions_.end()) {
    // What a client sent before it noticed that this process was started anew.
    return Send(peer.route, hop::Refused{{Code::kNoSession, "introduce yourself first", {Millis(0), Millis(500)}}});
  }
  Session& session = *found->second;
  if (session.curve_public_key != peer.curve_public_key) {
    return CloseWith(peer.route, {Code::kWrongIdentity, "the connection's key changed"});
  }
  session.last_heard = parts_.clock.Monotonic();
  if (session.granted > 0) session.received_at_message = socket_->BytesReceived(session.connection);
  Status status;
  if (const auto* proof = std::get_if<hop::Proof>(&*message)) {
    status = OnProof(session, *proof);
  } else if (session.proven) {
    status = Dispatch(session, *message, bulk);
  } else if (const auto* enrol = std::get_if<hop::Enrol>(&*message); enrol && bulk.empty()) {
    status = OnEnrol(session, *enrol);
  } else {
    status = Fail(Code::kNoSession, "a message before the proof");
  }
  if (!status) CloseWith(peer.route, status.error());
}

uint32_t HopServer::CheckInMillis(Session& session) const {
  constexpr Millis kRarest{300'000};
  Millis interval = options_.check_in_interval;
  // A gateway's check-in carries reports that people wait for, and there are few gateways.
  if (session.member.subject.role != Role::kGateway) {
    interval = std::max(interval, std::min(kRarest, Millis(static_cast<int64_t>(counts_.sessions) * 1000 /
                                                           options_.check_ins_per_second)));
  }
  session.check_in = interval;
  return static_cast<uint32_t>(interval.count());
}

Status HopServer::Dispatch(Session& session, const hop::Message& message, ByteView bulk) {
  if (const auto* chunk = std::get_if<hop::Chunk>(&message)) return OnChunk(session, *chunk, bulk);
  const bool many = session.carrier || session.member.subject.role == Role::kGateway;
  const Rate& rate = many ? options_.gateway_messages : options_.member_messages;
  if (!session.messages->Take(rate, parts_.clock.Monotonic())) {
    return Fail(Code::kTooFast, "more than " + std::to_string(static_cast<int>(rate.per_second)) +
                                    " messages a second from " + session.member.subject.id.text());
  }
  if (const auto* enrol = std::get_if<hop::Enrol>(&message); enrol && bulk.empty()) return OnEnrol(session, *enrol);
  if (!bulk.empty()) return Fail(Code::kMalformed, "bulk bytes behind a message that has none");
  if (const auto* offer = std::get_if<hop::Offer>(&message)) return OnOffer(session, *offer);
  if (const auto* fetch = std::get_if<hop::Fetch>(&message)) return OnFetch(session, *fetch);
  if (const auto* check_in = std::get_if<hop::CheckIn>(&message)) {
    return OnCheckIn(session, *check_in);
  }
  if (std::holds_alternative<hop::Goodbye>(message)) {
    Forget(session.route);
    return {};
  }
  return Fail(Code::kMalformed, "a message that only servers send");
}

Status HopServer::OnCheckIn(Session& session, hop::CheckIn check_in) {
  // A carrier is no member below: it has nothing to report.
  if (!session.carrier) {
    const Subject& member = session.member.subject;
    if (!check_in.reports.empty() && (member.role != Role::kGateway || check_in.reports.front().gateway != member.id)) {
      return Fail(Code::kMalformed, "the first report of " + member.id.text() + " is not its own");
    }
    if (!check_in.reports.empty()) check_in.reports.front().parent = parts_.identity.subject.id;
    parts_.observer.OnCheckIn(session.member, check_in);
  }
  Assign(session, {check_in.root_version, check_in.publication_number});
  return {};
}

void HopServer::Assign(Session& session, std::pair<uint64_t, uint64_t> held) {
  const std::pair current(root_version_, publication_number_);
  const Millis now = parts_.clock.Monotonic();
  const bool on_its_way = session.published == current && now < session.published_at + options_.publication_again;
  const bool give = current > held && !on_its_way && CanTake(session, publication_.size());
  if (give) {
    session.published = current;
    session.published_at = now;
  }
  Send(session.route,
       hop::Assignment{publication_number_, give ? publication_ : Bytes{}, CheckInMillis(session), path_, next_chain_});
}

bool HopServer::CanTake(const Session& session, size_t bytes) const {
  const uint64_t read = socket_->BytesAcknowledged(session.connection);
  return session.sent <= read || session.sent - read + bytes <= options_.max_unread_bytes;
}

Status HopServer::OnFetch(Session& session, const hop::Fetch& fetch) {
  if (fetch.size == 0 || fetch.size > limits::kPieceBytes) {
    return Fail(Code::kTooLarge, "a piece of " + std::to_string(fetch.size) + " bytes");
  }
  const auto refuse = [&](const Error& error) {
    ++counts_.refused[error.code];
    Send(session.route, hop::FetchRefused{fetch.digest, {error.code, error.message, WindowFor(error.code)}});
  };
  const auto size = parts_.blobs.Size(fetch.digest);
  if (!size) {
    refuse({Code::kUnknownBlob, "blob " + fetch.digest.hex() + " is not held here"});
    return {};
  }
  if (fetch.offset >= *size) return Fail(Code::kMalformed, "a fetch behind the blob's end");
  const auto length = static_cast<size_t>(std::min<uint64_t>(fetch.size, *size - fetch.offset));
  if (!CanTake(session, length)) {
    refuse({Code::kTooFast, "what was asked for before is not read yet"});
    return {};
  }
  const auto bytes = parts_.blobs.Read(fetch.digest, fetch.offset, length);
  if (!bytes) {
    refuse(bytes.error());
    return {};
  }
  counts_.piece_bytes += bytes->size();
  Send(session.route, hop::Piece{fetch.digest, fetch.offset, *size}, *bytes);
  return {};
}

HopServer::Session* HopServer::Find(const Route& route, uint64_t serial) {
  const auto found = sessions_.find(route);
  return found != sessions_.end() && found->second->serial == serial ? found->second.get() : nullptr;
}

void HopServer::Send(const Route& route, const hop::Message& message, ByteView bulk) {
  SendBytes(route, hop::Encode(message), hop::PurposeOf(message), bulk);
}

void HopServer::SendBytes(const Route& route, ByteView message, LinkPurpose purpose, ByteView bulk) {
  // A peer that is gone, or does not read, learns everything again when it comes back.
  if (const Status sent = socket_->Send(route, message, bulk); !sent) {
    LogDebug("hop.unsent", {{"why", sent.error().message}});
    return;
  }
  counts_.link[purpose].down += message.size() + bulk.size();
  if (const auto found = sessions_.find(route); found != sessions_.end()) {
    found->second->sent += message.size() + bulk.size();
  }
}

void HopServer::CloseWith(Route route, const Error& error) {
  ++counts_.refused[error.code];
  const auto found = sessions_.find(route);
  if (found != sessions_.end() && found->second->proven) {
    LogFailure(LogLevel::kWarning, "hop.closed", error, {{"member", found->second->member.subject.id.text()}});
  } else {
    OnStranger(route, error);
  }
  Send(route, hop::Refused{{error.code, error.message, WindowFor(error.code)}});
  Forget(route);
  socket_->Dismiss(route);
}

void HopServer::OnStranger(const Route& route, const Error& error) {
  // What passes is nobody's fault.
  if (!IsTransient(error.code)) socket_->ProofFailed(route);
  if (!unproven_log_.Take(kLogs, parts_.clock.Monotonic())) {
    ++unlogged_;
    return;
  }
  LogFailure(LogLevel::kWarning, "hop.closed", error,
             {{"member", "unproven"}, {"unlogged", std::exchange(unlogged_, 0)}});
}

void HopServer::Forget(Route route) {
  const auto found = sessions_.find(route);
  if (found == sessions_.end()) return;
  const Session& session = *found->second;
  // What is in process goes back to the pool when the sink has taken it (OnTaken).
  pool_.GiveBack(session.granted);
  for (const UploadId& upload : session.offered) {
    const auto entry = offered_by_.find(upload);
    if (entry == offered_by_.end()) continue;
    std::erase(entry->second, session.route);
    if (entry->second.empty()) offered_by_.erase(entry);
  }
  if (session.proven) {
    --counts_.sessions;
    if (const auto entry = by_member_.find(session.member.subject.id);
        entry != by_member_.end() && entry->second == route) {
      by_member_.erase(entry);
    }
  }
  unproven_.erase(session.serial);
  sessions_.erase(found);
  socket_->Dismiss(route);
  GrantWaiting();
}

void HopServer::Sweep() {
  const Millis now = parts_.clock.Monotonic();
  std::vector<std::pair<Route, Error>> over;
  for (const auto& [route, session] : sessions_) {
    const Millis silent = now - session->last_heard;
    if (!session->proven && silent > (session->enrolments > 0 ? options_.enrolment_timeout : options_.proof_timeout)) {
      over.emplace_back(route, Error{Code::kTimeout, "no proof came"});
    } else if (!waiting_.empty() && session->granted > 0 && now - session->granted_since > options_.chunk_timeout) {
      if (IsInTheMiddle(*session)) {
        session->granted_since = now;
      } else {
        over.emplace_back(route, Error{Code::kTimeout, "credit that others wait for was not used"});
      }
    } else if (silent > std::max(options_.session_timeout, 3 * session->check_in)) {
      if (IsInTheMiddle(*session)) {
        session->last_heard = now;
      } else {
        over.emplace_back(route, Error{Code::kTimeout, "nothing heard"});
      }
    }
  }
  for (const auto& [route, error] : over) CloseWith(route, error);
  if (now >= next_standing_) EndFallen();
  sweep_timer_ = parts_.loop.After(Millis(1000), [this] { Sweep(); });
}

bool HopServer::IsInTheMiddle(Session& session) {
  // More than a handful of messages' framing can be.
  constexpr uint64_t kPartOfAChunk = 1024;
  const uint64_t received = socket_->BytesReceived(session.connection);
  const bool grew = std::exchange(session.received, received) != received;
  return grew && received > session.received_at_message + kPartOfAChunk;
}

RetryWindow HopServer::WindowFor(Code code) {
  if (!IsTransient(code)) return {};
  switch (code) {
    case Code::kDiskFull:
    case Code::kQuotaExceeded:
      return {Millis(2'000), Millis(20'000)};
    case Code::kNoSession:
      return {Millis(0), Millis(500)};
    default:
      return {Millis(200), Millis(2'000)};
  }
}

}  // namespace tributary
