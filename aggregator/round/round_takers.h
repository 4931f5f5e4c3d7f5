#pragma once

#include <optional>
#include <vector>

#include "aggregator/intake/open_update.h"
#include "aggregator/intake/takers.h"
#include "aggregator/round/round_book.h"
#include "aggregator/round/update_layouts.h"
#include "aggregator/watch/device_state_taker.h"
#include "protocol/payload/evaluation.h"

namespace tributary {

// Takes updates into the sums of open rounds. A device counts once per task and base version. Borrows all of its parts;
// the core thread.
class UpdateTaker final : public Taker {
 public:
  UpdateTaker(const TakerParts& parts, RoundBook& rounds, const BlobStore& blobs, UpdateReader& reader)
      : parts_(parts), rounds_(rounds), reader_(reader), layouts_(parts.store, blobs) {}

  Verdict Admit(const UploadHeader& header) override;
  // Custody follows when the checkpoint that holds the update is durable.
  Verdict Take(const UploadHeader& header, Role role, const ChunkSource& chunk) override;
  void OnRefused(const UploadSubject& subject, Code code, uint64_t bytes) override;

 private:
  TakerParts parts_;
  RoundBook& rounds_;
  // Whether this device has contributed to that version: kTake when it has not.
  Verdict FindContribution(const RoundRunner& runner, const UploadSubject& subject) const;

  UpdateReader& reader_;
  UpdateLayouts layouts_;
};

// Keeps what devices and evaluators measured of a version. Each result of a member counts once per version and model. A
// device's counts only once its own update is in a round's sum on that version, so nobody moves the metrics of a round
// that he was not in; and it weighs no more than an update may. The evaluation comes before the update
// (device/agent/workshop.h): it waits, and the checkpoint with the update counts it (EvaluationTable::Count).
// Borrows all of its parts; the core thread.
class EvaluationTaker final : public Taker {
 public:
  EvaluationTaker(const TakerParts& parts, RoundBook& rounds) : parts_(parts), rounds_(rounds) {}

  Verdict Admit(const UploadHeader& header) override;
  Verdict Take(const UploadHeader& header, Role role, const ChunkSource& chunk) override;

 private:
  // The round that the evaluation speaks of, 0 for none; nullopt: all of its results are stored already.
  Result<std::optional<uint64_t>> Keep(const UploadHeader& header, Role role,
                                       const std::vector<EvaluationResult>& results);
  TakerParts parts_;
  RoundBook& rounds_;
};

}  // namespace tributary
