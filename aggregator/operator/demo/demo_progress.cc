#include "aggregator/operator/demo/demo_progress.h"

#include <algorithm>

#include <nlohmann/json.hpp>

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
  return fmt::format("{:.1f} %", *share * 100);
}

}  // namespace

DemoProgress::DemoProgress(uint64_t rounds, uint64_t devices, bool quiet)
    : rounds_(rounds), devices_(devices), quiet_(quiet), line_(!quiet) {
  if (quiet_) return;
  line_.Print(fmt::format("{:>5}  {:>7}  {:>7}  {:>9}  {:>9}  {:>9}  {:>7}", "round", "updates", "refused", "global",
                          "personal", "MB up", "seconds"));
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
      return Fail(Code::kChildFailed, "round {} {} with {} of {} updates", CountAt(round, "number"), state,
                  CountAt(round, "contributions"), devices_);
    }
    if (state != "completed") {
      PrintLive(round, seconds);
      break;
    }
    // A round is whole with its devices' evaluations and the evaluator's evaluation of the version that it made.
    if (complete_since_ < 0) complete_since_ = seconds;
    const bool whole =
        CountAt(round, "number") <= evaluated && CountAt(round, "evaluations") >= CountAt(round, "contributions");
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
  totals_.contributions += CountAt(round, "contributions");
  totals_.refused += RefusedOf(round);
  totals_.bytes_up += CountAt(round, "bytes_up");
  totals_.global_accuracy = NumberAt(round, "global_accuracy");
  totals_.personal_accuracy = NumberAt(round, "personal_accuracy");
  if (quiet_) return;
  line_.Print(fmt::format("{:>5}  {:>7}  {:>7}  {:>9}  {:>9}  {:>9.1f}  {:>7.1f}", CountAt(round, "number"),
                          CountAt(round, "contributions"), RefusedOf(round), Percent(totals_.global_accuracy),
                          Percent(totals_.personal_accuracy), static_cast<double>(CountAt(round, "bytes_up")) / 1e6,
                          seconds - last_end_));
  last_end_ = seconds;
}

void DemoProgress::PrintLive(const Json& round, double seconds) const {
  const bool collected = round.value("state", "") == "completed";
  line_.Show(CountAt(round, "number"), CountAt(round, "contributions"), devices_,
             fmt::format("{}  {:.0f} s", collected ? ", evaluating" : "", seconds));
}

}  // namespace tributary
