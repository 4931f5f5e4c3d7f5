#pragma once

#include "aggregator/intake/open_update.h"
#include "aggregator/intake/takers.h"
#include "aggregator/round/round_book.h"
#include "aggregator/store/disk_health.h"
#include "aggregator/watch/fleet_book.h"

namespace tributary {

// Takes updates into the sums of open rounds. A device counts once per task and base version. Borrows all of its parts;
// the core thread.
class UpdateTaker final : public Taker {
 public:
  struct Parts {
    RoundBook& rounds;
    DiskHealth& health;
    FleetBook& fleet;
    FindOpeningKey opening_key;
  };
  explicit UpdateTaker(const Parts& parts) : parts_(parts) {}

  Verdict Admit(const UploadHeader& header) override;
  // Custody follows when the checkpoint that holds the update is durable.
  Verdict Take(const UploadHeader& header, Role role, const ChunkSource& chunk) override;
  void OnRefused(const UploadSubject& subject, Code code, uint64_t bytes) override;

 private:
  Parts parts_;
  UpdateReader reader_;
};

}  // namespace tributary
