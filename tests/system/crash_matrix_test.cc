#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/support/seeded_random.h"
#include "tests/system/crash_site.h"

// Random SIGKILLs over everything that runs. TRIBUTARY_CRASH_KILLS and TRIBUTARY_CRASH_SEED make it longer and
// different: the run that a release must pass has 300. A hostile member plays its rows to every server all the while.
namespace tributary::crash_matrix_test {
namespace {

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(CrashMatrix, WhateverIsKilledWheneverTheBitsAreThoseOfTheUndisturbedRun) {
  const uint64_t kills = Setting("TRIBUTARY_CRASH_KILLS", 40);
  const uint64_t seed = Setting("TRIBUTARY_CRASH_SEED", 1);
  RecordProperty("seed", static_cast<int>(seed));
  SeededRandom random(seed);
  CrashSite crash({.hostile = true});
  const std::vector<std::string> victims = {"aggregator", "gateway-1", "gateway-2", "fleet"};
  std::map<std::string, uint64_t> killed;
  for (uint64_t i = 0; i < kills; ++i) {
    // Rounds in plenty, so that the kills fall into work.
    if (crash.Completed() == crash.rounds()) crash.StartRounds(5);
    // Up to a quarter of a second, or when something happens in a random number of log lines.
    const uint64_t signs = random.Below(8);
    for (uint64_t sign = 0; sign < signs; ++sign)
      crash.site().AwaitSign(Millis(static_cast<int64_t>(random.Below(40))));
    const std::string& victim = victims[random.Below(victims.size())];
    crash.site().Kill(victim);
    if (victim == "fleet") crash.Connect(random.Below(3));
    crash.site().Start(victim);
    ++killed[victim];
  }
  crash.ExpectNothingLostNothingTwice();
  std::cout << kills << " kills (seed " << seed << "), " << crash.rounds() << " rounds:";
  for (const auto& [victim, count] : killed) std::cout << " " << victim << " " << count;
  std::cout << std::endl;
  // Vacuous otherwise.
  EXPECT_GE(crash.rounds(), 5u);
}

}  // namespace
}  // namespace tributary::crash_matrix_test
