#include "protocol/hop/courier.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {

Courier::Courier(HopClient& client, Loop& loop, const Clock& clock, Random& random, UploadSource& source,
                 Options options, OnGone on_gone)
    : client_(client),
      loop_(loop),
      clock_(clock),
      random_(random),
      source_(source),
      options_(options),
      on_gone_(std::move(on_gone)) {
  client_.AddPart(*this);
}

Courier::~Courier() {
  *alive_ = false;
  loop_.Cancel(retry_timer_);
}

void Courier::Nudge() { OfferMore(); }
void Courier::OnUp() { OfferMore(); }

void Courier::OnDown() {
  under_way_.clear();
  order_.clear();
  credit_ = 0;
}

void Courier::OfferMore() {
  loop_.Cancel(retry_timer_);
  if (!client_.up() || under_way_.size() >= options_.max_under_way) return;
  const auto pending = source_.Pending(options_.max_under_way + trouble_.size() + leaving_.size());
  if (!pending) {
    LogFailure(LogLevel::kError, "courier.blocked", pending.error());
    retry_timer_ = loop_.After(options_.first_retry, [this] { OfferMore(); });
    return;
  }
  const Millis now = clock_.Monotonic();
  Millis next_try = Millis::max();
  for (const SpooledUpload& upload : *pending) {
    if (under_way_.size() >= options_.max_under_way) break;
    if (under_way_.contains(upload.id) || leaving_.contains(upload.id)) continue;
    if (const auto trouble = trouble_.find(upload.id); trouble != trouble_.end() && trouble->second.not_before > now) {
      next_try = std::min(next_try, trouble->second.not_before);
      continue;
    }
    auto envelope = source_.ReadEnvelope(upload.id);
    if (!envelope) {
      GiveUp(upload.id, envelope.error());
      continue;
    }
    under_way_.emplace(upload.id, UnderWay{upload});
    order_.push_back(upload.id);
    ++counts_.offered;
    client_.Send(hop::Offer{std::move(*envelope)});
    if (!client_.up()) return;
  }
  if (next_try != Millis::max()) retry_timer_ = loop_.After(next_try - now, [this] { OfferMore(); });
}

void Courier::OnMessage(const hop::Message& message, ByteView) {
  if (const auto* credit = std::get_if<hop::Credit>(&message)) {
    credit_ += credit->bytes;
    SendChunks();
  } else if (const auto* resume = std::get_if<hop::Resume>(&message)) {
    OnResume(*resume);
  } else if (const auto* custody = std::get_if<hop::Custody>(&message)) {
    HandOver(custody->upload);
  } else if (const auto* already = std::get_if<hop::Already>(&message)) {
    HandOver(already->upload);
  } else if (const auto* refuse = std::get_if<hop::Refuse>(&message)) {
    OnRefuse(*refuse);
  }
}

void Courier::OnResume(const hop::Resume& resume) {
  const auto found = under_way_.find(resume.upload);
  if (found == under_way_.end()) return;
  found->second.resumed = true;
  found->second.next_chunk = std::min(resume.next_chunk, found->second.facts.chunk_count);
  SendChunks();
}

// In the order of the offers; an upload whose next chunk does not fit the credit lets a smaller one pass.
void Courier::SendChunks() {
  const std::deque<UploadId> order = order_;
  for (const UploadId& id : order) {
    const auto found = under_way_.find(id);
    if (found == under_way_.end() || !found->second.resumed) continue;
    UnderWay& upload = found->second;
    while (upload.next_chunk < upload.facts.chunk_count && upload.facts.ChunkBytes(upload.next_chunk) <= credit_) {
      const auto chunk = source_.ReadChunk(id, upload.next_chunk);
      if (!chunk) {
        GiveUp(id, chunk.error());
        break;
      }
      credit_ -= chunk->size();
      counts_.chunk_bytes += chunk->size();
      uint32_t& sent = sent_[id];
      if (upload.next_chunk < sent) counts_.resent_bytes += chunk->size();
      sent = std::max(sent, upload.next_chunk + 1);
      client_.Send(hop::Chunk{id, upload.next_chunk}, *chunk);
      if (!client_.up()) return;
      ++upload.next_chunk;
    }
  }
}

void Courier::OnRefuse(const hop::Refuse& refuse) {
  if (!under_way_.contains(refuse.upload)) return;
  const Error error{refuse.refusal.code, refuse.refusal.sentence};
  ++counts_.refused[error.code];
  Trouble& trouble =
      trouble_.try_emplace(refuse.upload, Trouble{Millis(0), Backoff(options_.first_retry, options_.retry_cap)})
          .first->second;
  const bool bytes_are_bad =
      error.code == Code::kDigestMismatch && ++trouble.digest_mismatches >= options_.max_digest_mismatches;
  if (!IsTransient(error.code) || bytes_are_bad) return GiveUp(refuse.upload, error);
  under_way_.erase(refuse.upload);
  std::erase(order_, refuse.upload);
  const Millis delay = std::max(trouble.backoff.Next(random_), Backoff::Within(refuse.refusal.retry, random_));
  trouble.not_before = clock_.Monotonic() + delay;
  OfferMore();
}

void Courier::HandOver(const UploadId& upload) {
  if (under_way_.erase(upload) == 0) return;
  std::erase(order_, upload);
  trouble_.erase(upload);
  sent_.erase(upload);
  ++counts_.in_custody;
  leaving_.insert(upload);
  source_.Delivered(upload, [this, alive = alive_, &loop = loop_, upload](const Status& status) {
    loop.Post([this, alive, upload, status] {
      if (!*alive) return;
      leaving_.erase(upload);
      // The upload is safe above; if the disk kept it here, the next offer is answered `already`.
      if (!status) LogFailure(LogLevel::kError, "courier.not_deleted", status.error(), {{"upload", upload.hex()}});
      on_gone_(upload, nullptr);
      OfferMore();
    });
  });
  OfferMore();
}

void Courier::GiveUp(const UploadId& upload, const Error& error) {
  under_way_.erase(upload);
  std::erase(order_, upload);
  trouble_.erase(upload);
  sent_.erase(upload);
  LogFailure(LogLevel::kError, "upload.dead_letter", error, {{"upload", upload.hex()}});
  leaving_.insert(upload);
  source_.Drop(upload, error.code, [this, alive = alive_, &loop = loop_, upload, error](const Status& status) {
    loop.Post([this, alive, upload, error, status] {
      if (!*alive) return;
      if (!status) LogFailure(LogLevel::kError, "courier.not_deleted", status.error(), {{"upload", upload.hex()}});
      leaving_.erase(upload);
      on_gone_(upload, &error);
      OfferMore();
    });
  });
}

}  // namespace tributary
