#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "aggregator/records/blame.h"
#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// What intake needs of whoever counts (round/coordinator.h). Every call is made on the core thread.
class UploadJudge {
 public:
  virtual ~UploadJudge() = default;
  // Would this upload be of use? An empty result: yes. kDuplicate: it (or the contribution it would make) is counted
  // for good, so the sender may delete it. kBusy: it is in the sum but not checkpointed yet; custody will follow.
  // Others refuse: kUnknownTask, kUnknownVersion, kStaleVersion, kRoundClosed, kUnknownKey, kTooLarge. Counts nothing.
  virtual Status Admit(const UploadHeader& header) = 0;
  // A complete upload whose signature and ciphertext digest have been verified: opens, checks and counts it. `role` is
  // the sender's, from its certificate (an evaluator's results stand for the version, a device's for its held-out
  // share). `chunk` reads ciphertext chunk i. Permanent refusals are counted by reason and returned; the upload is then
  // done with. Transient errors (IsTransient) and those of the environment (kIo, kDatabase …) count nothing: the upload
  // may be offered again. An update's custody follows later, possibly much later; a report's before return.
  virtual Status Contribute(const UploadHeader& header, Role role,
                            const std::function<Result<Bytes>(uint32_t index)>& chunk) = 0;
  // An upload refused before it reached Contribute (bad signature, digest, or what Admit said). Transient codes count
  // nothing.
  virtual void CountRefusal(UploadKind kind, const std::optional<UploadSubject>& subject, Code code) = 0;
  // The author of an upload was heard of, through `via` (itself when it is connected directly).
  virtual void SawAuthor(const Subject& author, const DeviceId& via) = 0;
};

}  // namespace tributary
