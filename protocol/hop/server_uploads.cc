#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/hop/server.h"
#include "protocol/hop/session.h"

// The way up: offers, credit, chunks, custody.
namespace tributary {

Status HopServer::OnOffer(Session& session, const hop::Offer& offer) {
  auto envelope = ParseEnvelope(offer.envelope);
  if (!envelope) {
    // Its upload id cannot be believed, so there is nothing to refuse but the connection.
    parts_.observer.OnRefusedUpload(nullptr, envelope.error());
    return Fail(envelope.error());
  }
  const UploadSubject& subject = envelope->header.subject;
  const auto refuse = [&](const Error& error) -> Status {
    parts_.observer.OnRefusedUpload(&subject, error);
    SendRefuse(session.route, subject.id, error);
    return {};
  };
  const auto author = VerifyEnvelope(*envelope, parts_.identity.anchor, parts_.clock.Now());
  if (!author) return refuse(author.error());
  if (session.member.subject.role != Role::kGateway && session.member.subject.id != subject.device) {
    return refuse(
        {Code::kWrongIdentity, session.member.subject.id.text() + " offers an upload of " + subject.device.text()});
  }
  if (subject.chunk_size > options_.max_chunk_bytes) {
    return refuse({Code::kTooLarge, "chunks of " + std::to_string(subject.chunk_size) + " bytes; this server takes " +
                                        std::to_string(options_.max_chunk_bytes)});
  }
  const bool again = std::ranges::find(session.offered, subject.id) != session.offered.end();
  if (!again && session.offered.size() >= options_.max_session_uploads) {
    return refuse(
        {Code::kBusy, "this connection has " + std::to_string(session.offered.size()) + " uploads under way"});
  }
  if (!again) session.offered.push_back(subject.id);
  offered_by_[subject.id] = session.route;
  parts_.sink.Offer(*envelope, *author, session.member.subject.id,
                    [this, route = session.route, serial = session.serial, header = envelope->header](
                        const OfferVerdict& answer) { OnAnswer(route, serial, header, answer); });
  return {};
}

void HopServer::OnAnswer(const Route& route, uint64_t serial, const UploadHeader& header, const OfferVerdict& answer) {
  Session* session = Find(route, serial);
  if (!session) return;
  const UploadId& id = header.subject.id;
  switch (answer.kind) {
    case OfferVerdict::Kind::kResume:
      Send(route, hop::Resume{id, answer.next_chunk});
      if (answer.next_chunk < header.subject.chunk_count) {
        session->active[id] = {header, answer.next_chunk};
        GrantCredit(*session);
      }
      return;
    case OfferVerdict::Kind::kAlready:
      Send(route, hop::Already{id});
      break;
    case OfferVerdict::Kind::kRefuse:
      SendRefuse(route, id, {answer.refusal.code, answer.refusal.sentence});
      break;
  }
  std::erase(session->offered, id);
  // By now somebody else may have offered it.
  if (const auto entry = offered_by_.find(id); entry != offered_by_.end() && entry->second == route)
    offered_by_.erase(entry);
}

Status HopServer::OnChunk(Session& session, const hop::Chunk& chunk, ByteView bulk) {
  if (bulk.empty()) return Fail(Code::kMalformed, "a chunk without bytes");
  if (bulk.size() > session.granted) {
    return Fail(Code::kCreditExceeded,
                std::to_string(bulk.size()) + " bytes on a credit of " + std::to_string(session.granted));
  }
  session.granted -= bulk.size();
  session.granted_since = parts_.clock.Monotonic();
  counts_.chunk_bytes += bulk.size();
  const auto found = session.active.find(chunk.upload);
  if (found == session.active.end()) {
    // The upload was refused while this was on its way; the credit it used is free again.
    pool_.GiveBack(bulk.size());
    SendRefuse(session.route, chunk.upload, {Code::kUnknownUpload, "no such upload is under way here"});
    GrantCredit(session);
    GrantWaiting();
    return {};
  }
  Session::Active& active = found->second;
  const auto refuse = [&](const Error& error) -> Status {
    pool_.GiveBack(bulk.size());
    parts_.observer.OnRefusedUpload(&active.header.subject, error);
    RefuseUpload(chunk.upload, error);
    GrantCredit(session);
    GrantWaiting();
    return {};
  };
  if (chunk.index != active.next_chunk) {
    return refuse({Code::kChunkOutOfOrder, "chunk " + std::to_string(chunk.index) + " came, " +
                                               std::to_string(active.next_chunk) + " is next"});
  }
  if (bulk.size() != active.header.ciphertext_chunk_size(chunk.index)) {
    return refuse({Code::kMalformed, "chunk " + std::to_string(chunk.index) + " has " + std::to_string(bulk.size()) +
                                         " bytes, its header says " +
                                         std::to_string(active.header.ciphertext_chunk_size(chunk.index))});
  }
  session.in_process += bulk.size();
  ++active.next_chunk;
  if (active.next_chunk == active.header.subject.chunk_count) session.active.erase(found);
  parts_.sink.Append(chunk.upload, chunk.index, ToBytes(bulk),
                     [this, route = session.route, serial = session.serial, upload = chunk.upload,
                      bytes = bulk.size()](const Status& status) { OnTaken(route, serial, upload, bytes, status); });
  return {};
}

void HopServer::OnTaken(const Route& route, uint64_t serial, const UploadId& upload, uint64_t bytes,
                        const Status& status) {
  pool_.GiveBack(bytes);
  if (Session* session = Find(route, serial)) {
    session->in_process -= bytes;
    if (!status) RefuseUpload(upload, status.error());
    GrantCredit(*session);
  }
  GrantWaiting();
}

void HopServer::GiveCustody(const UploadId& upload) {
  if (const auto route = Detach(upload)) Send(*route, hop::Custody{upload});
}

void HopServer::RefuseUpload(const UploadId& upload, const Error& error) {
  if (const auto route = Detach(upload)) SendRefuse(*route, upload, error);
}

std::optional<HopServer::Route> HopServer::Detach(const UploadId& upload) {
  const auto found = offered_by_.find(upload);
  if (found == offered_by_.end()) return std::nullopt;
  Route route = found->second;
  offered_by_.erase(found);
  if (const auto session = sessions_.find(route); session != sessions_.end()) {
    std::erase(session->second->offered, upload);
    session->second->active.erase(upload);
  }
  return route;
}

void HopServer::SendRefuse(const Route& route, const UploadId& upload, const Error& error) {
  ++counts_.refused[error.code];
  LogFailure(IsTransient(error.code) ? LogLevel::kDebug : LogLevel::kWarning, "upload.refused", error,
             {{"upload", upload.hex()}});
  Send(route, hop::Refuse{upload, {error.code, error.message, WindowFor(error.code)}});
}

// The client may spend its credit on any of its uploads, in an order of its own. So what counts is the sum: credit is
// given until all that is still to come is covered, and where that is too much at once, until the largest of the chunks
// that can come next is covered. Then the client can always send something, and nothing is left over when all is
// through.
void HopServer::GrantCredit(Session& session) {
  uint64_t missing = 0;  // bytes that are still to come
  uint64_t step = 0;     // the largest chunk that can come next
  for (const auto& [id, active] : session.active) {
    missing += active.header.ciphertext_size - active.header.ciphertext_chunk_offset(active.next_chunk);
    step = std::max<uint64_t>(step, active.header.ciphertext_chunk_size(active.next_chunk));
  }
  uint64_t grant = 0;
  while (session.granted < missing) {
    const uint64_t size = std::min(missing - session.granted, session.granted < step ? step - session.granted : step);
    const uint64_t under_way = session.granted + session.in_process;
    const bool starved = session.in_process == 0 && session.granted < step;
    if (!starved && under_way + size > options_.session_credit_bytes) break;
    if (!pool_.TryTake(size)) {
      if (!session.waiting) {
        session.waiting = true;
        waiting_.emplace_back(session.route, session.serial);
      }
      break;
    }
    if (session.granted == 0) session.granted_since = parts_.clock.Monotonic();
    session.granted += size;
    grant += size;
  }
  if (grant > 0) Send(session.route, hop::Credit{grant});
}

void HopServer::GrantWaiting() {
  // Once around the queue at most: whoever is still not served stands in it again.
  for (size_t left = waiting_.size(); left > 0 && pool_.used() < pool_.total(); --left) {
    const auto [route, serial] = waiting_.front();
    waiting_.pop_front();
    if (Session* session = Find(route, serial)) {
      session->waiting = false;
      GrantCredit(*session);
    }
  }
}

}  // namespace tributary
