#include <algorithm>
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "aggregator/release/privacy_form.h"
#include "aggregator/release/task_book.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_fleet.h"

// An audit of the claim: an update that is known (a canary) is in the sums or it is not, and whoever knows all others
// guesses from the means which it was. How often he is right bounds epsilon from below: the bound must not pass what the
// ledger claims. Sums, clip, noise and means are those of rounds.
namespace tributary::canary_audit_test {
namespace {

constexpr uint64_t kValues = 16;
constexpr double kDelta = 1e-6;

TaskRecord PrivateTask(const PrivacyPolicy& privacy) {
  TaskRecord task;
  task.id = TestTask("audit");
  task.table.tensors = {{.name = "a", .shape = {kValues}, .offset = 0, .size = kValues}};
  task.policy.report_goal = task.policy.minimum = 4;
  task.first_norm = 1;
  task.norm_medians = task.weight_medians = 0;
  task.first_weight = 1;
  task.privacy = privacy;
  task.privacy.accept_noise = true;
  Must(CompletePrivacy(task));
  task.scale = Must(ChooseScale(task));
  return task;
}

// The largest direction that a device can have.
const std::vector<float>& Canary() {
  static const std::vector<float> canary(kValues, 0.25F);
  return canary;
}

// One round: noise, an update of somebody else, and perhaps the canary. Gives the mean's part along the canary, without
// what is known of the other.
double ScoreOf(const TaskRecord& task, const PrivacyForm& form, std::span<const int64_t> noise, bool canary) {
  WeightedSum sum(kValues, task.scale, task.value_bound, Must(MaxRoundWeight(task)));
  sum.BeginNoise(form.denominator);
  Must(sum.AddNoise(0, noise));
  const auto add = [&](float scale) {
    std::vector<float> values = Canary();
    for (float& value : values) value *= scale;
    auto addition = Must(sum.Begin({.norm_clip = task.first_norm, .whole_norm = form.whole_norm}, 1, Again(values)));
    Must(addition.Add(values));
    Must(addition.Commit());
  };
  add(-0.5F);
  if (canary) add(3);  // is clipped to a norm of 1
  double score = 0.5;
  const auto mean = Must(sum.Report());
  for (size_t i = 0; i < kValues; ++i) score += mean[i] * static_cast<double>(form.denominator) * double{Canary()[i]};
  return score;
}

// The probability that a binomial of `trials` and `p` is at most `hits`.
double Cumulative(uint64_t hits, uint64_t trials, double p) {
  double sum = 0;
  const auto n = static_cast<double>(trials);
  for (uint64_t i = 0; i <= hits; ++i) {
    const auto k = static_cast<double>(i);
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) + k * std::log(p) +
                    (n - k) * std::log1p(-p));
  }
  return sum;
}

// The largest rate that has so few hits with a probability of 0.5 % (Clopper and Pearson).
double UpperRate(uint64_t hits, uint64_t trials) {
  double low = 0, high = 1;
  if (hits == trials) return 1;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (Cumulative(hits, trials, middle) > 0.005 ? low : high) = middle;
  }
  return high;
}

// With 99 %: the guess is by a threshold that other trials than these chose.
double EpsilonAtLeast(const std::function<double(bool canary)>& score, uint64_t trials) {
  double best = 0, threshold = 0;
  for (const bool choosing : {true, false}) {
    std::vector<double> with, without;
    for (uint64_t i = 0; i < trials; ++i) {
      with.push_back(score(true));
      without.push_back(score(false));
    }
    const auto bound = [&](double at) {
      const auto above = [at](const std::vector<double>& scores) {
        return static_cast<uint64_t>(std::ranges::count_if(scores, [at](double one) { return one >= at; }));
      };
      const double caught = 1 - UpperRate(trials - above(with), trials);
      return std::log(std::max((caught - kDelta) / UpperRate(above(without), trials), 1.0));
    };
    if (!choosing) return bound(threshold);
    std::ranges::sort(with);
    for (uint64_t i = 0; i < trials; i += trials / 40) {
      const double found = bound(with[i]);
      if (found <= best) continue;
      best = found;
      threshold = with[i];
    }
  }
  return 0;
}

TEST(CanaryAudit, WhatIsMeasuredOfRoundsStaysBelowTheClaim) {
  const TaskRecord task = PrivateTask({.epsilon = 10, .noise = 2});
  const PrivacyForm form = Must(PrivacyFormOf(task));
  constexpr uint64_t kRounds = 4;
  const std::vector<Charge> charges(kRounds, Charge{.multiplier = form.multiplier, .noise = {}});
  const double claim = SpentEpsilon(form.terms, charges);
  EXPECT_LT(claim, 10);
  const auto measure = [&](uint64_t part, uint64_t trials) {
    SeededRandom random(7);
    IntegerGaussian gaussian = Must(IntegerGaussian::Create({form.sigma_squared.numerator / (part * part), 1}, random));
    return EpsilonAtLeast(
        [&](bool canary) {
          double score = 0;
          std::vector<int64_t> noise(kValues);
          for (uint64_t round = 0; round < kRounds; ++round) {
            gaussian.Draw(noise);
            score += ScoreOf(task, form, noise, canary);
          }
          return score;
        },
        trials);
  };
  const double measured = measure(1, 10'000);
  EXPECT_LE(measured, claim);
  EXPECT_GT(measured, 1) << "the audit sees something";
  EXPECT_GT(measure(4, 10'000), claim) << "a quarter of the noise is found out";
  RecordProperty("claim", std::to_string(claim));
  std::cout << "claim " << claim << ", measured " << measured << "\n";
}

// A device in every sixth of 24 sums of a correlated run. Whoever sees the sums knows C, and undoes C^-1.
TEST(CanaryAudit, WhatIsMeasuredOfACorrelatedRunStaysBelowTheClaim) {
  const TaskRecord task = PrivateTask(
      {.epsilon = 5, .accounting = Accounting::kCorrelated, .rounds = 24, .separation = 6, .accept_noise = true});
  const PrivacyForm form = Must(PrivacyFormOf(task));
  const uint64_t rounds = form.participation.rounds;
  const auto coefficients = form.blt->Coefficients(rounds);
  // C times the rounds in which the canary is.
  std::vector<double> pattern(rounds, 0);
  for (uint64_t first = 0; first < rounds; first += form.participation.separation) {
    for (uint64_t round = first; round < rounds; ++round) pattern[round] += coefficients[round - first];
  }
  const auto measure = [&](uint64_t part) {
    SeededRandom random(8);
    return EpsilonAtLeast(
        [&](bool canary) {
          const Variance less{form.sigma_squared.numerator / (part * part), 1};
          CorrelatedNoise source = Must(CorrelatedNoise::Create(*form.blt, less, kValues, {}, random));
          std::vector<double> seen;
          std::vector<int64_t> noise(kValues);
          double score = 0;
          for (uint64_t round = 0; round < rounds; ++round) {
            source.Draw(noise);
            const bool in = canary && round % form.participation.separation == 0;
            seen.push_back(ScoreOf(task, form, noise, in));
            for (uint64_t before = 0; before <= round; ++before)
              score += pattern[round] * coefficients[round - before] * seen[before];
          }
          return score;
        },
        3'000);
  };
  const double measured = measure(1);
  EXPECT_LE(measured, 5);
  EXPECT_GT(measured, 1);
  EXPECT_GT(measure(5), 5);
  std::cout << "claim 5, measured " << measured << "\n";
}

}  // namespace
}  // namespace tributary::canary_audit_test
