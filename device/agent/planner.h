#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "device/agent/agent_state.h"
#include "protocol/base/clock.h"
#include "protocol/catalogue/publication_store.h"
#include "protocol/envelope/envelope.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// One piece of work for the workshop.
struct WorkOrder {
  PublishedTask task;
  TaskProgress progress;  // kWorking, with the version and the round that it is for
  UploadKind kind;        // kUpdate: fit and evaluate; kEvaluation: evaluate only
};

// The tasks for which the device lacks the data: it looks again when the data have changed, or for the next version. And those
// that rest. Value type.
class DataWaits {
 public:
  // `until` and `now` are monotonic; until then it waits whatever changes. `stamp`: that of the examples (ExampleSource).
  void Add(const TaskId& task, ModelVersion version, Millis until, std::string stamp) {
    waits_[task] = {version, until, std::move(stamp)};
  }
  void Rest(const TaskId& task, ModelVersion version, Millis until) { waits_[task] = {version, until, std::nullopt}; }
  void End(const TaskId& task) { waits_.erase(task); }
  std::set<TaskId> At(const Publication& publication, Millis now, const std::string& stamp) const;
  // Also when the wait is over.
  bool Contains(const TaskId& task, ModelVersion version) const;
  bool empty() const { return waits_.empty(); }

 private:
  struct Wait {
    ModelVersion version{};
    Millis until{0};
    std::optional<std::string> stamp;  // nullopt: it rests
  };
  std::map<TaskId, Wait> waits_;
};

// Decides what a device does next, from what is published and what it has done. Changes nothing and reads no clock, disk
// or network: the same arguments give the same answer. The subject is borrowed, because a renewed certificate may change
// it.
class Planner {
 public:
  explicit Planner(const Subject& self) : self_(self) {}

  // Evaluators evaluate every version, all others fit the versions for which a round selects them.
  UploadKind work_kind() const {
    return self_.role == Role::kEvaluator ? UploadKind::kEvaluation : UploadKind::kUpdate;
  }
  // The first task of the publication that needs work, but for those that wait; nullopt: nothing is to be done now.
  std::optional<WorkOrder> Next(const Publication& publication, const AgentState& state,
                                const std::set<TaskId>& waiting) const;
  // Where the device lacked the data and no round is open for it: it looks whether they have come, so that the aggregator,
  // which may wait for that, hears of it. nullopt: there is nothing to look for.
  std::optional<WorkOrder> NextLook(const Publication& publication, const AgentState& state,
                                    const std::set<TaskId>& waiting) const;
  // False: the publication takes no update of that version any more. An evaluation stays of use.
  static bool StillWanted(const WorkOrder& order, const Publication& publication);
  // The progress of a task when uploads of `version` that were handed over are lost; nullopt: it stays as it is.
  std::optional<TaskProgress> AfterLoss(const TaskProgress& now, ModelVersion version, UploadKind lost) const;

 private:
  std::optional<TaskProgress> WorkFor(const PublishedTask& task, const TaskProgress& now) const;

  const Subject& self_;
};

// A lack that shows without a fit.
bool IsFoundWithoutAFit(Code code);

// Whether what is sealed to the key will be opened, as far as the publication tells at `now`.
bool Opens(const Publication& publication, const KeyId& key, WallTime now);
// Until the next of the aggregator's former keys is over; nullopt: no key ends.
std::optional<Millis> UntilNextKeyEnd(const Publication& publication, WallTime now);

// Why nothing is installed now, in one sentence; empty: nothing stands in the way. `rejected`: why the newest
// publication that was offered is not believed, or nullptr.
std::string WhyWithheld(const PublicationStore& publications, const Error* rejected, WallTime now);

}  // namespace tributary
