#include "protocol/hop/server/upload_port.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {

UploadPort::UploadPort(Sessions& sessions, UploadSink& sink, HopServerObserver& observer)
    : sessions_(sessions), sink_(sink), observer_(observer) {
  sessions_.AddPart(*this);
}

UploadPort::Flow* UploadPort::FlowOf(uint64_t serial) {
  const auto found = flows_.find(serial);
  return found != flows_.end() ? &found->second : nullptr;
}

bool UploadPort::HasCredit(const Session& session) const {
  const auto found = flows_.find(session.serial);
  return found != flows_.end() && found->second.granted > 0;
}

Status UploadPort::OnOffer(Session& session, const hop::Offer& offer) {
  auto envelope = ParseEnvelope(offer.envelope);
  if (!envelope) {
    // Its upload id cannot be believed, so there is nothing to refuse but the connection.
    observer_.OnRefusedUpload(nullptr, envelope.error());
    return Fail(envelope.error());
  }
  const UploadSubject& subject = envelope->header.subject;
  Flow& flow = flows_[session.serial];
  flow.route = session.route;
  flow.serial = session.serial;
  const auto refuse = [&](const Error& error) -> Status {
    observer_.OnRefusedUpload(&subject, error);
    SendRefuse(flow, subject.id, error);
    return {};
  };
  const auto author = VerifyEnvelope(*envelope, sessions_.identity().anchor, sessions_.clock().Now());
  if (!author) return refuse(author.error());
  if (const Status fine = CheckOffer(session, *envelope); !fine) return refuse(fine.error());
  if (std::ranges::find(flow.offered, subject.id) == flow.offered.end()) {
    if (flow.offered.size() >= sessions_.options().max_session_uploads) {
      return refuse({Code::kBusy, fmt::format("this connection has {} uploads under way", flow.offered.size())});
    }
    flow.offered.push_back(subject.id);
    offered_by_[subject.id].push_back(session.serial);
  }
  sink_.Offer(*envelope, *author, session.member.subject.id,
              [this, serial = session.serial, header = envelope->header](const Result<OfferAnswer>& answer) {
                OnAnswer(serial, header, answer);
              });
  return {};
}

Status UploadPort::CheckOffer(const Session& session, const SignedEnvelope& envelope) const {
  const UploadSubject& subject = envelope.header.subject;
  const DeviceId& member = session.member.subject.id;
  if (!session.BringsOthers() && member != subject.device) {
    return Fail(Code::kWrongIdentity, "{} offers an upload of {}", member.text(), subject.device.text());
  }
  const uint32_t limit = sessions_.options().max_chunk_bytes;
  if (subject.chunk_size > limit) {
    return Fail(Code::kTooLarge, "chunks of {} bytes; this server takes {}", subject.chunk_size, limit);
  }
  return {};
}

void UploadPort::OnAnswer(uint64_t serial, const UploadHeader& header, const Result<OfferAnswer>& answer) {
  Flow* flow = FlowOf(serial);
  if (!flow) return;
  const UploadId& id = header.subject.id;
  if (answer && !answer->already) {
    sessions_.Send(flow->route, hop::Resume{id, answer->next_chunk});
    if (answer->next_chunk >= header.subject.chunk_count) return;
    flow->active[id] = {header, answer->next_chunk};
    return GrantCredit(*flow);
  }
  if (answer) {
    sessions_.Send(flow->route, hop::Already{id});
  } else {
    SendRefuse(*flow, id, answer.error());
  }
  DetachOne(*flow, id);
}

Status UploadPort::OnChunk(Session& session, const hop::Chunk& chunk, ByteView bulk) {
  if (bulk.empty()) return Fail(Code::kMalformed, "a chunk without bytes");
  Flow* flow = FlowOf(session.serial);
  const uint64_t credit = flow ? flow->granted : 0;
  if (bulk.size() > credit) return Fail(Code::kCreditExceeded, "{} bytes on a credit of {}", bulk.size(), credit);
  flow->granted -= bulk.size();
  flow->granted_since = sessions_.clock().Monotonic();
  sessions_.counts().chunk_bytes += bulk.size();
  if (const Status fine = CheckChunk(*flow, chunk, bulk.size()); !fine) {
    RefuseChunk(*flow, chunk.upload, bulk.size(), fine.error());
    return {};
  }
  const auto found = flow->active.find(chunk.upload);
  Active& active = found->second;
  flow->in_process += bulk.size();
  ++active.next_chunk;
  active.in_process = true;
  if (active.next_chunk == active.header.subject.chunk_count) flow->active.erase(found);
  const hop::Credit taken{bulk.size(), chunk.upload, chunk.index + 1};
  sink_.Append(chunk.upload, chunk.index, ToBytes(bulk),
               [this, serial = session.serial, taken](const Status& status) { OnTaken(serial, taken, status); });
  return {};
}

Status UploadPort::CheckChunk(const Flow& flow, const hop::Chunk& chunk, size_t size) const {
  const auto found = flow.active.find(chunk.upload);
  if (found == flow.active.end()) {
    // The upload was refused while this was on its way.
    return Fail(Code::kUnknownUpload, "no such upload is under way here");
  }
  const Active& active = found->second;
  if (chunk.index != active.next_chunk) {
    return Fail(Code::kChunkOutOfOrder, "chunk {} came, {} is next", chunk.index, active.next_chunk);
  }
  const uint64_t expected = active.header.ciphertext_chunk_size(chunk.index);
  if (size != expected) {
    return Fail(Code::kMalformed, "chunk {} has {} bytes, its header says {}", chunk.index, size, expected);
  }
  return {};
}

void UploadPort::RefuseChunk(Flow& flow, const UploadId& upload, size_t size, const Error& error) {
  // The credit that it used is free again.
  credit_in_use_ -= size;
  if (const auto active = flow.active.find(upload); active != flow.active.end()) {
    observer_.OnRefusedUpload(&active->second.header.subject, error);
    DetachOne(flow, upload);
  }
  SendRefuse(flow, upload, error);
  GrantCredit(flow);
  GrantWaiting();
}

void UploadPort::OnTaken(uint64_t serial, const hop::Credit& taken, const Status& status) {
  credit_in_use_ -= taken.bytes;
  if (Flow* flow = FlowOf(serial)) {
    flow->in_process -= taken.bytes;
    if (const auto active = flow->active.find(*taken.upload); active != flow->active.end()) {
      active->second.in_process = false;
    }
    if (!status && DetachOne(*flow, *taken.upload)) {
      // The chunks of this session came in order; so when the sink finds one out of order, another connection was
      // faster.
      const bool overtaken = status.error().code == Code::kChunkOutOfOrder;
      SendRefuse(*flow, *taken.upload,
                 overtaken ? Error{Code::kBusy, "another connection is bringing this upload"} : status.error());
    }
    GrantCredit(*flow, status ? hop::Credit{0, taken.upload, taken.next_chunk} : hop::Credit{});
  }
  GrantWaiting();
}

void UploadPort::GiveCustody(const UploadId& upload) {
  for (const uint64_t serial : Detach(upload)) sessions_.Send(FlowOf(serial)->route, hop::Custody{upload});
}

void UploadPort::RefuseUpload(const UploadId& upload, const Error& error) {
  for (const uint64_t serial : Detach(upload)) SendRefuse(*FlowOf(serial), upload, error);
}

std::vector<uint64_t> UploadPort::Detach(const UploadId& upload) {
  const auto found = offered_by_.find(upload);
  if (found == offered_by_.end()) return {};
  std::vector<uint64_t> serials = found->second;
  for (const uint64_t serial : serials) DetachOne(*FlowOf(serial), upload);
  return serials;
}

bool UploadPort::DetachOne(Flow& flow, const UploadId& upload) {
  const auto found = offered_by_.find(upload);
  if (found == offered_by_.end() || std::erase(found->second, flow.serial) == 0) return false;
  if (found->second.empty()) offered_by_.erase(found);
  std::erase(flow.offered, upload);
  flow.active.erase(upload);
  return true;
}

void UploadPort::OnForgotten(const Session& session) {
  Flow* flow = FlowOf(session.serial);
  if (!flow) return;
  // The bytes in process are free again when the sink has taken them (OnTaken).
  credit_in_use_ -= flow->granted;
  for (const UploadId& upload : std::vector(flow->offered)) DetachOne(*flow, upload);
  flows_.erase(session.serial);
  GrantWaiting();
}

UploadPort::Use UploadPort::OnSweep(Session& session, Millis now) {
  Flow* flow = FlowOf(session.serial);
  if (!flow || waiting_.empty() || flow->granted == 0) return Use::kFine;
  if (now - flow->granted_since <= sessions_.options().chunk_timeout) return Use::kFine;
  if (!sessions_.IsArriving(session)) return Use::kHoldingUp;
  flow->granted_since = now;
  return Use::kArriving;
}

void UploadPort::SendRefuse(const Flow& flow, const UploadId& upload, const Error& error) {
  ++sessions_.counts().refused[error.code];
  const Session* session = sessions_.Find(flow.route, flow.serial);
  LogFailure(IsTransient(error.code) ? LogLevel::kDebug : LogLevel::kWarning, "upload.refused", error,
             {{"member", session ? session->member.subject.id.text() : "gone"}, {"upload", upload.hex()}});
  sessions_.Send(flow.route, hop::Refuse{upload, RefusalOf(error)});
}

// A client has one chunk of each upload under way, but may spend its credit on any of them, in an order of its own. So
// the sum counts: credit is given until the next chunk of every upload is covered, and where that is too much at once,
// until the largest of them is. Then the client can always send something, and nothing is left over when all is
// through.
void UploadPort::GrantCredit(Flow& flow, hop::Credit safe) {
  uint64_t missing = 0;  // bytes that can come next
  uint64_t step = 0;     // the largest chunk of them
  for (const auto& [id, active] : flow.active) {
    if (active.in_process) continue;
    const uint64_t next = active.header.ciphertext_chunk_size(active.next_chunk);
    missing += next;
    step = std::max(step, next);
  }
  while (flow.granted < missing) {
    const uint64_t size = std::min(missing - flow.granted, flow.granted < step ? step - flow.granted : step);
    const uint64_t under_way = flow.granted + flow.in_process;
    const bool starved = flow.in_process == 0 && flow.granted < step;
    if (!starved && under_way + size > sessions_.options().session_credit_bytes) break;
    // A single chunk is always granted when nothing else is, so that nobody waits for ever.
    if (credit_in_use_ > 0 && credit_in_use_ + size > sessions_.options().credit_bytes) {
      if (!flow.waiting) {
        flow.waiting = true;
        waiting_.push_back(flow.serial);
      }
      break;
    }
    if (flow.granted == 0) flow.granted_since = sessions_.clock().Monotonic();
    credit_in_use_ += size;
    flow.granted += size;
    safe.bytes += size;
  }
  if (safe.bytes > 0 || safe.upload) sessions_.Send(flow.route, safe);
}

void UploadPort::GrantWaiting() {
  // Once around the queue at most: whoever is still not served stands in it again.
  for (size_t left = waiting_.size(); left > 0 && credit_in_use_ < sessions_.options().credit_bytes; --left) {
    const uint64_t serial = waiting_.front();
    waiting_.pop_front();
    if (Flow* flow = FlowOf(serial)) {
      flow->waiting = false;
      GrantCredit(*flow);
    }
  }
}

}  // namespace tributary
