#include "device/agent/device_event.h"

#include <algorithm>
#include <utility>

namespace tributary {
namespace {

// An outbox holds a few; those that it dropped are forgotten here so.
constexpr size_t kMostExpected = 256;
constexpr Millis kBetweenQuestions{250};

}  // namespace

std::string_view DeviceEventName(DeviceEventKind kind) {
  constexpr std::string_view kNames[] = {
      "",        "connected",     "disconnected", "version-arrived", "training-started",
      "trained", "model-changed", "delivered",    "waiting",         "failed"};
  return kNames[static_cast<size_t>(kind)];
}

void DeviceEvents::Tell(DeviceEvent event) {
  if (!listener_) return;
  parts_.loop.Post([listener = listener_, event = std::move(event)] { listener(event); });
}

void DeviceEvents::TellWaiting(const TaskId& task, ModelVersion version, std::optional<Code> code,
                               const std::string& why) {
  std::string& told = waiting_[task];
  if (told == why) return;
  told = why;
  Tell({DeviceEventKind::kWaiting, task, version, code, why});
}

void DeviceEvents::TellTraining(const TaskId& task, ModelVersion version) {
  waiting_.erase(task);
  waiting_.erase(TaskId());
  Tell({.kind = DeviceEventKind::kTrainingStarted, .task = task, .version = version});
}

void DeviceEvents::OnDown() {
  DeviceEvent event{.kind = DeviceEventKind::kDisconnected};
  if (client_) {
    event.code = client_->last_problem().code;
    event.text = client_->last_problem().message;
  }
  Tell(std::move(event));
}

void DeviceEvents::OnPublication(const Publication& publication, bool arrived) {
  if (!listener_) return;
  for (const PublishedTask& task : publication.tasks) {
    const auto before = std::ranges::find(tasks_, task.id, &PublishedTask::id);
    if (arrived && (before == tasks_.end() || before->latest != task.latest))
      Tell({.kind = DeviceEventKind::kVersionArrived, .task = task.id, .version = task.latest});
  }
  tasks_ = publication.tasks;
  LookAtModels();
}

void DeviceEvents::LookAtModels() {
  if (!listener_) return;
  look_again_ = looking_;
  if (std::exchange(looking_, true)) return;
  parts_.disk.Post([this, store = parts_.personal, tasks = tasks_, &loop = parts_.loop, alive = alive_] {
    std::map<TaskId, InUse> now;
    for (const PublishedTask& task : tasks) {
      const auto personal = PersonalInUse(store, task);
      now[task.id] = {task.latest, personal && *personal};
    }
    loop.Post([this, alive, now = std::move(now)] {
      if (*alive) OnLooked(now);
    });
  });
}

void DeviceEvents::OnLooked(const std::map<TaskId, InUse>& now) {
  looking_ = false;
  for (const auto& [task, in_use] : now) {
    const auto [told, first] = in_use_.try_emplace(task);
    if (!first && told->second == in_use) continue;
    told->second = in_use;
    Tell({.kind = DeviceEventKind::kModelChanged,
          .task = task,
          .version = in_use.version,
          .text = in_use.personal ? "personal" : "global"});
  }
  if (look_again_) LookAtModels();
}

void DeviceEvents::Expect(const UploadId& upload, UploadKind kind, const TaskId& task, ModelVersion version) {
  if (!listener_ || kind == UploadKind::kDeviceState) return;
  if (expected_.size() == kMostExpected) expected_.clear();
  expected_[upload] = {.kind = DeviceEventKind::kDelivered,
                       .task = task,
                       .version = version,
                       .text = kind == UploadKind::kEvaluation ? "evaluation" : "update"};
}

void DeviceEvents::OnGone(const UploadId& upload, bool delivered) {
  auto expected = expected_.extract(upload);
  if (expected && delivered) Tell(std::move(expected.mapped()));
}

std::function<bool()> AskedNowAndThen(std::function<bool()> may_train, const Clock& clock) {
  if (!may_train) return [] { return true; };
  return [may_train = std::move(may_train), &clock, asked = std::optional<Millis>(), may = true]() mutable {
    const Millis now = clock.Monotonic();
    if (asked && now - *asked < kBetweenQuestions) return may;
    asked = now;
    return may = may_train();
  };
}

Result<std::optional<PersonalModel>> PersonalInUse(const PersonalStore& store, const PublishedTask& task) {
  ASSIGN_OR_RETURN(const auto bases, store.Bases());
  const auto base = bases.find(task.id);
  if (base == bases.end()) return std::nullopt;
  auto model = store.Read(task.id, base->second);
  // It may go while this looks. A damaged one is the agent's to set aside.
  if (!model && (model.error().code == Code::kNotFound || model.error().code == Code::kCorrupt)) return std::nullopt;
  if (!model) return Fail(model.error());
  if (model->uses_global() || !CheckPersonalModel(*model, task.table)) return std::nullopt;
  return std::optional(std::move(*model));
}

}  // namespace tributary
