#pragma once

#include <cstdint>
#include <optional>

#include "aggregator/operator/command/round_commands.h"

namespace tributary {

// Follows the demo's rounds and shows them to a person, a row of a table for each round (RoundLine). A round's row waits
// for the evaluations that belong to it.
class DemoProgress {
 public:
  struct Totals {
    uint64_t rounds = 0;  // completed
    uint64_t contributions = 0;
    uint64_t refused = 0;
    uint64_t bytes_up = 0;
    std::optional<double> global_accuracy;    // of the last round
    std::optional<double> personal_accuracy;  // of the last round
  };

  // `quiet`: shows nothing.
  DemoProgress(uint64_t rounds, uint64_t devices, bool quiet);

  // Looks at the rounds as the API lists them and prints what is new. Whether all of them are over and printed.
  // kChildFailed: a round failed.
  Result<bool> Show(const Json& rounds, double seconds);
  const Totals& totals() const { return totals_; }

 private:
  void PrintRound(const Json& round, double seconds);
  void PrintLive(const Json& round, double seconds) const;

  const uint64_t rounds_;
  const uint64_t devices_;
  const bool quiet_;
  const RoundLine line_;
  double last_end_ = 0;         // seconds: when the last printed round was over
  double complete_since_ = -1;  // seconds: since when the round to be printed is completed and waits for evaluations
  Totals totals_;
};

}  // namespace tributary
