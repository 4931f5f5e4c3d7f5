#include "device/agent/erasure_watch.h"

#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kLook{5'000};

}  // namespace

ErasureWatch::~ErasureWatch() {
  *alive_ = false;
  Stop();
}

void ErasureWatch::Start() { LookNowAndThen(); }

void ErasureWatch::LookNowAndThen() {
  const SpoolAccount account = parts_.outbox.account();
  const bool others = !parts_.residuals.empty() || (hooks_.keeps() && parts_.examples.Stamp() != stamp_);
  if (!settled_ || others || account.bytes + account.dead_bytes > 0) Look([](bool) {});
  timer_ = parts_.loop.After(kLook, [this] { LookNowAndThen(); });
}

void ErasureWatch::Look(Then then) {
  waiting_.push_back(std::move(then));
  if (!looking_) Ask();
}

void ErasureWatch::Ask() {
  looking_ = true;
  stamp_ = parts_.examples.Stamp();
  asking_ = std::exchange(waiting_, {});
  const auto& publication = hooks_.publication();
  if (!publication) return End(false);
  std::vector<std::pair<TaskId, TaskManifest>> tasks;
  for (const PublishedTask& task : publication->tasks) tasks.emplace_back(task.id, task.manifest);
  parts_.disk.Post([this, alive = alive_, &loop = parts_.loop, &examples = parts_.examples,
                    residuals = parts_.residuals, tasks = std::move(tasks)] {
    Result<Generations> answer = Generations();
    for (const auto& [task, manifest] : tasks) {
      const auto generation = examples.Generation(manifest);
      if (!generation) {
        answer = Fail(generation.error());
        break;
      }
      answer->emplace_back(task, *generation);
    }
    if (const Status swept = answer ? residuals.Sweep(*answer) : Status(); !swept)
      LogFailure(LogLevel::kError, "agent.residual_not_erased", swept.error());
    loop.Post([this, alive, answer = std::move(answer)] {
      if (*alive) OnAnswer(answer);
    });
  });
}

void ErasureWatch::OnAnswer(const Result<Generations>& answer) {
  if (!answer) {
    LogFailure(LogLevel::kError, "erasures.not_looked", answer.error());
    return End(false);
  }
  Generations changed = *answer;
  std::erase_if(changed, [&](const auto& one) { return parts_.state.GenerationOf(one.first) == one.second; });
  if (changed.empty()) {
    parts_.outbox.LetWorkGo(true);
    return End(true);
  }
  parts_.outbox.LetWorkGo(false);
  // Half of it may be in the outbox, and the rest would follow: it is dropped when that has ended.
  if (std::erase_if(changed, [&](const auto& one) { return one.first == handing_over_; }) > 0) overtaken_ = true;
  dropping_ = true;
  DropNext(std::move(changed));
}

void ErasureWatch::DropNext(Generations changed) {
  if (changed.empty()) {
    if (!overtaken_) parts_.outbox.LetWorkGo(true);
    return End(!overtaken_);
  }
  const auto [task, generation] = changed.back();
  changed.pop_back();
  parts_.outbox.DropErased(task, hooks_.losing, [this, task, generation, changed](bool dropped) {
    if (!dropped) return End(false);
    if (const Status erased = hooks_.erase(task); !erased) {
      LogFailure(LogLevel::kError, "personal.not_erased", erased.error(), {{"task", task.text()}});
      return End(false);
    }
    if (const Status noted = parts_.state.SetGeneration(task, generation); !noted) {
      LogFailure(LogLevel::kError, "agent.state_not_kept", noted.error(), {{"task", task.text()}});
      return End(false);
    }
    DropNext(changed);
  });
}

void ErasureWatch::End(bool agrees) {
  settled_ = agrees;
  looking_ = false;
  if (std::exchange(dropping_, false)) hooks_.dropped();
  for (const Then& then : std::exchange(asking_, {})) then(agrees);
  if (!waiting_.empty() && !looking_) Ask();
}

void ErasureWatch::BeginHandOver(const TaskId& task, uint64_t generation, Then then) {
  Look([this, task, generation, then = std::move(then)](bool agrees) {
    const bool may = agrees && parts_.state.GenerationOf(task) == generation;
    if (may) handing_over_ = task;
    then(may);
  });
}

void ErasureWatch::HandOverEnded() {
  handing_over_.reset();
  if (std::exchange(overtaken_, false)) Look([](bool) {});
}

}  // namespace tributary
