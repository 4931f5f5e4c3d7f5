#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "aggregator/intake/upload_judge.h"
#include "protocol/base/executor.h"
#include "protocol/hop/server/owner.h"
#include "protocol/spool/spool.h"
#include "protocol/transport/loop.h"

namespace tributary {

// The aggregator's side of an upload: asks the judge whether it is wanted, stages its chunks in a spool (so that it
// resumes over restarts), has it counted when it is whole, and gives custody when the judge says that the checkpoint
// with it is durable. Nothing staged is read at a start: an upload that was whole is counted when its sender, who still
// has custody of it, offers it again. Three threads meet here: the sink's calls come on the loop, the staging spool answers
// on its worker, the judge works on the core; each hands on by posting. Stop comes before any of them ends; the staging
// spool ends before the receiver.
class Receiver final : public UploadSink {
 public:
  struct Hooks {
    // Both are called on the loop's thread.
    std::function<void(const UploadId&)> custody;
    std::function<void(const UploadId&, const Error&)> refused;
    // On the core's thread: the author of an upload was heard of, through `via` (itself when it is connected directly).
    // An error refuses the upload, and is counted.
    std::function<Status(const VerifiedIdentity& author, const DeviceId& via)> vet =
        [](const VerifiedIdentity&, const DeviceId&) -> Status { return {}; };
  };

  Receiver(Spool& staging, UploadJudge& judge, Executor& core, Loop& loop, Hooks hooks);

  // From any thread, when a task's versions changed: frees what is staged for those that are no longer trained on.
  void KeepOnly(const TaskId& task, const std::vector<ModelVersion>& accepted);
  // On the core's thread, with every publication: frees what revoked members have staged, when the list of them
  // changed.
  void DropRevoked(const TrustAnchor& anchor, const std::string& list);
  // From any thread, now and then: frees what its senders gave up.
  void DropAbandoned();
  // On the core's thread: from now on nothing is counted or staged. Staged uploads stay for the next start.
  void Stop() { stopped_ = true; }
  // On the core's thread: the judge's custody.
  void OnCustody(const std::vector<UploadId>& uploads);

  void Offer(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
             std::function<void(Result<OfferAnswer>)> answer) override;
  void Append(const UploadId& upload, uint32_t index, Bytes chunk, std::function<void(Status)> taken) override;

 private:
  void Admit(const SignedEnvelope& envelope, const VerifiedIdentity& author, const DeviceId& via,
             const std::function<void(Result<OfferAnswer>)>& answer);
  void Stage(const SignedEnvelope& envelope, const std::function<void(Result<OfferAnswer>)>& reply);
  // On the core's thread. `found`: it was staged before this offer, perhaps by a process that has ended since.
  void Count(const UploadId& upload, bool found);
  void Refuse(const UploadId& upload, const Error& error);
  // The judge will not want it any more: counts it and frees what is staged of it.
  void DoneWith(const UploadSubject& subject, Code reason);

  Spool& staging_;
  UploadJudge& judge_;
  Executor& core_;
  Loop& loop_;
  Hooks hooks_;
  // Roles by device, from the certificates that the hop verified. Core's thread only; as many as the fleet has devices.
  std::unordered_map<DeviceId, Role, IdHash> roles_;
  std::string revoked_;   // the list by which it was freed last; core's thread only
  bool stopped_ = false;  // core's thread only
};

}  // namespace tributary
