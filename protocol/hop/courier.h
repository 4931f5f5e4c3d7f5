#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "protocol/hop/client.h"
#include "protocol/spool/upload_source.h"

namespace tributary {

// Carries what a source holds up a hop: offers complete uploads in the source's order, sends the chunks that credit
// allows, and lets the source delete an upload when custody was taken. The same at a device (its outbox) and at a
// gateway. A part of a HopClient; all on the loop's thread. Client, source and loop must outlive it. Memory: the chunks
// that credit allows, one at a time; it reads them when it sends them.
class Courier final : public HopClient::Part {
 public:
  struct Options {
    size_t max_under_way = 32;  // uploads offered and not yet in custody above
    Millis first_retry{500};    // after a refusal that passes and names no window
    Millis retry_cap{60'000};
    int max_digest_mismatches = 3;  // then the upload is a dead letter: the stored bytes are bad
  };
  struct Counts {
    uint64_t offered = 0;       // offers sent
    uint64_t chunk_bytes = 0;   // sent
    uint64_t resent_bytes = 0;  // of these, sent before in this process's life
    uint64_t in_custody = 0;    // above, since the start
    std::map<Code, uint64_t> refused;
  };
  // `on_gone` hears of every upload that left the spool: nullptr for custody, else why it was given up.
  using OnGone = std::function<void(const UploadId&, const Error*)>;

  Courier(HopClient& client, Loop& loop, const Clock& clock, Random& random, UploadSource& source, Options options,
          OnGone on_gone);
  ~Courier() override;

  // Something new is complete in the spool.
  void Nudge();
  const Counts& counts() const { return counts_; }
  size_t under_way() const { return under_way_.size(); }

  void OnUp() override;
  void OnDown() override;
  void OnMessage(const hop::Message& message, ByteView bulk) override;

 private:
  struct UnderWay {
    SpooledUpload facts;
    bool resumed = false;  // the server said where to go on
    uint32_t next_chunk = 0;
  };
  struct Trouble {  // an upload that was refused for now
    Millis not_before{0};
    Backoff backoff;
    int digest_mismatches = 0;
  };

  void OfferMore();
  void SendChunks();
  void OnResume(const hop::Resume& resume);
  void OnRefuse(const hop::Refuse& refuse);
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
  std::deque<UploadId> order_;  // of under_way_, for sending
  std::unordered_map<UploadId, Trouble, IdHash> trouble_;
  std::unordered_set<UploadId, IdHash> leaving_;  // the spool is told, and may still list them
  std::unordered_map<UploadId, uint32_t, IdHash>
      sent_;  // the chunks of what is still here that were sent at least once
  uint64_t credit_ = 0;
  Loop::TimerId retry_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Counts counts_;
};

}  // namespace tributary
