#include "aggregator/operator/demo/demo_progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace tributary {
namespace {

// An evaluation that has not come by then (seconds) is shown as missing.
constexpr double kEvaluationPatience = 60;

std::optional<double> NumberAt(const Json& object, const char* key) {
  if (!object.contains(key) || !object[key].is_number()) return std::nullopt;
  return object[key].get<double>();
}

uint64_t CountAt(const Json& object, const char* key) { return object.value(key, uint64_t{0}); }

uint64_t RefusedOf(const Json& round) {
  uint64_t refused = 0;
  if (!round.contains("refused") || !round["refused"].is_object()) return 0;
  for (const auto& [reason, count] : round["refused"].items()) refused += count.get<uint64_t>();
  return refused;
}

std::string Percent(const std::optional<double>& share) {
  if (!share) return "-";
  char text[16];
  std::snprintf(text, sizeof(text), "%.1f %%", *share * 100);
  return text;
}

}  // namespace

DemoProgress::DemoProgress(std::string task, uint64_t rounds, uint64_t devices, bool quiet)
    : task_(std::move(task)),
      rounds_(rounds),
      devices_(devices),
      quiet_(quiet),
      live_(!quiet && isatty(STDOUT_FILENO) == 1) {
  if (!quiet_)
    std::printf("%5s  %7s  %7s  %9s  %9s  %9s  %7s\n", "round", "reports", "refused", "global", "personal", "MB up",
                "seconds");
}

Result<bool> DemoProgress::Show(const Json& rounds, double seconds) {
  // When rounds are shorter than an evaluation, the evaluator goes on to the newest version and leaves some out.
  uint64_t evaluated = 0;
  for (const auto& round : rounds) {
    if (NumberAt(round, "global_accuracy")) evaluated = std::max(evaluated, CountAt(round, "number"));
  }
  for (const auto& round : rounds) {
    const std::string state = round.value("state", "");
    if (CountAt(round, "number") <= totals_.rounds) continue;
    if (state == "failed" || state == "cancelled") {
      return Fail(Code::kChildFailed, "round " + std::to_string(CountAt(round, "number")) + " " + state + " with " +
                                          std::to_string(CountAt(round, "reports")) + " of " +
                                          std::to_string(devices_) + " reports");
    }
    if (state != "completed") {
      PrintLive(round, seconds);
      break;
    }
    // Its devices' evaluations and the evaluator's of the version that it made.
    if (complete_since_ < 0) complete_since_ = seconds;
    const bool whole =
        CountAt(round, "number") <= evaluated && CountAt(round, "evaluations") >= CountAt(round, "reports");
    if (!whole && seconds - complete_since_ < kEvaluationPatience) {
      PrintLive(round, seconds);
      break;
    }
    PrintRound(round, seconds);
    complete_since_ = -1;
  }
  return totals_.rounds >= rounds_;
}

void DemoProgress::PrintRound(const Json& round, double seconds) {
  ++totals_.rounds;
  totals_.reports += CountAt(round, "reports");
  totals_.refused += RefusedOf(round);
  totals_.bytes_up += CountAt(round, "bytes_up");
  totals_.global_accuracy = NumberAt(round, "global_accuracy");
  totals_.personal_accuracy = NumberAt(round, "personal_accuracy");
  if (quiet_) return;
  if (live_) std::printf("\r\033[K");
  std::printf(
      "%5llu  %7llu  %7llu  %9s  %9s  %9.1f  %7.1f\n", static_cast<unsigned long long>(CountAt(round, "number")),
      static_cast<unsigned long long>(CountAt(round, "reports")), static_cast<unsigned long long>(RefusedOf(round)),
      Percent(totals_.global_accuracy).c_str(), Percent(totals_.personal_accuracy).c_str(),
      static_cast<double>(CountAt(round, "bytes_up")) / 1e6, seconds - last_end_);
  std::fflush(stdout);
  last_end_ = seconds;
}

void DemoProgress::PrintLive(const Json& round, double seconds) const {
  if (!live_) return;
  const uint64_t reports = CountAt(round, "reports");
  constexpr uint64_t kWidth = 30;
  const uint64_t filled = devices_ ? reports * kWidth / devices_ : 0;
  const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '.');
  const bool collected = round.value("state", "") == "completed";
  std::printf("\r\033[Kround %llu  [%s] %llu/%llu %s  %.0f s",
              static_cast<unsigned long long>(CountAt(round, "number")), bar.c_str(),
              static_cast<unsigned long long>(reports), static_cast<unsigned long long>(devices_),
              collected ? "reports, evaluating" : "reports", seconds);
  std::fflush(stdout);
}

}  // namespace tributary
