#include "aggregator/round/reach.h"

#include <algorithm>

#include "aggregator/round/ask_again.h"

namespace tributary {
namespace {

constexpr Millis kLookEvery{2'000};
constexpr int kChance = 10;  // the part of a round's time in which earlier failures do not count, nor a lack of data
// In a short round a lack of data does not count for longer: a device looks every 15 s whether an import came, and says
// so within 10.
constexpr Millis kImportIsHeardOf{30'000};

Millis ChanceOf(const RoundRecord& round) {
  return Millis((round.deadline.unix_millis - round.opened.unix_millis) / kChance);
}

}  // namespace

OutlookQuestion Reach::QuestionOf(const RoundRecord& round, const RoundKeeper* open, bool young) const {
  const TaskId& task = task_.record.id;
  OutlookQuestion question{
      .task = task, .base = round.base, .selected = [](const DeviceId&) { return true; }, .in_sum = {}, .since = {}};
  question.in_sum = [this, open, &task, base = round.base](const DeviceId& device) -> Result<bool> {
    if (open != nullptr && open->PendingUpload(open->record().base, device) != nullptr) return true;
    return parts_.store.contributions.Has(task, base, device);
  };
  question.is_barred = [privacy = parts_.privacy](const DeviceId& device) -> Result<bool> {
    if (privacy == nullptr) return false;
    const Status may = privacy->CheckMayTakePart(device);
    if (!may && may.error().code != Code::kQuotaExceeded) return Fail(may.error());
    return !may;
  };
  if (open == nullptr) return question;
  question.selected = [coin = CoinOf(round, task_.record.policy)](const DeviceId& device) {
    return IsSelected(coin, device);
  };
  if (young) question.since = round.opened;
  question.await_data = parts_.clock.Now() < round.opened + std::max(ChanceOf(round), kImportIsHeardOf);
  return question;
}

Result<std::optional<std::string>> Reach::WhyOut(const RoundRecord& round, const RoundKeeper* open) {
  if (survey_ && (number_ != round.number || base_ != round.base)) survey_.reset();
  if (!survey_) {
    const Millis now = parts_.clock.Monotonic();
    if (last_look_ && now - *last_look_ < kLookEvery) return std::nullopt;
    last_look_ = now;
    ASSIGN_OR_RETURN(const bool barred, parts_.privacy != nullptr ? parts_.privacy->AnyBarred() : Result<bool>(false));
    if (!barred && parts_.fleet.failures().Counts(task_.record.id, round.base).empty()) return "";
    survey_.emplace();
    number_ = round.number;
    base_ = round.base;
  }
  const bool young = open != nullptr && parts_.clock.Now() < round.opened + ChanceOf(round);
  ASSIGN_OR_RETURN(const bool over, survey_->Continue(QuestionOf(round, open, young), parts_.fleet, parts_.enrolled));
  if (!over) return std::nullopt;
  Outlook outlook = survey_->outlook();
  survey_.reset();
  if (young && !outlook.settled) return "";
  outlook.contributed = round.contributions;
  return rule_.WhyOutOfReach(round, outlook);
}

}  // namespace tributary
