#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "protocol/catalogue/publication.h"
#include "protocol/hop/client/client.h"
#include "protocol/hop/client/sending_window.h"
#include "protocol/spool/upload_source.h"

namespace tributary {

// Carries what a source holds up a hop: offers complete uploads in the source's order, sends the chunks that credit
// allows, and lets the source delete an upload when custody was taken. The same at a device (its outbox) and at a
// gateway. A part of a HopClient; all on the loop's thread. Client, source and loop must outlive it. Memory: one chunk
// at a time, read when it is sent.
//
// Order: an upload of a higher priority is offered and sent before all lower ones, however many of those are under way;
// the interrupted ones go on later (sending_window.h). Uploads that the source drops meanwhile are forgotten here. One
// that is refused because no round is open waits for the publication that opens one; it asks by itself only after
// hours.
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
  using GoneHook = std::function<void(const UploadId&, const Error*)>;

  Courier(HopClient& client, Loop& loop, const Clock& clock, Random& random, UploadSource& source, Options options,
          GoneHook on_gone);
  ~Courier() override;

  // Something new is complete in the spool.
  void Nudge() { OfferMore(); }
  // A publication is in force: what waited for the rounds that it opens is offered again.
  void OnPublication(const Publication& publication);
  const Counts& counts() const { return counts_; }
  size_t under_way() const { return window_.size(); }
  // Bytes of chunks sent and not known to be safe above.
  uint64_t in_flight() const { return window_.in_flight(); }

  void OnUp() override { OfferMore(); }
  void OnDown() override;
  void OnMessage(const hop::Message& message, ByteView bulk) override;

 private:
  struct Trouble {  // an upload that was refused, or could not be read or deleted, for now
    Millis not_before{0};
    Backoff backoff;
    int digest_mismatches = 0;
    std::optional<TaskId> awaits_round = std::nullopt;  // of this task
  };

  void OfferMore();
  // false: the session is over.
  bool Offer(const SpooledUpload& upload);
  // Forgets what the source does not list any more.
  void ForgetAllBut(const std::unordered_set<UploadId, IdHash>& listed);
  void ForgetVanished(const UploadId& upload);
  void SendChunks();
  // false: nothing more can be sent now; `ask_again` says when, if time is what it takes.
  bool SendNext(const SendingWindow::Upload& upload, Millis& ask_again);
  void SendChunk(const UploadId& id, uint32_t index, const Bytes& chunk);
  void OnCredit(const hop::Credit& credit);
  void OnRefuse(const hop::Refuse& refuse);
  // It is offered again when its backoff, and the window, have passed.
  Trouble& Postpone(const UploadId& upload, RetryWindow window = {});
  // The source could not give what it has of it.
  void OnUnreadable(const UploadId& upload, const Error& error);
  void HandOver(const UploadId& upload);
  void GiveUp(const UploadId& upload, const Error& error);
  // For the source: it has let the upload go. `why`: nothing for custody.
  UploadSource::Done<void> WhenGone(const UploadId& upload, const std::optional<Error>& why);
  void OnGone(const UploadId& upload, const std::optional<Error>& why, const Status& status);

  HopClient& client_;
  Loop& loop_;
  const Clock& clock_;
  Random& random_;
  UploadSource& source_;
  Options options_;
  GoneHook on_gone_;
  SendingWindow window_;
  std::unordered_map<UploadId, Trouble, IdHash> trouble_;
  std::unordered_map<TaskId, uint64_t, IdHash> rounds_;  // the newest that was announced
  std::unordered_set<UploadId, IdHash> leaving_;         // the spool is told, and may still list them
  // How many chunks of an upload that is still here were sent at least once.
  std::unordered_map<UploadId, uint32_t, IdHash> sent_;
  std::optional<Priority> no_room_for_;  // when it was last looked for
  size_t vanished_ = 0;                  // in this session: the server still counts them as under way
  Loop::TimerId retry_timer_ = 0;
  Loop::TimerId send_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Counts counts_;
};

}  // namespace tributary
