#include "aggregator/optimise/optimizers.h"

#include <cmath>
#include <utility>

#include "protocol/base/log.h"

namespace tributary {
namespace {

// A rule gives for one value the move that the learning rate multiplies, from its mean update and what it keeps.

// FedAvg (McMahan et al. 2017, Algorithm 1) in its delta form.
struct FedAvgRule {
  static constexpr size_t kSlots = 0;
  void Begin(float*) const {}
  double Move(double mean, float*) const { return mean; }
};

// FedAvg with the server's momentum (Hsu et al. 2019): m = momentum * m + mean.
struct FedAvgMRule {
  static constexpr size_t kSlots = 1;
  void Begin(float* kept) const { kept[0] = 0; }
  double Move(double mean, float* kept) const {
    const double moment = momentum * double{kept[0]} + mean;
    kept[0] = static_cast<float>(moment);
    return moment;
  }
  double momentum;
};

// The three of Reddi et al. 2021, Algorithm 2: no bias correction, and v starts at tau².

// Without momentum, as there (beta1 = 0): v = v + mean².
struct FedAdagradRule {
  static constexpr size_t kSlots = 1;
  void Begin(float* kept) const { kept[0] = static_cast<float>(tau * tau); }
  double Move(double mean, float* kept) const {
    const double square = double{kept[0]} + mean * mean;
    kept[0] = static_cast<float>(square);
    return mean / (std::sqrt(square) + tau);
  }
  double tau;
};

// m = beta1 * m + (1 - beta1) * mean, and v as `NextSquare` says.
template <class NextSquare>
struct AdaptiveRule {
  static constexpr size_t kSlots = 2;
  void Begin(float* kept) const {
    kept[0] = 0;
    kept[1] = static_cast<float>(tau * tau);
  }
  double Move(double mean, float* kept) const {
    const double moment = beta1 * double{kept[0]} + (1 - beta1) * mean;
    const double square = NextSquare()(double{kept[1]}, mean * mean, beta2);
    kept[0] = static_cast<float>(moment);
    kept[1] = static_cast<float>(square);
    return moment / (std::sqrt(square) + tau);
  }
  double beta1, beta2, tau;
};
struct AdamSquare {
  double operator()(double before, double now, double beta2) const { return beta2 * before + (1 - beta2) * now; }
};
// Never negative: what is taken off is less than `before`.
struct YogiSquare {
  double operator()(double before, double now, double beta2) const {
    const double change = (1 - beta2) * now;
    return before > now ? before - change : before < now ? before + change : before;
  }
};

template <class Rule>
class ByRule final : public ServerOptimizer {
 public:
  explicit ByRule(Rule rule) : rule_(std::move(rule)) {}
  size_t slots() const override { return Rule::kSlots; }
  void Begin(std::span<float> kept) const override {
    if constexpr (Rule::kSlots > 0) {
      for (size_t i = 0; i < kept.size(); i += Rule::kSlots) rule_.Begin(&kept[i]);
    }
  }
  std::vector<float> Step(std::span<const float> present, std::span<const double> mean, double rate,
                          std::span<float> kept) const override {
    TRIBUTARY_CHECK(present.size() == mean.size() && kept.size() == Rule::kSlots * mean.size())
        << present.size() << " weights, " << mean.size() << " means, " << kept.size() << " kept";
    std::vector<float> next(present.size());
    for (size_t i = 0; i < next.size(); ++i)
      next[i] = static_cast<float>(double{present[i]} + rate * rule_.Move(mean[i], kept.data() + i * Rule::kSlots));
    return next;
  }

 private:
  const Rule rule_;
};

template <class Rule>
std::unique_ptr<const ServerOptimizer> Make(Rule rule) {
  return std::make_unique<const ByRule<Rule>>(std::move(rule));
}

}  // namespace

std::unique_ptr<const ServerOptimizer> MakeServerOptimizer(const ServerOptimizerPlan& plan) {
  switch (plan.name) {
    case ServerOptimizerName::kFedAvg:
      break;
    case ServerOptimizerName::kFedAvgM:
      return Make(FedAvgMRule{plan.momentum});
    case ServerOptimizerName::kFedAdagrad:
      return Make(FedAdagradRule{plan.tau});
    case ServerOptimizerName::kFedAdam:
      return Make(AdaptiveRule<AdamSquare>{plan.beta1, plan.beta2, plan.tau});
    case ServerOptimizerName::kFedYogi:
      return Make(AdaptiveRule<YogiSquare>{plan.beta1, plan.beta2, plan.tau});
  }
  return Make(FedAvgRule{});
}

}  // namespace tributary
