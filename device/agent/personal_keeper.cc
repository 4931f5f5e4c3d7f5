#include "device/agent/personal_keeper.h"

#include <utility>

#include "protocol/base/log.h"

namespace tributary {
namespace {

void LogUnkept(const TaskId& task, const Error& why) {
  LogFailure(LogLevel::kError, "personal.not_kept", why, {{"task", task.text()}});
}

}  // namespace

PersonalModel Rebased(PersonalModel model, ModelVersion version, const std::vector<EvaluationResult>& measured) {
  const auto decisive = [](const TaskMetrics& metrics) {
    const auto found = metrics.contains("accuracy") ? metrics.find("accuracy") : metrics.find("loss");
    return found == metrics.end() || found->second.weight == 0 ? 0 : found->second.mean();
  };
  model.lineage.push_back({model.base, model.choice, decisive(model.global), decisive(model.personal)});
  if (model.lineage.size() > PersonalModel::kAncestors) model.lineage.erase(model.lineage.begin());
  model.base = version;
  model.examples = measured.empty() ? 0 : measured.front().examples;
  model.global = measured.empty() ? TaskMetrics() : measured.front().metrics;
  model.personal = measured.empty() ? TaskMetrics() : measured.back().metrics;
  if (measured.empty() || !IsClearlyBetter(model.global, model.personal)) return model;
  model.choice = "global";
  model.personal = model.global;
  for (PersonalTensor& tensor : model.tensors) tensor.in_model = false;
  std::erase_if(model.tensors, [](const PersonalTensor& tensor) { return !tensor.in_state; });
  return model;
}

// It may outlive the keeper: blobs and store are its own.
struct PersonalKeeper::Job {
  PublishedTask task;
  DeviceId device;
  BlobStore blobs;
  PersonalStore store;
  Learner& learner;
  ExampleSource& examples;
  std::stop_token end;
  std::function<bool()> may_train;

  // The model on the task's version; nullopt: the examples that it was made from are deleted, and it goes with them.
  Result<std::optional<PersonalModel>> Do() const {
    if (end.stop_requested() || !may_train()) return Fail(Code::kShuttingDown, "not now");
    ASSIGN_OR_RETURN(auto model, store.Load(task.id));
    ASSIGN_OR_RETURN(const uint64_t generation, examples.Generation(task.manifest));
    if (!model || model->generation != generation) return std::nullopt;
    RETURN_IF_ERROR(CheckPersonalModel(*model, task.table));
    ASSIGN_OR_RETURN(const TaskExamples own, examples.Load(task.manifest));
    std::vector<EvaluationResult> measured;
    if (own.held_out.size() > 0 && !model->uses_global()) {
      ASSIGN_OR_RETURN(const Bytes module, blobs.ReadAll(task.module.digest));
      ASSIGN_OR_RETURN(const Bytes weight_bytes, blobs.ReadAll(task.weights.digest));
      ASSIGN_OR_RETURN(const auto weights, ToFloats(weight_bytes, task.table.parameter_count()));
      const LearnHooks hooks{.cancelled = [this] { return end.stop_requested() || !may_train(); }};
      ASSIGN_OR_RETURN(measured, learner.Evaluate({task, device, module, weights, &*model}, own, hooks));
    }
    return std::optional(Rebased(std::move(*model), task.latest, measured));
  }
};

PersonalKeeper::~PersonalKeeper() {
  *alive_ = false;
  end_.request_stop();
}

std::map<TaskId, ModelVersion>* PersonalKeeper::Known() {
  if (known_) return &*known_;
  auto bases = parts_.store.Bases();
  if (!bases) {
    LogFailure(LogLevel::kError, "personal.not_read", bases.error());
    return nullptr;
  }
  known_ = std::move(*bases);
  return &*known_;
}

bool PersonalKeeper::keeps_any() {
  const auto* known = Known();
  return !known || !known->empty();
}

void PersonalKeeper::OnHandedOver(const TaskId& task, ModelVersion version) {
  known_.reset();
  if (const Status adopted = parts_.store.Adopt(task, version); !adopted) LogUnkept(task, adopted.error());
}

void PersonalKeeper::Settle(const TaskId& task, std::optional<ModelVersion> handed_over) {
  // Version 0 is nobody's: everything that was prepared goes.
  OnHandedOver(task, handed_over.value_or(ModelVersion{0}));
}

Status PersonalKeeper::Erase(const TaskId& task) {
  known_.reset();
  ++erased_;
  return parts_.store.Erase(task);
}

bool PersonalKeeper::RebaseNext(const Publication& publication, std::function<void(bool may)> done) {
  const auto* known = Known();
  if (busy_ || !known) return false;
  for (const PublishedTask& task : publication.tasks) {
    const auto found = known->find(task.id);
    const bool apart = found != known->end() && found->second != task.latest;
    const auto failed = failed_.find(task.id);
    if (!apart || (failed != failed_.end() && failed->second == task.latest)) continue;
    busy_ = true;
    auto job = std::make_shared<const Job>(Job{task, parts_.device, parts_.blobs, parts_.store, parts_.learner,
                                               parts_.examples, end_.get_token(), parts_.may_train});
    parts_.work.Post([this, job, alive = alive_, &loop = parts_.loop, erased = erased_, done = std::move(done)] {
      loop.Post([this, job, alive, done, erased, rebased = job->Do()] {
        if (!*alive) return;
        busy_ = false;
        const bool may = rebased || rebased.error().code != Code::kShuttingDown;
        if (may && erased == erased_) OnRebased(job->task, rebased);
        done(may);
      });
    });
    return true;
  }
  return false;
}

void PersonalKeeper::OnRebased(const PublishedTask& task, const Result<std::optional<PersonalModel>>& rebased) {
  known_.reset();
  Status kept = rebased ? Status() : Fail(rebased.error());
  if (rebased) kept = *rebased ? parts_.store.Replace(**rebased) : parts_.store.Erase(task.id);
  if (!kept) {
    failed_[task.id] = task.latest;
    return LogUnkept(task.id, kept.error());
  }
  if (!*rebased) return;
  LogInfo("personal.rebased", {{"task", task.id.text()},
                               {"version", Number((*rebased)->base)},
                               {"uses", (*rebased)->choice},
                               {"version_score", ScoreText((*rebased)->global)},
                               {"own_score", ScoreText((*rebased)->personal)}});
}

}  // namespace tributary
