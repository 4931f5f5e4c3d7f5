#include "protocol/hop/server/down_port.h"

#include <algorithm>

#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// However many devices there are, each checks in this often.
constexpr Millis kRarestCheckIn{300'000};
// The least that a piece under way counts for against max_unread_bytes, so that many small ones do not pile up.
constexpr uint64_t kLeastPromise = 16 * limits::kKiB;

// So seldom is one blob read again because a client doubts it.
constexpr Millis kCheckAgain{60'000};

uint64_t PromiseOf(const hop::Fetch& fetch) { return std::max<uint64_t>(fetch.size, kLeastPromise); }

bool IsGatewayBelow(const Session& session) {
  return !session.carrier && session.member.subject.role == Role::kGateway;
}

}  // namespace

DownPort::DownPort(Sessions& sessions, const BlobStore& blobs, HopServerObserver& observer, Executor* reader)
    : sessions_(sessions),
      blobs_(blobs),
      observer_(observer),
      own_reader_(reader ? nullptr : std::make_unique<WorkerPool>("blobs", 1)),
      reader_(reader ? *reader : *own_reader_),
      path_{sessions.identity().subject.id} {
  sessions_.AddPart(*this);
}

DownPort::~DownPort() {
  *alive_ = false;
  own_reader_.reset();  // waits for the read that is under way
}

void DownPort::Publish(Bytes signed_publication, uint64_t number, uint64_t root_version) {
  publication_ = std::move(signed_publication);
  version_ = {root_version, number};
  digest_ = Sha256(publication_);
  // It may have brought revocations.
  sessions_.CloseFallen();
  sessions_.ForEachProven([this](const Session& session) { Notify(session); });
}

void DownPort::SetPath(const std::vector<DeviceId>& above) {
  std::vector<DeviceId> path{sessions_.identity().subject.id};
  path.insert(path.end(), above.begin(), above.end());
  if (path == path_) return;
  path_ = std::move(path);
  sessions_.CloseThose([this](const Session& session) -> Status {
    if (!IsGatewayBelow(session)) return {};
    return hop::CheckPath(session.member.subject.id, path_);
  });
  // The others check in, and learn the path with the answer.
  sessions_.ForEachProven([this](const Session& session) {
    if (IsGatewayBelow(session)) Notify(session);
  });
}

Status DownPort::SetNextIdentity(std::vector<Bytes> chain) {
  if (!chain.empty()) {
    const Identity& identity = sessions_.identity();
    ASSIGN_OR_RETURN(const VerifiedIdentity next, identity.anchor.Verify(chain, sessions_.clock().Now()));
    if (next.subject.id != identity.subject.id || next.subject.role != identity.subject.role) {
      return Fail(Code::kWrongIdentity, "the next certificate is of {}, a {}, not of this server",
                  next.subject.id.text(), RoleName(next.subject.role));
    }
  }
  next_chain_ = std::move(chain);
  sessions_.ForEachProven([this](const Session& session) { Notify(session); });
  return {};
}

hop::Terms DownPort::TermsFor(Session& session) const {
  const HopServerOptions& options = sessions_.options();
  Millis interval = options.check_in_interval;
  // People wait for the gateway states in a gateway's check-in, and there are few gateways.
  if (session.member.subject.role != Role::kGateway) {
    const auto sessions = static_cast<int64_t>(sessions_.counts().sessions);
    interval = std::max(interval, std::min(kRarestCheckIn, Millis(sessions * 1000 / options.check_ins_per_second)));
  }
  session.check_in = interval;
  return {version_.second, static_cast<uint32_t>(interval.count()), path_, next_chain_};
}

Status DownPort::OnCheckIn(Session& session, hop::CheckIn check_in) {
  if (asked_.erase(session.serial) == 0) check_in.publication.clear();
  // A carrier is no member below: it has nothing to tell.
  if (!session.carrier) {
    const Subject& member = session.member.subject;
    if (!check_in.reports.empty()) {
      GatewayState& first = check_in.reports.front();
      if (member.role != Role::kGateway || first.gateway != member.id) {
        return Fail(Code::kMalformed, "the first gateway state of {} is not its own", member.id.text());
      }
      first.parent = sessions_.identity().subject.id;
    }
    observer_.OnCheckIn(session.member, check_in);
  }
  const bool gives = Gives(session, {check_in.root_version, check_in.publication_number});
  hop::Terms terms = TermsFor(session);
  const bool wants =
      !session.carrier && IsAhead(check_in) && observer_.WantsPublication(session.member, check_in);
  if (wants) asked_.insert(session.serial);
  sessions_.Send(session.route, hop::Assignment{std::move(terms), gives ? publication_ : Bytes{}, wants});
  return {};
}

bool DownPort::IsAhead(const hop::CheckIn& check_in) const {
  const Version held{check_in.root_version, check_in.publication_number};
  const bool is_other = held == version_ && check_in.publication_digest && *check_in.publication_digest != digest_;
  return !publication_.empty() && (held > version_ || is_other);
}

bool DownPort::Gives(const Session& session, Version held) {
  const Millis now = sessions_.clock().Monotonic();
  Given& given = given_[session.serial];
  const bool on_its_way = given.version == version_ && now < given.at + sessions_.options().publication_again;
  if (version_ <= held || on_its_way || !sessions_.CanTake(session, publication_.size())) return false;
  given = {version_, now};
  return true;
}

Status DownPort::OnFetch(Session& session, const hop::Fetch& fetch) {
  if (fetch.size == 0 || fetch.size > limits::kPieceBytes) {
    return Fail(Code::kTooLarge, "a piece of {} bytes", fetch.size);
  }
  if (!sessions_.CanTake(session, fetch.size)) {
    RefuseFetch(session, fetch, {Code::kTooFast, "the pieces that were asked for before are not read yet"});
    return {};
  }
  session.promised += PromiseOf(fetch);
  reader_.Post([this, alive = alive_, &blobs = blobs_, &loop = sessions_.loop(), route = session.route,
                serial = session.serial, fetch, again = ChecksAgain(fetch)] {
    if (!*alive) return;
    loop.Post([this, alive, route, serial, fetch, piece = Read(blobs, fetch, again)] {
      if (*alive) OnRead(route, serial, fetch, piece);
    });
  });
  return {};
}

bool DownPort::ChecksAgain(const hop::Fetch& fetch) {
  if (!fetch.doubted || !blobs_.Has(fetch.digest)) return false;
  const Millis now = sessions_.clock().Monotonic();
  std::erase_if(checked_again_, [now](const auto& checked) { return now - checked.second >= kCheckAgain; });
  return checked_again_.emplace(fetch.digest, now).second;
}

Result<DownPort::PieceOfBlob> DownPort::Read(const BlobStore& blobs, const hop::Fetch& fetch, bool again) {
  PieceOfBlob piece;
  const auto size = blobs.Size(fetch.digest);
  if (!size) return Fail(Code::kUnknownBlob, "blob {} is not held here", fetch.digest.hex());
  RETURN_IF_ERROR(again ? blobs.CheckAgain(fetch.digest) : blobs.Check(fetch.digest));
  piece.blob_size = *size;
  if (fetch.offset >= *size) return Fail(Code::kMalformed, "a fetch behind the blob's end");
  const auto length = static_cast<size_t>(std::min<uint64_t>(fetch.size, *size - fetch.offset));
  auto bytes = blobs.Read(fetch.digest, fetch.offset, length);
  // It may have been retired since its size was read.
  if (!bytes && bytes.error().code == Code::kNotFound) {
    return Fail(Code::kUnknownBlob, "blob {} is not held here", fetch.digest.hex());
  }
  if (!bytes) return Fail(std::move(bytes).error());
  piece.bytes = std::move(*bytes);
  return piece;
}

void DownPort::OnRead(const Sessions::Route& route, uint64_t serial, const hop::Fetch& fetch,
                      const Result<PieceOfBlob>& piece) {
  Session* session = sessions_.Find(route, serial);
  if (!session) return;
  session->promised -= PromiseOf(fetch);
  if (!piece && piece.error().code == Code::kMalformed) return sessions_.Close(route, piece.error());
  if (!piece) {
    const Code code = piece.error().code;
    RefuseFetch(*session, fetch, piece.error());
    if (code == Code::kUnknownBlob || code == Code::kDamagedBlob) observer_.OnMissingBlob(fetch.digest, piece.error());
    return;
  }
  sessions_.counts().piece_bytes += piece->bytes.size();
  sessions_.Send(route, hop::Piece{fetch.digest, fetch.offset, piece->blob_size}, piece->bytes);
}

void DownPort::RefuseFetch(const Session& session, const hop::Fetch& fetch, const Error& error) {
  ++sessions_.counts().refused[error.code];
  sessions_.Send(session.route, hop::FetchRefused{fetch.digest, RefusalOf(error)});
}

}  // namespace tributary
