#pragma once

#include <string>
#include <vector>

#include "aggregator/operator/experiment/results.h"

namespace tributary {

// One page about one experiment, or beside each other about several: accuracy over rounds and over bytes, the loss, and where
// the results have them spread over devices, staleness and privacy spent; the settings and versions of each. It loads
// nothing from anywhere, runs no script, and is read in the dark and from 320 pixels on. `runs` is not empty.
std::string ReportOf(const std::vector<ExperimentResults>& runs);

// A line of a comparison.
struct ComparedRun {
  std::string name;
  std::optional<double> last, best;  // of the main metric
  uint64_t best_round = 0;
  std::optional<double> bytes_up;  // spent until the metric reached `reach`; nullopt: it never did
  std::optional<uint64_t> rounds;  // the same
  double total_bytes_up = 0;
  double seconds = 0;
};
// The value that every run reached: the worst of their best values. nullopt: a run has none.
std::optional<double> ReachedByAll(const std::vector<ExperimentResults>& runs);
std::vector<ComparedRun> Compared(const std::vector<ExperimentResults>& runs, std::optional<double> reach);
// One name for each run, no two alike.
std::vector<std::string> NamesOf(const std::vector<ExperimentResults>& runs);

}  // namespace tributary
