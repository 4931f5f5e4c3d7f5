#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/hop/client/courier.h"

// When the next chunk goes out: order, window, credit, and the policy of the link.
namespace tributary {
namespace {

// A chunk that is safe above within the first makes the window larger, one that needs longer than the second halves it:
// so the window becomes what the link carries in between. Both are longer than any round trip alone.
constexpr Millis kQuick{500};
constexpr Millis kSlow{2'000};

}  // namespace

void Courier::OnCredit(const hop::Credit& credit) {
  credit_ += credit.bytes;
  if (credit.upload) {
    const auto found = under_way_.find(*credit.upload);
    if (found != under_way_.end() && credit.next_chunk >= found->second.next_chunk) Landed(found->second);
  }
  SendChunks();
}

void Courier::Landed(UnderWay& upload) {
  if (upload.in_flight == 0) return;
  const Millis took = clock_.Monotonic() - upload.sent_at;
  if (took <= kQuick) window_ = std::min(options_.max_window, window_ + upload.in_flight);
  if (took > kSlow) window_ = std::max<uint64_t>(limits::kDefaultChunkBytes, window_ / 2);
  in_flight_ -= upload.in_flight;
  upload.in_flight = 0;
}

void Courier::OnResume(const hop::Resume& resume) {
  const auto found = under_way_.find(resume.upload);
  if (found == under_way_.end()) return;
  found->second.resumed = true;
  found->second.next_chunk = std::min(resume.next_chunk, found->second.facts.chunk_count);
  SendChunks();
}

// In order, until the window is full. One that the link's policy holds back lets others pass.
void Courier::SendChunks() {
  loop_.Cancel(send_timer_);
  if (!client_.up()) return;
  Millis ask_again = Millis::max();
  const std::map<Place, UploadId> order = order_;
  for (const auto& [place, id] : order) {
    const auto found = under_way_.find(id);
    if (found == under_way_.end()) continue;
    UnderWay& upload = found->second;
    if (!upload.resumed || upload.in_flight > 0 || upload.next_chunk >= upload.facts.chunk_count) continue;
    const Millis wait = options_.wait_before ? options_.wait_before(upload.facts) : Millis(0);
    if (wait > Millis(0)) {
      ask_again = std::min(ask_again, wait);
      continue;
    }
    if (!SendChunk(id, upload, ask_again)) break;
  }
  if (!client_.up()) return;
  if (ask_again != Millis::max()) send_timer_ = loop_.After(ask_again, [this] { SendChunks(); });
  // What was sent may have made room for what had none.
  if (no_room_for_ && HasRoom(*no_room_for_)) OfferMore();
}

bool Courier::SendChunk(const UploadId& id, UnderWay& upload, Millis& ask_again) {
  const uint64_t bytes = upload.facts.ChunkBytes(upload.next_chunk);
  // A smaller one may go. The server gives credit until the largest that can come is covered, and this one is asked
  // first again.
  if (bytes > credit_) return true;
  if (in_flight_ > 0 && in_flight_ + bytes > window_) return false;
  if (options_.budget != nullptr) {
    if (const Millis wait = options_.budget->Wait(); wait > Millis(0)) {
      ask_again = std::min(ask_again, wait);
      return false;
    }
  }
  const auto chunk = source_.ReadChunk(id, upload.next_chunk);
  if (!chunk) {
    OnUnreadable(id, chunk.error());
    return true;
  }
  if (options_.budget != nullptr) options_.budget->Take(bytes);
  credit_ -= chunk->size();
  counts_.chunk_bytes += chunk->size();
  uint32_t& sent = sent_[id];
  if (upload.next_chunk < sent) {
    counts_.resent_bytes += chunk->size();
    client_.CountResent(LinkPurpose::kUploads, chunk->size());
  }
  sent = std::max(sent, upload.next_chunk + 1);
  upload.in_flight = chunk->size();
  upload.sent_at = clock_.Monotonic();
  in_flight_ += chunk->size();
  const hop::Chunk message{id, upload.next_chunk};
  ++upload.next_chunk;
  client_.Send(message, *chunk);
  return client_.up();
}

}  // namespace tributary
