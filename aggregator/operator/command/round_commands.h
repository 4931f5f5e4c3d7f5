#pragma once

#include <cstdint>
#include <string>

#include "aggregator/operator/command/context.h"

namespace tributary {

// Adds `rounds start, list, show, watch, cancel`.
void AddRoundCommands(CLI::App& app, Context& context);

// Shows rounds on standard output as they go: on a terminal one line that changes while a round runs, everywhere one
// line for each round that is over. Not thread safe.
class RoundLine {
 public:
  // `live`: whether to show the changing line, if standard output is a terminal.
  explicit RoundLine(bool live);
  // The round that runs, with the contributions it has of those it waits for; `note` stands behind them.
  void Show(uint64_t round, uint64_t contributions, uint64_t goal, const std::string& note = "") const;
  // Writes a line that stays, in place of the changing one.
  void Print(const std::string& line) const;

 private:
  const bool live_;
};

}  // namespace tributary
