#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/limits.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

// The uploads that a courier has offered up a hop and that are not in custody yet: in which order their chunks go out,
// and how many bytes may be under way. An upload of a higher priority goes before all lower ones, and among equals the
// one that was offered first. Of one upload at most one chunk is under way, and of all together no more than the
// server's credit and the window: the bytes that the link carries in about a second, measured by how long chunks take
// to be safe above (schema/hop.capnp, "Resume"). Value type; a pointer to an upload is valid until that is removed.
// Takes time per call that does not grow with the number of uploads, apart from a logarithm.
class SendingWindow {
 public:
  // By priority, then by offer.
  using Place = std::pair<Priority, uint64_t>;
  static constexpr Place kBefore{Priority::kControl, 0};  // all
  struct Upload {
    SpooledUpload facts;
    Place place;
    bool resumed = false;     // the server said where to go on
    uint32_t next_chunk = 0;  // to be sent
    uint64_t in_flight = 0;   // bytes of the chunk before that, until it is known to be safe …
    Millis sent_at{0};        // … sent then
  };

  // `max_uploads`: of one priority; twice that of all. `max_bytes`: however fast the link is.
  SendingWindow(size_t max_uploads, uint64_t max_bytes);
  // The session is over: nothing is under way, and the link has to be measured anew.
  void Clear();

  size_t size() const { return uploads_.size(); }
  bool IsFull() const { return uploads_.size() >= 2 * max_uploads_; }
  // Whether one more of this priority may be offered. Only an upload that is as urgent, or more, takes room from
  // another. Uploads are offered ahead of their turn as far as the link is about to carry them; more would only hold
  // credit that the server could give to others.
  bool HasRoom(Priority priority) const;
  bool Contains(const UploadId& id) const { return uploads_.contains(id); }
  // nullopt: it is not under way.
  std::optional<TaskId> TaskOf(const UploadId& id) const;
  std::vector<UploadId> Ids() const;
  // It was offered now.
  void Add(const SpooledUpload& upload);
  // false: it was not under way.
  bool Remove(const UploadId& id);

  // The server holds all chunks before this one.
  void Resume(const UploadId& id, uint32_t next_chunk);
  // The credit that is kept is bounded, however much a server gives.
  void AddCredit(uint64_t bytes) {
    credit_ += std::min(bytes, limits::kPayloadBytes - std::min(credit_, limits::kPayloadBytes));
  }
  // The server holds all chunks before `next_chunk` durably.
  void Landed(const UploadId& id, uint32_t next_chunk, Millis now);

  // The first upload behind `place` whose next chunk may go; nullptr: there is none.
  const Upload* NextReady(const Place& place) const;
  bool HasCredit(size_t bytes) const { return bytes <= credit_; }
  // An empty window takes every chunk, however large.
  bool Fits(size_t bytes) const { return in_flight_ == 0 || in_flight_ + bytes <= window_; }
  // Its next chunk, of so many bytes, was sent now.
  void Sent(const UploadId& id, size_t bytes, Millis now);
  // Bytes sent and not known to be safe above.
  uint64_t in_flight() const { return in_flight_; }

 private:
  struct Tally {
    size_t uploads = 0;
    uint64_t unsent = 0;  // bytes
  };

  Upload* Find(const UploadId& id);
  // Takes it out of the sums, lets `change` change it, and puts it back where it belongs.
  template <class Change>
  void Update(Upload& upload, Change change);
  void Enter(const Upload& upload);
  void Leave(const Upload& upload);

  size_t max_uploads_;
  uint64_t max_bytes_;
  std::unordered_map<UploadId, Upload, IdHash> uploads_;
  std::map<Place, const Upload*> ready_;  // those whose next chunk may go
  std::map<Priority, Tally> tallies_;
  uint64_t last_offer_ = 0;
  uint64_t credit_ = 0;     // bytes
  uint64_t in_flight_ = 0;  // bytes, of all
  uint64_t window_;         // how many of those there may be
};

}  // namespace tributary
