#include "device/learn/strategies/fine_tuning.h"

#include <algorithm>

namespace tributary {
namespace {

Status Offer(LocalWork& work, const char* name, const TrainingPass& pass, std::vector<PersonalCandidate>& candidates) {
  Values tuned = work.start;
  const auto trained = work.trainer.Train(tuned, pass);
  // The update is good without it.
  if (!trained && trained.error().code == Code::kNotFinite) return {};
  if (!trained) return Fail(trained.error());
  candidates.push_back({name, std::move(tuned)});
  return {};
}

}  // namespace

Status OfferFineTuned(LocalWork& work, std::vector<PersonalCandidate>& candidates) {
  if (!work.compares) return {};
  const TrainingPlan& plan = work.plan;
  const bool head = plan.finetune == FineTuning::kHead || plan.finetune == FineTuning::kBoth;
  const bool all = plan.finetune == FineTuning::kAll || plan.finetune == FineTuning::kBoth;
  const std::vector<bool> trained = work.trainer.trained();
  bool has_head = false;
  for (size_t i = 0; i < trained.size(); ++i) has_head = has_head || (trained[i] && work.roles.head[i]);
  if (head && has_head) {
    RETURN_IF_ERROR(Offer(work, "head",
                          {.trains = work.roles.head,
                           .epochs = plan.finetune_head_epochs,
                           .rate = plan.finetune_head_rate,
                           .order = kHeadOrder,
                           .steady = true},
                          candidates));
  }
  if (all) {
    RETURN_IF_ERROR(Offer(work, "all",
                          {.epochs = plan.finetune_all_epochs, .rate = plan.finetune_all_rate, .order = kAllOrder},
                          candidates));
  }
  return {};
}

std::vector<PersonalCandidate> OwnTensorsOnVersion(const LocalWork& work, const Values& trained) {
  std::vector<PersonalCandidate> candidates;
  if (work.keeps_something()) {
    Values own = work.base();
    const TensorTable& table = work.trainer.tensors();
    for (size_t i = 0; i < table.tensors.size(); ++i) {
      const auto begin = static_cast<ptrdiff_t>(table.tensors[i].offset);
      const auto size = static_cast<ptrdiff_t>(table.tensors[i].size);
      if (work.roles.personal[i]) std::copy_n(trained.begin() + begin, size, own.begin() + begin);
    }
    candidates.push_back({"kept", std::move(own)});
  }
  candidates.push_back({"fit", trained});
  return candidates;
}

}  // namespace tributary
