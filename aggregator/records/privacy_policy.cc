#include "aggregator/records/privacy_policy.h"

namespace tributary {

std::vector<Field> FieldsOf(PrivacyPolicy& policy) {
  constexpr double kMostRounds = 5'000;  // the sensitivity of a longer run takes the core thread too long
  return {
      {"epsilon", &policy.epsilon, "most that all versions together may tell of one device; 0: no differential privacy",
       Between(0, 500)},
      {"delta", &policy.delta, "probability that epsilon does not hold", Between(1e-12, 0.1)},
      OneOf("accounting", ChoiceIn(policy.accounting), "by which theorem rounds are added up", kAccountingNames),
      {"noise", &policy.noise,
       "deviation of a sum's noise over the clip (bounds.first_norm), or with correlated over the run's sensitivity; "
       "0: "
       "what epsilon asks for",
       Between(0, 10'000)},
      {"rounds", &policy.rounds, "versions that the task is to make", Between(1, kMostRounds)},
      {"participations", &policy.participations,
       "most sums that a device may be in, enforced; 0: what rounds and separation leave", Between(0, kMostRounds)},
      {"separation", &policy.separation, "sums from one participation of a device to its next, enforced",
       Between(1, kMostRounds)},
      {"denominator", &policy.denominator, "what a sum is divided by, however many updates came; 0: round.report_goal",
       Between(0, 1'000'000)},
      {"accept_noise", &policy.accept_noise, "make the task though its model would learn noise"},
  };
}

}  // namespace tributary
