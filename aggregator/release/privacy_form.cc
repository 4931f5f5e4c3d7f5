#include "aggregator/release/privacy_form.h"

#include <algorithm>
#include <cmath>

#include "aggregator/privacy/gaussian_curve.h"
#include "aggregator/records/sum_form.h"
#include "protocol/catalogue/shared_tensors.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/version_codec.h"

namespace tributary {
namespace {

constexpr double kLeastSigma = 0x1p12, kMostSigma = 0x1p22;

tl::unexpected<Error> Wrong(std::string_view field, const std::string& why) {
  return Fail(Code::kInvalidArgument, "{} {}", field, why);
}

Participation ParticipationOf(const PrivacyPolicy& privacy) {
  Participation participation{privacy.rounds, privacy.separation,
                              privacy.participations > 0 ? privacy.participations : privacy.rounds};
  participation.participations = participation.Most();
  return participation;
}

// Statistics and other values are clipped apart, each to the bound.
double ClipOf(const TaskRecord& task) {
  const auto statistics = StatisticsOf(SharedTensors(task).table());
  return task.first_norm * (statistics.empty() ? 1 : std::sqrt(2));
}

// Every value is rounded by a half at most, and the clip works in float32, which is off by less than 2^-20 of it.
double WholeNormOf(double clip, int fraction_bits, uint64_t values) {
  return std::ceil(std::ldexp(clip, fraction_bits) * (1 + 0x1p-20)) +
         std::ceil(std::sqrt(static_cast<double>(values)) / 2) + 1;
}

// The least deviation that keeps the multiplier, with the 4 that whole numbers cost (MultiplierOf).
double SigmaFor(double multiplier, double sensitivity) {
  return std::sqrt(multiplier * multiplier * sensitivity * sensitivity * (1 + 1e-9) + 6);
}

struct Noise {
  double sensitivity = 0;
  double sigma = 0;
};
Noise NoiseOf(const PrivacyForm& form, double whole_norm, double multiplier) {
  Noise noise;
  noise.sensitivity = whole_norm;
  if (form.blt) noise.sensitivity = RunSensitivity(*form.blt, form.participation, noise.sensitivity, form.values);
  noise.sigma = SigmaFor(multiplier, noise.sensitivity);
  return noise;
}

// All but what the scale decides.
PrivacyForm FormWithoutScale(const TaskRecord& task) {
  const PrivacyPolicy& privacy = task.privacy;
  PrivacyForm form;
  form.participation = ParticipationOf(privacy);
  const bool correlated = privacy.accounting == Accounting::kCorrelated;
  form.terms = {.accounting = privacy.accounting,
                .epsilon = privacy.epsilon,
                .delta = privacy.delta,
                .participations = correlated ? 1 : form.participation.participations};
  if (correlated) form.blt = BestBlt(form.participation);
  form.values = SumSizeOf(task);
  form.denominator = privacy.denominator;
  return form;
}

Status CheckBounds(const TaskRecord& task) {
  if (!(task.first_norm > 0))
    return Wrong("bounds.first_norm",
                 "must be above 0 in a task with [privacy]: the noise hides what is clipped to it");
  if (task.norm_medians != 0) {
    return Wrong("bounds.norm_medians",
                 "must be 0 in a task with [privacy]: a clip that follows the updates tells of them without noise");
  }
  if (task.first_weight != 1)
    return Wrong("bounds.first_weight",
                 "must be 1 in a task with [privacy]: the noise hides an update that counts once");
  if (task.weight_medians != 0) {
    return Wrong("bounds.weight_medians",
                 "must be 0 in a task with [privacy]: every update counts the same, in every round");
  }
  return {};
}

Status CheckBudget(const TaskRecord& task, const RunPrice& price) {
  const PrivacyPolicy& privacy = task.privacy;
  if (privacy.accounting == Accounting::kCorrelated) {
    if (price.epsilon <= privacy.epsilon) return {};
    return Wrong("privacy.noise", fmt::format("costs epsilon {:.4g} for the run, more than privacy.epsilon, {:g}",
                                              price.epsilon, privacy.epsilon));
  }
  const double once = GaussianEpsilon(price.noise, privacy.delta);
  if (once <= privacy.epsilon) return {};
  return Wrong(
      "privacy.noise",
      fmt::format("costs epsilon {:.4g} for a single version, more than privacy.epsilon, {:g}", once, privacy.epsilon));
}

}  // namespace

Status CheckPrivatePolicy(const TaskRecord& task) {
  if (!task.privacy.is_on()) return {};
  if (task.robust.rule != RobustRuleName::kClip) {
    return Wrong("robust.rule",
                 "must be clip in a task with [privacy]: the noise hides one update in a sum, not in what another rule "
                 "makes of them");
  }
  if (task.policy.kind != RoundKind::kSynchronous) {
    return Wrong("policy.kind",
                 "must be synchronous in a task with [privacy]: the noise hides an update that counts once and whole");
  }
  return {};
}

RunPlan RunPlanOf(const TaskRecord& task) {
  const PrivacyPolicy& privacy = task.privacy;
  return {.accounting = privacy.accounting,
          .parameters = SumSizeOf(task),
          .devices = task.policy.report_goal,
          .population = 0,
          .rounds = privacy.rounds,
          .participations = privacy.participations,
          .separation = privacy.separation,
          .noise = privacy.noise,
          .epsilon = privacy.noise > 0 ? 0 : privacy.epsilon,
          .delta = privacy.delta};
}

Status CompletePrivacy(TaskRecord& task) {
  PrivacyPolicy& privacy = task.privacy;
  RETURN_IF_ERROR(CheckFields(FieldsOf(privacy), "privacy"));
  if (!privacy.is_on()) return {};
  if (privacy.accounting == Accounting::kPrivateCoin) {
    return Wrong("privacy.accounting",
                 "private-coin needs a coin that only the device sees. Devices throw one that everybody can compute, "
                 "which hides nobody: use participations, or correlated");
  }
  RETURN_IF_ERROR(CheckBounds(task));
  RETURN_IF_ERROR(CheckPrivatePolicy(task));
  if (privacy.accounting == Accounting::kCorrelated && !BestBlt(ParticipationOf(privacy))) {
    return Wrong("privacy.accounting",
                 "correlated loses more than independent noise in a run of so few rounds: use participations");
  }
  const RunPlan plan = RunPlanOf(task);
  const auto price = PriceOf(plan);
  if (!price) return Wrong("privacy:", price.error().message);
  privacy.noise = price->noise;
  if (privacy.denominator == 0) privacy.denominator = task.policy.report_goal;
  RETURN_IF_ERROR(CheckBudget(task, *price));
  if (privacy.accept_noise) return {};
  const Status use = CheckUse(plan, *price);
  if (use) return {};
  return Wrong("privacy:", use.error().message + ". To make the task all the same, set privacy.accept_noise");
}

Result<FixedPointScale> PrivateScale(TaskRecord task, FixedPointScale headroom) {
  const PrivacyForm form = FormWithoutScale(task);
  const double clip = ClipOf(task);
  for (int bits = headroom.fraction_bits; bits >= 0; --bits) {
    const double sigma = NoiseOf(form, WholeNormOf(clip, bits, form.values), task.privacy.noise).sigma;
    if (sigma > kMostSigma) continue;
    if (sigma >= kLeastSigma) return FixedPointScale{bits};
    return Wrong("bounds.first_norm",
                 fmt::format("is so small beside bounds.value that the noise has a deviation of {:.0f} whole numbers; "
                             "lower bounds.value or policy.report_goal",
                             sigma));
  }
  return Wrong("privacy.noise", "is too large for whole numbers; lower it, bounds.first_norm or privacy.rounds");
}

Result<PrivacyForm> PrivacyFormOf(const TaskRecord& task) {
  PrivacyForm form = FormWithoutScale(task);
  const double whole_norm = WholeNormOf(ClipOf(task), task.scale.fraction_bits, form.values);
  const Noise noise = NoiseOf(form, whole_norm, task.privacy.noise);
  const bool correlated = task.privacy.accounting == Accounting::kCorrelated;
  if (!(noise.sigma >= kLeastSigma && noise.sigma <= kMostSigma) || correlated != form.blt.has_value() ||
      form.denominator == 0 || task.first_norm == 0) {
    return Fail(Code::kCorrupt, "task {}: its [privacy], bounds and {} fraction bits are not of one task",
                task.id.text(), task.scale.fraction_bits);
  }
  form.whole_norm = static_cast<uint64_t>(whole_norm);
  form.sigma_squared = {static_cast<uint64_t>(std::ceil(noise.sigma * noise.sigma)), 1};
  form.multiplier = MultiplierOf(form.sigma_squared, noise.sensitivity);
  return form;
}

}  // namespace tributary
