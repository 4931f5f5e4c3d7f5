#pragma once

#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/accept/key_ends.h"
#include "protocol/base/clock.h"
#include "protocol/catalogue/publication.h"
#include "protocol/hop/server/owner.h"
#include "protocol/spool/spool.h"
#include "protocol/transport/loop.h"

namespace tributary {

// Decides by the current publication whether an upload can still be of use, and puts it into the spool. The hop server
// has verified who made it. Custody is given when the spool has it on disk. All on the loop's
// thread. Spool, clock and loop must outlive it, and so must whatever the hooks touch.
class Acceptor final : public UploadSink {
 public:
  struct Hooks {
    std::function<void(const UploadId&)> custody = [](const UploadId&) {};  // it is on disk: tell the sender
    std::function<void()> arrived = [] {};                                  // something new can be forwarded
    std::function<void()> idle = [] {};  // after Drain: nothing is in process any more
  };

  // `keys`: until when what is sealed to which key is of use; taken over.
  Acceptor(Spool& spool, Loop& loop, const Clock& clock, KeyEnds keys);

  // Once, when everything is there that the hooks touch, and before the first offer.
  void Serve(Hooks hooks) { hooks_ = std::move(hooks); }

  // From now on what is accepted; drops from the spool what is not any more.
  void OnPublication(const Publication& publication);
  // Drops what is sealed to a key whose time has ended since. Call it every few seconds.
  void DropEnded();
  // From now on offers are refused as kShuttingDown. What is in process goes on: hooks.idle is called, now or later,
  // when all of it has been answered.
  void Drain();

  void Offer(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
             std::function<void(Result<OfferAnswer>)> answer) override;
  void Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) override;

 private:
  Status Admit(const UploadSubject& subject) const;
  void OnAppended(const UploadId& upload, const std::function<void(Status)>& taken, const Result<AppendAnswer>& result);
  // The spool has answered a request.
  void Ended();

  Spool& spool_;
  Loop& loop_;
  const Clock& clock_;
  KeyEnds keys_;
  size_t ended_ = 0;  // keys whose uploads were dropped
  Hooks hooks_;
  bool informed_ = false;  // a publication is held
  bool draining_ = false;
  uint64_t in_process_ = 0;  // offers and chunks that the spool has not answered yet
  // The accepted versions of each task, and its latest.
  struct Wanted {
    std::vector<ModelVersion> accepted;
    ModelVersion latest{};
    uint64_t parameter_count = 0;
  };
  std::unordered_map<TaskId, Wanted, IdHash> tasks_;
};

}  // namespace tributary
