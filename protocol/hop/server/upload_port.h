#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

#include "protocol/hop/server/owner.h"
#include "protocol/hop/server/sessions.h"

namespace tributary {

// Takes uploads on a hop server: answers offers, grants credit, hands chunks to the sink, tells of custody and
// refusals. The counterpart of the client's Courier. All on the loop's thread. Everything given to the constructor must
// outlive it. Memory: never more chunk bytes than HopServerOptions::credit_bytes over all sessions. One upload may come
// on several connections at once (a carried disk, while the uplink is back): each is answered, and the first to bring a
// chunk has brought it. Does not promise custody: the owner says so with GiveCustody.
class UploadPort final : public Sessions::Part {
 public:
  UploadPort(Sessions& sessions, UploadSink& sink, HopServerObserver& observer);

  // An error closes the session; a fault of one upload only refuses that.
  Status OnOffer(Session& session, const hop::Offer& offer);
  Status OnChunk(Session& session, const hop::Chunk& chunk, ByteView bulk);
  // See HopServer.
  void GiveCustody(const UploadId& upload);
  void RefuseUpload(const UploadId& upload, const Error& error);

  bool HasCredit(const Session& session) const;
  uint64_t credit_in_use() const { return credit_in_use_; }  // bytes

 private:
  // An upload whose chunks are under way.
  struct Active {
    UploadHeader header;
    uint32_t next_chunk = 0;  // the one that must come now
    bool in_process = false;  // the one before is not safe yet
  };
  // The uploads of one session.
  struct Flow {
    std::string route;
    uint64_t serial = 0;
    uint64_t granted = 0;     // credit given and not used yet, bytes
    Millis granted_since{0};  // when credit came to be there, or was last used
    uint64_t in_process = 0;  // received and not taken by the sink yet, bytes
    bool waiting = false;     // in the queue for credit
    std::map<UploadId, Active> active;
    std::vector<UploadId> offered;  // all that await custody or an answer
  };

  void OnForgotten(const Session& session) override;
  Use OnSweep(Session& session, Millis now) override;

  // nullptr: it has none, or is over.
  Flow* FlowOf(uint64_t serial);
  // Why the offer of this upload is refused.
  Status CheckOffer(const Session& session, const SignedEnvelope& envelope) const;
  void OnAnswer(uint64_t serial, const UploadHeader& header, const Result<OfferAnswer>& answer);
  Status CheckChunk(const Flow& flow, const hop::Chunk& chunk, size_t size) const;
  // The chunk is dropped, and with it the upload, if it was under way.
  void RefuseChunk(Flow& flow, const UploadId& upload, size_t size, const Error& error);
  // `taken` names the chunk: its bytes, its upload and the index after it.
  void OnTaken(uint64_t serial, const hop::Credit& taken, const Status& status);
  // Ends what sessions have to do with an upload; whose it was.
  std::vector<uint64_t> Detach(const UploadId& upload);
  // The same for one session. false: it had nothing to do with it.
  bool DetachOne(Flow& flow, const UploadId& upload);
  // `safe` goes along: what it says of an upload's chunks.
  void GrantCredit(Flow& flow, hop::Credit safe = {});
  void GrantWaiting();
  void SendRefuse(const Flow& flow, const UploadId& upload, const Error& error);

  Sessions& sessions_;
  UploadSink& sink_;
  HopServerObserver& observer_;
  uint64_t credit_in_use_ = 0;                // bytes of chunks asked for and not taken by the sink, of all sessions
  std::unordered_map<uint64_t, Flow> flows_;  // by session
  std::unordered_map<UploadId, std::vector<uint64_t>, IdHash> offered_by_;
  std::deque<uint64_t> waiting_;  // for credit, first come first served
};

}  // namespace tributary
