#include "device/learn/strategies/strategy.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "device/learn/strategies/apfl.h"
#include "device/learn/strategies/ditto.h"
#include "device/learn/strategies/fedavg.h"
#include "device/learn/strategies/fedbn.h"
#include "device/learn/strategies/fedper.h"
#include "device/learn/strategies/fedprox.h"
#include "device/learn/strategies/fedrep.h"

namespace tributary {
namespace {

std::string NameOf(StrategyName name) {
  TrainingPlan plan{.strategy = name};
  for (const Field& field : FieldsOf(plan)) {
    if (field.name == "strategy") return std::get<std::string>(field.Value());
  }
  return "";
}

// A tensor's values.
std::span<const float> PartOf(const Values& values, const TensorEntry& tensor) {
  return std::span(values).subspan(tensor.offset, tensor.size);
}
bool SameBits(std::span<const float> one, std::span<const float> other) {
  return std::memcmp(one.data(), other.data(), one.size_bytes()) == 0;
}

// Values with those of the personal model's tensors that `wanted` takes.
Values WithTensors(Values values, const TensorTable& table, const PersonalModel* from, auto wanted) {
  if (!from) return values;
  for (size_t i = 0; i < table.tensors.size(); ++i) {
    const TensorEntry& entry = table.tensors[i];
    for (const PersonalTensor& tensor : from->tensors) {
      if (tensor.name == entry.name && tensor.shape == entry.shape && wanted(tensor, i))
        std::ranges::copy(tensor.values, values.begin() + static_cast<ptrdiff_t>(entry.offset));
    }
  }
  return values;
}

// `kept`: what the strategy begins with; null: with nothing.
Result<LocalWork> WorkFor(Trainer& trainer, const LearnOrder& order, const PersonalModel* kept) {
  const TrainingPlan& plan = order.task.plan;
  ASSIGN_OR_RETURN(TensorRoles roles, RolesOf(trainer.tensors(), order.task, trainer.trained()));
  LocalWork work{trainer, plan, std::move(roles), {}, {}, plan.apfl_alpha, false};
  // Another strategy's state means nothing to this one.
  const PersonalModel* before = kept && kept->strategy == NameOf(plan.strategy) ? kept : nullptr;
  work.start = WithTensors(trainer.base(), trainer.tensors(), before, [&](const PersonalTensor& tensor, size_t i) {
    return tensor.in_state && work.roles.personal[i];
  });
  work.kept = WithTensors(work.start, trainer.tensors(), before,
                          [](const PersonalTensor& tensor, size_t) { return tensor.in_state; });
  if (before && plan.apfl_adapts) work.alpha = before->alpha;
  return work;
}

struct Chosen {
  const PersonalCandidate* best = nullptr;  // nullptr: the version itself
  std::vector<EvaluationResult> evaluations;
};

Result<Chosen> Choose(LocalWork& work, const StrategyOutcome& outcome, const std::optional<EvaluationResult>& global) {
  Chosen chosen;
  if (!global) {
    if (work.keeps_something() && !outcome.candidates.empty()) chosen.best = &outcome.candidates.front();
    return chosen;
  }
  struct Measured {
    const PersonalCandidate* candidate;
    EvaluationResult result;
  };
  std::vector<Measured> all;  // the preferred one first
  for (const PersonalCandidate& candidate : outcome.candidates) {
    auto measured = work.trainer.Measure(candidate.values);
    // The update is good without it.
    if (!measured && measured.error().code == Code::kNotFinite) continue;
    if (!measured) return Fail(measured.error());
    if (*measured) all.push_back({&candidate, std::move(**measured)});
  }
  all.insert(outcome.prefers_first && !all.empty() ? all.begin() + 1 : all.begin(), {nullptr, *global});
  const Measured* use = &all.front();
  for (const Measured& other : all) {
    if (IsClearlyBetter(other.result.metrics, all.front().result.metrics) &&
        (use == &all.front() || IsBetter(other.result.metrics, use->result.metrics)))
      use = &other;
  }
  chosen.best = use->candidate;
  EvaluationResult best = use->result;
  best.model = EvaluatedModel::kPersonal;
  chosen.evaluations = {*global, std::move(best)};
  return chosen;
}

double Decisive(const TaskMetrics& metrics) {
  const auto found = metrics.contains("accuracy") ? metrics.find("accuracy") : metrics.find("loss");
  return found != metrics.end() && found->second.weight > 0 ? found->second.mean() : 0;
}

void KeepTensors(const LocalWork& work, const StrategyOutcome& outcome, const Chosen& chosen, PersonalModel& to) {
  const TensorTable& table = work.trainer.tensors();
  for (size_t i = 0; i < table.tensors.size(); ++i) {
    const TensorEntry& entry = table.tensors[i];
    const auto put = [&](std::span<const float> values, bool in_model, bool in_state) {
      to.tensors.push_back({entry.name, entry.shape, in_model, in_state, {values.begin(), values.end()}});
    };
    const bool in_state = !outcome.state.empty() || work.roles.personal[i];
    const auto state = PartOf(outcome.state.empty() ? outcome.trained : outcome.state, entry);
    const auto model = chosen.best ? PartOf(chosen.best->values, entry) : PartOf(work.base(), entry);
    const bool in_model = chosen.best && !SameBits(model, PartOf(work.base(), entry));
    if (in_state && in_model && SameBits(model, state)) {
      put(model, true, true);
      continue;
    }
    if (in_model) put(model, true, false);
    if (in_state) put(state, false, true);
  }
}

PersonalModel MakePersonal(const LocalWork& work, const LearnOrder& order, const StrategyOutcome& outcome,
                           const Chosen& chosen) {
  PersonalModel personal;
  personal.task = order.task.id;
  personal.base = order.task.latest;
  personal.strategy = NameOf(order.task.plan.strategy);
  if (chosen.best) personal.choice = chosen.best->name;
  personal.alpha = outcome.alpha;
  if (!chosen.evaluations.empty()) {
    personal.examples = chosen.evaluations.front().examples;
    personal.global = chosen.evaluations.front().metrics;
    personal.personal = chosen.evaluations.back().metrics;
  }
  if (const PersonalModel* before = order.personal) {
    personal.lineage = before->lineage;
    personal.lineage.push_back({before->base, before->choice, Decisive(before->global), Decisive(before->personal)});
    if (personal.lineage.size() > PersonalModel::kAncestors) personal.lineage.erase(personal.lineage.begin());
  }
  KeepTensors(work, outcome, chosen, personal);
  return personal;
}

Result<Learned> LearnFrom(Trainer& trainer, const LearnOrder& order, const PersonalModel* kept) {
  ASSIGN_OR_RETURN(LocalWork work, WorkFor(trainer, order, kept));
  ASSIGN_OR_RETURN(const auto global, trainer.Measure(work.base()));
  work.compares = global.has_value();
  ASSIGN_OR_RETURN(const StrategyOutcome outcome, StrategyOf(order.task.plan.strategy)(work));
  ASSIGN_OR_RETURN(Chosen chosen, Choose(work, outcome, global));
  Learned learned;
  learned.personal = MakePersonal(work, order, outcome, chosen);
  learned.evaluations = std::move(chosen.evaluations);
  const TensorTable& table = order.task.table;
  learned.delta.assign(table.parameter_count(), 0);
  // The task's table is the beginning of the trainer's.
  for (size_t i = 0; i < table.tensors.size(); ++i) {
    if (work.roles.personal[i]) continue;
    const auto [name, shape, offset, size] = table.tensors[i];
    for (uint64_t at = offset; at < offset + size; ++at) learned.delta[at] = outcome.trained[at] - work.base()[at];
  }
  learned.meta = outcome.meta;
  learned.meta.parameter_count = learned.delta.size();
  return learned;
}

}  // namespace

bool LocalWork::keeps_something() const { return std::ranges::find(roles.personal, true) != roles.personal.end(); }

bool LocalWork::trains_something_personal() const {
  const std::vector<bool> trained = trainer.trained();
  for (size_t i = 0; i < trained.size(); ++i) {
    if (trained[i] && roles.personal[i]) return true;
  }
  return false;
}

Strategy StrategyOf(StrategyName name) {
  switch (name) {
    case StrategyName::kFedAvg:
      return LearnFedAvg;
    case StrategyName::kFedProx:
      return LearnFedProx;
    case StrategyName::kFedPer:
      return LearnFedPer;
    case StrategyName::kFedRep:
      return LearnFedRep;
    case StrategyName::kFedBn:
      return LearnFedBn;
    case StrategyName::kDitto:
      return LearnDitto;
    case StrategyName::kApfl:
      return LearnApfl;
  }
  return LearnFedAvg;
}

Values ValuesOf(const Trainer& trainer, const PersonalModel& personal) {
  return WithTensors(trainer.base(), trainer.tensors(), &personal,
                     [](const PersonalTensor& tensor, size_t) { return tensor.in_model; });
}

Result<Learned> LearnBy(Trainer& trainer, const LearnOrder& order) {
  auto learned = LearnFrom(trainer, order, order.personal);
  // Nothing finite came of what the strategy kept, and nothing would at any later version.
  if (!learned && learned.error().code == Code::kNotFinite && order.personal) return LearnFrom(trainer, order, nullptr);
  return learned;
}

}  // namespace tributary
