#include "protocol/hop/client/sending_window.h"

#include <algorithm>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// A chunk that is safe above within the first makes the window larger, one that needs longer than the second halves it:
// so the window becomes what the link carries in between. Both are longer than any round trip alone.
constexpr Millis kQuick{500};
constexpr Millis kSlow{2'000};

uint64_t Unsent(const SendingWindow::Upload& upload) {
  const uint64_t size = upload.facts.ciphertext_size;
  return size - std::min(size, upload.facts.ChunkOffset(upload.next_chunk));
}

bool IsReady(const SendingWindow::Upload& upload) {
  return upload.resumed && upload.in_flight == 0 && upload.next_chunk < upload.facts.chunk_count;
}

}  // namespace

SendingWindow::SendingWindow(size_t max_uploads, uint64_t max_bytes)
    : max_uploads_(max_uploads), max_bytes_(max_bytes), window_(limits::kDefaultChunkBytes) {}

void SendingWindow::Clear() {
  uploads_.clear();
  ready_.clear();
  tallies_.clear();
  credit_ = in_flight_ = 0;
  window_ = limits::kDefaultChunkBytes;
}

bool SendingWindow::HasRoom(Priority priority) const {
  if (IsFull()) return false;
  Tally before;
  for (const auto& [of, tally] : tallies_) {
    if (of > priority) break;
    before.uploads += tally.uploads;
    before.unsent += tally.unsent;
  }
  return before.uploads < max_uploads_ && before.unsent < 2 * window_;
}

std::optional<TaskId> SendingWindow::TaskOf(const UploadId& id) const {
  const auto found = uploads_.find(id);
  return found == uploads_.end() ? std::nullopt : std::optional(found->second.facts.task);
}

std::vector<UploadId> SendingWindow::Ids() const {
  std::vector<UploadId> ids;
  for (const auto& [id, upload] : uploads_) ids.push_back(id);
  return ids;
}

void SendingWindow::Enter(const Upload& upload) {
  Tally& tally = tallies_[upload.facts.priority];
  ++tally.uploads;
  tally.unsent += Unsent(upload);
  in_flight_ += upload.in_flight;
  if (IsReady(upload)) ready_.emplace(upload.place, &upload);
}

void SendingWindow::Leave(const Upload& upload) {
  Tally& tally = tallies_[upload.facts.priority];
  --tally.uploads;
  tally.unsent -= Unsent(upload);
  in_flight_ -= upload.in_flight;
  ready_.erase(upload.place);
}

template <class Change>
void SendingWindow::Update(Upload& upload, Change change) {
  Leave(upload);
  change();
  Enter(upload);
}

void SendingWindow::Add(const SpooledUpload& upload) {
  const Place place{upload.priority, ++last_offer_};
  const auto [added, is_new] = uploads_.emplace(upload.id, Upload{.facts = upload, .place = place});
  TRIBUTARY_CHECK(is_new) << upload.id.hex();
  Enter(added->second);
}

SendingWindow::Upload* SendingWindow::Find(const UploadId& id) {
  const auto found = uploads_.find(id);
  return found != uploads_.end() ? &found->second : nullptr;
}

bool SendingWindow::Remove(const UploadId& id) {
  const Upload* upload = Find(id);
  if (!upload) return false;
  Leave(*upload);
  uploads_.erase(id);
  return true;
}

void SendingWindow::Resume(const UploadId& id, uint32_t next_chunk) {
  Upload* upload = Find(id);
  if (!upload) return;
  Update(*upload, [&] {
    upload->resumed = true;
    upload->next_chunk = std::min(next_chunk, upload->facts.chunk_count);
  });
}

void SendingWindow::Landed(const UploadId& id, uint32_t next_chunk, Millis now) {
  Upload* upload = Find(id);
  if (!upload || next_chunk < upload->next_chunk || upload->in_flight == 0) return;
  const Millis took = now - upload->sent_at;
  if (took <= kQuick) window_ = std::min(max_bytes_, window_ + upload->in_flight);
  if (took > kSlow) window_ = std::max<uint64_t>(limits::kDefaultChunkBytes, window_ / 2);
  Update(*upload, [&] { upload->in_flight = 0; });
}

const SendingWindow::Upload* SendingWindow::NextReady(const Place& place) const {
  const auto next = ready_.upper_bound(place);
  return next != ready_.end() ? next->second : nullptr;
}

void SendingWindow::Sent(const UploadId& id, size_t bytes, Millis now) {
  Upload* upload = Find(id);
  if (!upload) return;
  credit_ -= bytes;
  Update(*upload, [&] {
    upload->in_flight = bytes;
    upload->sent_at = now;
    ++upload->next_chunk;
  });
}

}  // namespace tributary
