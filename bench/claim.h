#pragma once

#include <time.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/result.h"

// What every benchmark here has in common: a value, the limit it is held against, and how they are measured together.
namespace tributary::bench {

enum class Wanted { kAtLeast, kAtMost };

// `value` and `limit` have the same unit and were measured in the same run; it holds when value / limit reaches, or
// stays below, the target.
struct Claim {
  std::string claim;
  double value = 0;
  std::string unit;
  double limit = 0;
  double target = 0;
  Wanted wanted = Wanted::kAtLeast;
};

// One line of JSON on standard output.
inline void Print(const Claim& claim) {
  const double ratio = claim.value / claim.limit;
  const bool holds = claim.wanted == Wanted::kAtLeast ? ratio >= claim.target : ratio <= claim.target;
  nlohmann::ordered_json line;
  line["claim"] = claim.claim;
  line["value"] = claim.value;
  line["unit"] = claim.unit;
  line["limit"] = claim.limit;
  line["ratio"] = ratio;
  line["target"] = claim.target;
  line["holds"] = holds;
  std::cout << line.dump() << std::endl;
}

// For work of one thread that waits for nothing its own processor time, which other processes do not add to; else the
// wall's.
enum class Measured { kThreadTime, kWallTime };

inline double Now(Measured clock) {
  timespec now{};
  clock_gettime(clock == Measured::kThreadTime ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

inline double Seconds(Measured clock, const std::function<void()>& work) {
  const double start = Now(clock);
  work();
  return Now(clock) - start;
}

inline double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Rates {
  double ours = 0;
  double limit = 0;
};

// Units of work per second of two ways to do it, each the median over `rounds` alternations: what else the machine does
// meets both. Each call of `ours` and `limit` does `amount`; both run once unmeasured first. `prepare` runs before each
// `ours`, unmeasured.
inline Rates Compare(
    Measured clock, int rounds, double amount, const std::function<void()>& ours, const std::function<void()>& limit,
    const std::function<void()>& prepare = [] {}) {
  std::vector<double> our_seconds, limit_seconds;
  for (int round = 0; round <= rounds; ++round) {
    limit_seconds.push_back(Seconds(clock, limit));
    prepare();
    our_seconds.push_back(Seconds(clock, ours));
  }
  our_seconds.erase(our_seconds.begin());
  limit_seconds.erase(limit_seconds.begin());
  return {amount / Median(our_seconds), amount / Median(limit_seconds)};
}

// The value, or the end: a benchmark that cannot do its work says nothing.
template <class T>
T Must(Result<T> result) {
  TRIBUTARY_CHECK(result.has_value()) << result.error().ToString();
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace tributary::bench
