#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/hop/upload_sink.h"
#include "protocol/publication/publication.h"
#include "protocol/spool/spool.h"
#include "protocol/transport/loop.h"

namespace tributary {

// A gateway's door: decides by the current publication whether an upload can still be of use, and puts it into the
// spool. The hop server has verified who made it. Custody is given when the spool has it on disk. All on the loop's
// thread. Spool, clock and loop must outlive it, and so must whatever the hooks touch.
class Acceptor final : public UploadSink {
 public:
  struct Hooks {
    std::function<void(const UploadId&)> custody;  // it is on disk: tell the sender
    std::function<void()> arrived;                 // something new can be forwarded
  };

  Acceptor(Spool& spool, Loop& loop, const Clock& clock, Hooks hooks);

  // From now on what is accepted; drops from the spool what is not any more.
  void OnPublication(const Publication& publication);

  void Offer(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
             std::function<void(OfferVerdict)> answer) override;
  void Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) override;

 private:
  Status Admit(const UploadSubject& subject) const;

  Spool& spool_;
  Loop& loop_;
  const Clock& clock_;
  Hooks hooks_;
  bool informed_ = false;  // a publication is held
  std::unordered_map<TaskId, std::vector<ModelVersion>, IdHash> accepted_;
  std::unordered_map<TaskId, ModelVersion, IdHash> latest_;
};

}  // namespace tributary
