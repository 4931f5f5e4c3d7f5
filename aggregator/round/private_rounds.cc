#include "aggregator/round/private_rounds.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace tributary {

PrivateRounds::PrivateRounds(const TaskPrivacy::Surroundings& around, const TaskRecord& task)
    : store_(around.store), task_(task) {
  if (task.privacy.is_on()) privacy_.emplace(around, task);
}

Status PrivateRounds::Restore(StoredRound& round) {
  if (!privacy_) return {};
  ASSIGN_OR_RETURN(round.draw, privacy_->Restore(round.record.number));
  if (!round.checkpoint.empty()) privacy_->Settled(round.draw);
  // A round that is being closed may have been paid before a crash. Its sum is the same.
  forgotten_ = round.record.state != RoundState::kClosing && privacy_->WasPaid(round.draw);
  return {};
}

Status PrivateRounds::GiveUp(StoredRound round, const Error& why, WallTime now) {
  if (!privacy_ || !round.checkpoint.empty()) return Fail(why);
  LogFailure(LogLevel::kError, "round.noise_is_gone", why, {{"round", round.record.number}});
  MoveRound(round.record, RoundState::kFailed);
  round.record.closed = now;
  round.record.shortfall = why.message;
  ASSIGN_OR_RETURN(Transaction transaction, store_.Begin());
  RETURN_IF_ERROR(store_.rounds.Save(round));
  RETURN_IF_ERROR(transaction.Commit());
  privacy_->Ended();
  return {};
}

Result<std::string> PrivateRounds::Turn() {
  if (privacy_) privacy_->DrawAhead();
  if (!forgotten_) return "";
  RETURN_IF_ERROR(privacy_->PayForgotten());
  return "the ledger says that a version was made of the present sum, and the database does not know it: it was "
         "restored "
         "from a backup. The sum is given up, since nothing may be seen twice under one noise";
}

Result<NoiseDraw> PrivateRounds::Plan(RoundTurn& turn) {
  if (!privacy_) return NoiseDraw{};
  const Status may = privacy_->MayOpen(turn.shelved ? &turn.shelved->draw : nullptr);
  if (!may && IsTransient(may.error().code)) return Fail(may.error());
  if (may) return turn.shelved ? Result<NoiseDraw>(turn.shelved->draw) : privacy_->Next();
  LogWarning("rounds.stopped", {{"task", task_.id.text()}, {"why", may.error().message}});
  turn.stopped = may.error().message;
  turn.task.rounds_wanted = 0;
  return NoiseDraw{};
}

Result<std::string> PrivateRounds::WhyNoVersion(const StoredRound& round, std::string why) {
  if (!why.empty() || !privacy_) return why;
  const Status may = privacy_->MayPay(round.draw);
  if (!may && IsTransient(may.error().code)) return Fail(may.error());
  return may ? "" : may.error().message;
}

Result<uint64_t> PrivateRounds::WholeNorm() {
  if (!privacy_) return uint64_t{0};
  return privacy_->WholeNorm();
}

Result<std::optional<SpentPrivacy>> PrivateRounds::Pay(const StoredRound& round) {
  if (!privacy_) return std::nullopt;
  ASSIGN_OR_RETURN(const SpentPrivacy spent, privacy_->Pay(round.draw));
  return spent;
}

std::optional<SpentPrivacy> PrivateRounds::Present() {
  if (!privacy_) return std::nullopt;
  const auto spent = privacy_->Present();
  return spent ? std::optional(*spent) : std::nullopt;
}

Status PrivateRounds::PayLost(uint64_t floor, ModelVersion latest) {
  if (!privacy_) return {};
  const Status paid = privacy_->PayLost(floor, std::max<uint64_t>(floor - Number(latest), 1));
  if (paid || IsTransient(paid.error().code)) return paid;
  LogFailure(LogLevel::kError, "privacy.lost_not_paid", paid.error());  // no round opens
  return {};
}

void PrivateRounds::Written(const std::optional<StoredRound>& next, bool has_sum) {
  if (!privacy_) return;
  if (next) {
    privacy_->Took(next->draw);
  } else if (!has_sum) {
    privacy_->Ended();
  }
}

void PrivateRounds::Settled(const StoredRound& round) const {
  if (privacy_) privacy_->Settled(round.draw);
}

}  // namespace tributary
