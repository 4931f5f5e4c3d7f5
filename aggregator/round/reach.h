#pragma once

#include <optional>
#include <string>

#include "aggregator/release/task_book.h"
#include "aggregator/round/outlook.h"
#include "aggregator/round/round_keeper.h"
#include "aggregator/round/round_rule.h"

namespace tributary {

// Whether a task's round can still get to its minimum, as far as the devices have said. Three things count only after a
// tenth of a round's time: a failure that was said before the round was opened, since the device may have got what it
// lacked; a lack of examples, since somebody may import them (it counts after 30 s at the earliest); and any failure
// while there may be devices of which nobody has heard (outlook.h). Borrows what Parts names and the rest; the core
// thread.
class Reach {
 public:
  struct Parts {
    Store& store;
    const Clock& clock;
    FleetBook& fleet;
    FindEnrolled enrolled;
    TaskPrivacy* privacy = nullptr;  // of a private task
  };
  Reach(Parts parts, const LiveTask& task, const RoundRule& rule)
      : parts_(std::move(parts)), task_(task), rule_(rule) {}

  // Why this round cannot; empty: it can; nullopt: it is not time to look, or not everybody was looked at yet. Takes
  // one turn of a survey at most. `round`: the open one, whose keeper `open` is; or, with null, what the next would go
  // on with.
  Result<std::optional<std::string>> WhyOut(const RoundRecord& round, const RoundKeeper* open);

 private:
  OutlookQuestion QuestionOf(const RoundRecord& round, const RoundKeeper* open, bool young) const;

  Parts parts_;
  const LiveTask& task_;
  const RoundRule& rule_;
  std::optional<Millis> last_look_;  // monotonic: when the devices were last begun to be looked at
  std::optional<Survey> survey_;     // under way, for …
  uint64_t number_ = 0;              // … this round …
  ModelVersion base_{};              // … on this version
};

}  // namespace tributary
