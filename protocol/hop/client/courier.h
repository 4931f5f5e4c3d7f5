#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "protocol/hop/client/client.h"
#include "protocol/hop/client/pace.h"
#include "protocol/spool/upload_source.h"

namespace tributary {

// Carries what a source holds up a hop: offers complete uploads in the source's order, sends the chunks that credit
// allows, and lets the source delete an upload when custody was taken. The same at a device (its outbox) and at a
// gateway. A part of a HopClient; all on the loop's thread. Client, source and loop must outlive it. Memory: one chunk
// at a time, read when it is sent.
//
// Order: an upload of a higher priority is offered and sent before all lower ones, however many of those are under way;
// what is interrupted by it goes on later. Of one upload at most one chunk is under way, and of all together no more
// than the window: what the link carries in about a second (schema/hop.capnp, "Resume"). Uploads that the source drops
// meanwhile are forgotten here.
class Courier final : public HopClient::Part {
 public:
  struct Options {
    size_t max_under_way = 32;  // of one priority, offered and not yet in custody above; twice that of all
    Millis first_retry{500};    // after a refusal that passes and names no window
    Millis retry_cap{60'000};
    int max_digest_mismatches = 3;           // then the upload is a dead letter: the stored bytes are bad
    uint64_t max_window = 4 * limits::kMiB;  // bytes sent and not known to be safe above
    // The policy of the link: zero when this upload may be sent now, else when to ask again. Asked before every chunk.
    std::function<Millis(const SpooledUpload&)> wait_before = {};
    LinkBudget* budget = nullptr;  // of bytes up, borrowed; null: no cap
  };
  struct Counts {
    uint64_t offered = 0;       // offers sent
    uint64_t chunk_bytes = 0;   // sent
    uint64_t resent_bytes = 0;  // of these, sent before in this process's life
    uint64_t in_custody = 0;    // above, since the start
    std::map<Code, uint64_t> refused;
  };
  // `on_gone` hears of every upload that left the spool through here: nullptr for custody, else why it was given up.
  using OnGone = std::function<void(const UploadId&, const Error*)>;

  Courier(HopClient& client, Loop& loop, const Clock& clock, Random& random, UploadSource& source, Options options,
          OnGone on_gone);
  ~Courier() override;

  // Something new is complete in the spool.
  void Nudge();
  const Counts& counts() const { return counts_; }
  size_t under_way() const { return under_way_.size(); }
  // Bytes of chunks sent and not known to be safe above.
  uint64_t in_flight() const { return in_flight_; }

  void OnUp() override;
  void OnDown() override;
  void OnMessage(const hop::Message& message, ByteView bulk) override;

 private:
  using Place = std::pair<Priority, uint64_t>;  // in the order of sending: by priority, then by offer
  struct UnderWay {
    SpooledUpload facts;
    Place place;
    bool resumed = false;  // the server said where to go on
    uint32_t next_chunk = 0;
    uint64_t in_flight = 0;  // bytes of the chunk before that, until it is known to be safe …
    Millis sent_at{0};       // … sent then

    uint64_t Unsent() const {
      return facts.ciphertext_size - std::min(facts.ciphertext_size, facts.ChunkOffset(next_chunk));
    }
  };
  struct Trouble {  // an upload that was refused, or could not be read or deleted, for now
    Millis not_before{0};
    Backoff backoff;
    int digest_mismatches = 0;
  };

  void OfferMore();
  // false: the session is over.
  bool Offer(const SpooledUpload& upload);
  // Whether one more of this priority may be offered.
  bool HasRoom(Priority priority) const;
  // Forgets what the source does not list any more.
  void ForgetAllBut(const std::unordered_set<UploadId, IdHash>& listed);
  void ForgetVanished(const UploadId& upload);
  void SendChunks();
  // false: nothing more can be sent now; `ask_again` says when, if time is what it takes.
  bool SendChunk(const UploadId& id, UnderWay& upload, Millis& ask_again);
  void OnCredit(const hop::Credit& credit);
  void OnResume(const hop::Resume& resume);
  void OnRefuse(const hop::Refuse& refuse);
  void Landed(UnderWay& upload);
  // false: it was not under way.
  bool Remove(const UploadId& upload);
  // Not before its backoff, and the window, have passed.
  Trouble& Postpone(const UploadId& upload, RetryWindow window = {});
  // The source could not give what it has of it.
  void OnUnreadable(const UploadId& upload, const Error& error);
  void HandOver(const UploadId& upload);
  void GiveUp(const UploadId& upload, const Error& error);

  HopClient& client_;
  Loop& loop_;
  const Clock& clock_;
  Random& random_;
  UploadSource& source_;
  Options options_;
  OnGone on_gone_;
  std::unordered_map<UploadId, UnderWay, IdHash> under_way_;
  std::map<Place, UploadId> order_;  // of under_way_
  uint64_t last_offer_ = 0;
  std::unordered_map<UploadId, Trouble, IdHash> trouble_;
  std::unordered_set<UploadId, IdHash> leaving_;  // the spool is told, and may still list them
  std::unordered_map<UploadId, uint32_t, IdHash>
      sent_;  // the chunks of what is still here that were sent at least once
  uint64_t credit_ = 0;
  uint64_t in_flight_ = 0;               // bytes, of all
  uint64_t window_ = 0;                  // how many of those there may be
  std::optional<Priority> no_room_for_;  // when it was last looked for
  size_t vanished_ = 0;                  // in this session: the server still counts them as under way
  Loop::TimerId retry_timer_ = 0;
  Loop::TimerId send_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Counts counts_;
};

}  // namespace tributary
