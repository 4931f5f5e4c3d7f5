#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/hop/server/server.h"
#include "protocol/hop/server/sessions.h"

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
  const bool brings_others = session.carrier || session.member.subject.role == Role::kGateway;
  if (!brings_others && session.member.subject.id != subject.device) {
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
  if (!again) {
    session.offered.push_back(subject.id);
    offered_by_[subject.id].push_back(session.route);
  }
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
  DetachOne(route, id);
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
    DetachOne(session.route, chunk.upload);
    SendRefuse(session.route, chunk.upload, error);
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
  active.in_process = true;
  if (active.next_chunk == active.header.subject.chunk_count) session.active.erase(found);
  parts_.sink.Append(chunk.upload, chunk.index, ToBytes(bulk),
                     [this, route = session.route, serial = session.serial, upload = chunk.upload, index = chunk.index,
                      bytes = bulk.size()](const Status& status) {
                       OnTaken(route, serial, {bytes, upload, index + 1}, status);
                     });
  return {};
}

void HopServer::OnTaken(const Route& route, uint64_t serial, const hop::Credit& taken, const Status& status) {
  pool_.GiveBack(taken.bytes);
  if (Session* session = Find(route, serial)) {
    session->in_process -= taken.bytes;
    if (const auto active = session->active.find(*taken.upload); active != session->active.end()) {
      active->second.in_process = false;
    }
    if (!status && DetachOne(route, *taken.upload)) {
      // It came in the order in which it was asked for; what is out of order is that another connection was faster.
      const bool overtaken = status.error().code == Code::kChunkOutOfOrder;
      SendRefuse(route, *taken.upload,
                 overtaken ? Error{Code::kBusy, "another connection is bringing this upload"} : status.error());
    }
    GrantCredit(*session, status ? hop::Credit{0, taken.upload, taken.next_chunk} : hop::Credit{});
  }
  GrantWaiting();
}

void HopServer::GiveCustody(const UploadId& upload) {
  for (const Route& route : Detach(upload)) Send(route, hop::Custody{upload});
}

void HopServer::RefuseUpload(const UploadId& upload, const Error& error) {
  for (const Route& route : Detach(upload)) SendRefuse(route, upload, error);
}

std::vector<HopServer::Route> HopServer::Detach(const UploadId& upload) {
  const auto found = offered_by_.find(upload);
  if (found == offered_by_.end()) return {};
  std::vector<Route> routes = found->second;
  for (const Route& route : routes) DetachOne(route, upload);
  return routes;
}

bool HopServer::DetachOne(const Route& route, const UploadId& upload) {
  const auto found = offered_by_.find(upload);
  if (found == offered_by_.end() || std::erase(found->second, route) == 0) return false;
  if (found->second.empty()) offered_by_.erase(found);
  if (const auto session = sessions_.find(route); session != sessions_.end()) {
    std::erase(session->second->offered, upload);
    session->second->active.erase(upload);
  }
  return true;
}

void HopServer::SendRefuse(const Route& route, const UploadId& upload, const Error& error) {
  ++counts_.refused[error.code];
  LogFailure(IsTransient(error.code) ? LogLevel::kDebug : LogLevel::kWarning, "upload.refused", error,
             {{"upload", upload.hex()}});
  Send(route, hop::Refuse{upload, {error.code, error.message, WindowFor(error.code)}});
}

// A client has one chunk of each upload under way, but may spend its credit on any of them, in an order of its own. So
// what counts is the sum: credit is given until the next chunk of every upload is covered, and where that is too much
// at once, until the largest of them is. Then the client can always send something, and nothing is left over when all
// is through.
void HopServer::GrantCredit(Session& session, hop::Credit safe) {
  uint64_t missing = 0;  // bytes that can come next
  uint64_t step = 0;     // the largest chunk of them
  for (const auto& [id, active] : session.active) {
    if (active.in_process) continue;
    const uint64_t next = active.header.ciphertext_chunk_size(active.next_chunk);
    missing += next;
    step = std::max(step, next);
  }
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
    safe.bytes += size;
  }
  if (safe.bytes > 0 || safe.upload) Send(session.route, safe);
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
