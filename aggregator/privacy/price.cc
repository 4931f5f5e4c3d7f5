#include "aggregator/privacy/price.h"

#include <algorithm>
#include <cmath>

#include "aggregator/privacy/gaussian_curve.h"
#include "aggregator/privacy/privacy_loss.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr double kMostNoise = 10'000;
constexpr uint64_t kMostRounds = 100'000;

constexpr std::string_view kTheorems[] = {
    "Gaussian composition over enforced participations, no amplification (Dong, Roth, Su 2019)",
    "one Gaussian over the run, BLT noise with enforced separation (Dvijotham et al. 2024)",
    "privacy loss of the Poisson-sampled Gaussian, private coin (Doroshenko et al. 2022)",
};

double People(const RunPlan& plan) { return static_cast<double>(plan.population > 0 ? plan.population : plan.devices); }

double DeltaFor(const RunPlan& plan) { return plan.delta > 0 ? plan.delta : std::min(1e-6, 0.1 / People(plan)); }

Participation ParticipationOf(const RunPlan& plan) {
  return {plan.rounds, plan.separation, plan.participations > 0 ? plan.participations : plan.rounds};
}

double EpsilonWith(const RunPlan& plan, double noise) {
  const double delta = DeltaFor(plan);
  switch (plan.accounting) {
    case Accounting::kCorrelated:
      return GaussianEpsilon(noise, delta);
    case Accounting::kPrivateCoin: {
      const SampledRounds sampled[] = {{static_cast<double>(plan.devices) / People(plan), noise, plan.rounds}};
      return std::min(PrivacyLossEpsilon(sampled, delta), RenyiEpsilon(sampled, delta));
    }
    default:
      return GaussianEpsilon(ComposedMultiplier(noise, static_cast<double>(ParticipationOf(plan).Most())), delta);
  }
}

// The smallest noise, to 10^-4 of it, that keeps the epsilon.
std::optional<double> NoiseFor(const RunPlan& plan) {
  double low = kLeastMultiplier, high = kMostNoise;
  if (EpsilonWith(plan, high) > plan.epsilon) return std::nullopt;
  while (high / low > 1.0001) {
    const double middle = std::sqrt(low * high);
    (EpsilonWith(plan, middle) <= plan.epsilon ? high : low) = middle;
  }
  return high;
}

Status Wrong(std::string_view field, const std::string& why) {
  return Fail(Code::kInvalidArgument, "{} {}", field, why);
}

}  // namespace

std::string_view TheoremOf(Accounting accounting) { return kTheorems[static_cast<size_t>(accounting)]; }

std::vector<Field> FieldsOf(RunPlan& plan) {
  constexpr double kCount = static_cast<double>(limits::kCounter);
  std::vector<Field> fields = {
      OneOf("accounting", ChoiceIn(plan.accounting), "by which theorem rounds are added up", kAccountingNames),
      Required("parameters", &plan.parameters, "values of the model"),
      Required("devices", &plan.devices, "updates in a round; with private-coin, how many are expected"),
      {"population", &plan.population, "devices of the task in all; 0: as many as in a round", Between(0, kCount)},
      {"rounds", &plan.rounds, "of the run", Between(1, kMostRounds)},
      {"participations", &plan.participations,
       "most rounds that a device may be in, enforced; 0: what rounds and separation leave", Between(0, kMostRounds)},
      {"separation", &plan.separation, "rounds from one participation of a device to its next, enforced",
       Between(1, kMostRounds)},
      {"noise", &plan.noise,
       "deviation of a round's noise over the clip, or with correlated over the run's sensitivity; 0: what epsilon "
       "asks for",
       Between(0, kMostNoise)},
      {"epsilon", &plan.epsilon, "most that may be spent; 0: what the noise gives", Between(0, 500)},
      {"delta", &plan.delta, "probability that epsilon does not hold; 0: 1 / (10 population), at most 1e-6",
       Between(0, 0.1)},
  };
  fields[1].bounds = Between(1, static_cast<double>(limits::kParameters));
  fields[2].bounds = Between(1, kCount);
  return fields;
}

Status RunPlan::Check() const {
  RunPlan copy = *this;
  RETURN_IF_ERROR(CheckFields(FieldsOf(copy)));
  if (population > 0 && population < devices)
    return Wrong("population", fmt::format("is less than the {} devices of a round", devices));
  if ((noise > 0) == (epsilon > 0)) return Wrong("noise", "or epsilon: give one, the other follows");
  if (noise > 0 && noise < kLeastMultiplier)
    return Wrong("noise", fmt::format("is below {}: it hides nothing", kLeastMultiplier));
  if (DeltaFor(*this) < 1e-12) return Wrong("delta", "is below 1e-12, to which no accountant here is exact");
  if (DeltaFor(*this) * People(*this) >= 1) {
    return Wrong("delta",
                 fmt::format("is {:g}: with {} devices it would let one be told outright; it has to be far below "
                             "1 / population",
                             DeltaFor(*this), People(*this)));
  }
  return {};
}

Result<RunPrice> PriceOf(const RunPlan& plan) {
  RETURN_IF_ERROR(plan.Check());
  RunPrice price;
  price.delta = DeltaFor(plan);
  price.theorem = TheoremOf(plan.accounting);
  const Participation participation = ParticipationOf(plan);
  price.participations = plan.accounting == Accounting::kPrivateCoin ? plan.rounds : participation.Most();
  price.noise = plan.noise;
  if (!(price.noise > 0)) {
    const auto noise = NoiseFor(plan);
    if (!noise) {
      return Fail(Code::kInvalidArgument, "epsilon {} at delta {:g} needs more than {} times the clip as noise",
                  plan.epsilon, price.delta, kMostNoise);
    }
    price.noise = *noise;
  }
  price.epsilon = EpsilonWith(plan, price.noise);
  price.effective_noise = price.noise;
  if (plan.accounting == Accounting::kCorrelated) {
    const auto blt = BestBlt(participation);
    const double independent = std::sqrt(static_cast<double>(plan.rounds) * static_cast<double>(participation.Most()));
    price.effective_noise *=
        (blt ? RootLoss(*blt, participation) : independent) / std::sqrt(static_cast<double>(plan.rounds));
    price.rho = Rho(price.noise);
  } else if (plan.accounting == Accounting::kParticipations) {
    price.rho = Rho(ComposedMultiplier(price.noise, static_cast<double>(participation.Most())));
  }
  const double lost = price.effective_noise * std::sqrt(static_cast<double>(plan.parameters));
  price.signal_to_noise = static_cast<double>(plan.devices) / lost;
  price.enough_devices = static_cast<uint64_t>(std::ceil(kGoodSignal * lost));
  return price;
}

Status CheckUse(const RunPlan& plan, const RunPrice& price) {
  if (std::isinf(price.epsilon)) {
    return Fail(Code::kInvalidArgument, "this noise gives no epsilon below 500: nothing is hidden");
  }
  if (price.signal_to_noise >= kNoise) return {};
  return Fail(
      Code::kInvalidArgument,
      "the model would learn noise: in a round of {} devices the noise has {:.1f} times the largest norm of their "
      "mean ({:.3g} * sqrt({}) / {}). {} devices in a round would do, or a model with fewer parameters",
      plan.devices, 1 / price.signal_to_noise, price.effective_noise, plan.parameters, plan.devices,
      price.enough_devices);
}

}  // namespace tributary
