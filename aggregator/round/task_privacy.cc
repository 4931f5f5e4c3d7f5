#include "aggregator/round/task_privacy.h"

#include <algorithm>

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr uint64_t kVersionsShown = 1'000;

}  // namespace

Ledger::Surroundings TaskPrivacy::AroundLedger() const {
  return {around_.files, around_.folder / (task_.id.text() + ".ledger"), around_.clock};
}

Status TaskPrivacy::Begin() {
  if (parts_) return {};
  RETURN_IF_ERROR(around_.files.CreateFolders(around_.folder));
  ASSIGN_OR_RETURN(const PrivacyForm form, PrivacyFormOf(task_));
  ASSIGN_OR_RETURN(const PrivacyTable::Drawn last, around_.store.privacy.LastDraw(task_.id));
  NoiseStore noise({around_.files, around_.folder, around_.random, around_.worker}, task_.id, form);
  // A backup may hold a draw that no round has named, and another life may use it. So the noise is drawn anew.
  RETURN_IF_ERROR(noise.KeepOnly(last.draw.number));
  last_ = last.draw;
  parts_.emplace(form, std::move(noise));
  return {};
}

Status TaskPrivacy::OpenLedger() {
  RETURN_IF_ERROR(Begin());
  if (ledger_) return {};
  ASSIGN_OR_RETURN(const auto spent, around_.store.privacy.LastSpent(task_.id));
  const LedgerPosition known = spent ? spent->spent.ledger : LedgerPosition();
  auto ledger = Ledger::Open(AroundLedger(), task_.id, parts_->form.terms, known);
  Status opened = ledger ? Status() : Fail(ledger.error());
  if (ledger) {
    ledger_.emplace(std::move(*ledger));
  } else if (ledger.error().code == Code::kRollback) {
    LogFailure(LogLevel::kError, "privacy.ledger_is_older", ledger.error(), {{"task", task_.id.text()}});
    opened = OpenOlderLedger(known);
  }
  if (opened) opened = ChargeForgottenDraws();
  if (!opened) ledger_.reset();
  return opened;
}

// The lines that it lacks have one charge each, at most.
Status TaskPrivacy::OpenOlderLedger(const LedgerPosition& known) {
  ASSIGN_OR_RETURN(const Ledger there, Ledger::Open(AroundLedger(), task_.id, parts_->form.terms, {}));
  const uint64_t lines = there.position().sequence;
  const uint64_t lacks = known.sequence > lines ? known.sequence - lines : known.sequence;
  RETURN_IF_ERROR(AppendLost(0, lacks));
  ASSIGN_OR_RETURN(const auto newest, around_.store.privacy.LastSpent(task_.id));
  if (!newest) return {};
  // From now on this one is the known one.
  return around_.store.privacy.SaveSpent(task_.id, {newest->version, {ledger_->spent(), ledger_->position()}});
}

// Charges of draws that the database does not know, since it was restored from a backup: it has forgotten who was in
// them.
Status TaskPrivacy::ChargeForgottenDraws() {
  uint64_t count = 0, newest = last_.number;
  for (const Charge& charge : ledger_->charges()) {
    if (charge.kind == Charge::Kind::kLost || charge.number <= last_.number) continue;
    ++count;
    newest = std::max(newest, charge.number);
  }
  if (count == 0) return {};
  LogError("privacy.database_is_older", {{"task", task_.id.text()}, {"draws", count}});
  RETURN_IF_ERROR(AppendLost(0, count));
  // No sum has this one. Its number is taken.
  const NoiseDraw taken{.number = newest, .run = newest, .noise = {}};
  RETURN_IF_ERROR(around_.store.privacy.SaveDraw(task_.id, taken, 0));
  // A run goes on from no draw that is forgotten.
  last_ = taken;
  return {};
}

Charge TaskPrivacy::LostCharge(uint64_t number, uint64_t count) const {
  // A run is paid as a whole. Whoever lost the rest of it may have begun one more.
  const uint64_t times = parts_->form.blt ? 1 : count;
  return {Charge::Kind::kLost, number, times, parts_->form.multiplier, 1, {}};
}

bool TaskPrivacy::RunWasBroken() const {
  const auto charges = ledger_->charges();
  const auto lost = std::ranges::find(charges.rbegin(), charges.rend(), Charge::Kind::kLost, &Charge::kind);
  return lost != charges.rend() && std::none_of(charges.rbegin(), lost, [&](const Charge& charge) {
           return charge.kind == Charge::Kind::kRun && charge.number == last_.run;
         });
}

NoiseDraw TaskPrivacy::Coming() const {
  NoiseDraw draw{.number = last_.number + 1, .run = last_.number + 1, .noise = {}};
  if (!parts_->form.blt) {
    draw.run = 0;
  } else if (last_.run > 0 && draw.number - last_.run < parts_->form.participation.rounds && !RunWasBroken()) {
    draw.run = last_.run;
  }
  return draw;
}

std::optional<Charge> TaskPrivacy::ChargeOf(const NoiseDraw& draw) const {
  const double multiplier = parts_->form.multiplier;
  if (!parts_->form.blt) return Charge{Charge::Kind::kRound, draw.number, 1, multiplier, 1, draw.noise};
  if (ledger_->Find(Charge::Kind::kRun, draw.run) != nullptr) return std::nullopt;
  return Charge{Charge::Kind::kRun, draw.run, 1, multiplier, 1, draw.noise};
}

Result<NoiseDraw> TaskPrivacy::Restore(uint64_t round) {
  RETURN_IF_ERROR(Begin());
  ASSIGN_OR_RETURN(const PrivacyTable::Drawn last, around_.store.privacy.LastDraw(task_.id));
  if (last.draw.number == 0 || last.round != round) {
    return Fail(Code::kCorrupt, "round {} of {} has a sum, and the database does not say with which noise", round,
                task_.id.text());
  }
  current_ = last.draw;
  return last.draw;
}

Status TaskPrivacy::MayPay(const NoiseDraw& draw) {
  RETURN_IF_ERROR(OpenLedger());
  const auto charge = ChargeOf(draw);
  if (!charge || ledger_->Find(charge->kind, charge->number) != nullptr) return {};
  const double then = ledger_->SpentWith(*charge);
  const PrivacyTerms& terms = parts_->form.terms;
  if (then <= terms.epsilon) return {};
  return Fail(
      Code::kConflict,
      "the privacy budget of {} is spent: epsilon is {:.4g} of {:g} at delta {:g}, and would be {:.4g} with one "
      "more version. The versions that there are stay. To train on, make a new task on other devices' data, or "
      "one with a larger privacy.epsilon",
      task_.id.text(), ledger_->spent(), terms.epsilon, terms.delta, then);
}

Status TaskPrivacy::MayOpen(const NoiseDraw* shelved) {
  RETURN_IF_ERROR(OpenLedger());
  return MayPay(shelved != nullptr ? *shelved : Coming());
}

bool TaskPrivacy::WasPaid(const NoiseDraw& draw) {
  return OpenLedger() && !parts_->form.blt && ledger_->Find(Charge::Kind::kRound, draw.number) != nullptr;
}

void TaskPrivacy::DrawAhead() {
  if (parts_ && ledger_) {
    const NoiseDraw coming = Coming();
    if (parts_->noise.prepared() == coming.number && prepared_run_ == coming.run) return;
  }
  if (!OpenLedger()) return;  // MayOpen says why
  const NoiseDraw coming = Coming();
  if (!MayPay(coming)) return;
  prepared_run_ = coming.run;
  const bool goes_on = coming.run > 0 && coming.run == last_.run;
  parts_->noise.Prepare(coming.number, goes_on ? std::optional(last_) : std::nullopt);
}

Result<NoiseDraw> TaskPrivacy::Next() {
  RETURN_IF_ERROR(MayOpen(nullptr));
  DrawAhead();
  NoiseDraw draw = Coming();
  ASSIGN_OR_RETURN(draw.noise, parts_->noise.Take());
  return draw;
}

void TaskPrivacy::Took(const NoiseDraw& draw) {
  current_ = draw;
  if (draw == last_) return;
  last_ = draw;
  if (auto removed = parts_->noise.KeepOnly(draw.number); !removed)
    LogFailure(LogLevel::kWarning, "privacy.noise_not_removed", removed.error(), {{"task", task_.id.text()}});
}

Status TaskPrivacy::AddNoise(WeightedSum& sum, const NoiseDraw& draw) const { return parts_->noise.AddTo(sum, draw); }

void TaskPrivacy::Settled(const NoiseDraw& draw) const { parts_->noise.Settled(draw.number); }

Result<SpentPrivacy> TaskPrivacy::Pay(const NoiseDraw& draw) {
  RETURN_IF_ERROR(OpenLedger());
  if (const auto charge = ChargeOf(draw)) RETURN_IF_ERROR(ledger_->Record(*charge));
  TRIBUTARY_FAULT_POINT("aggregator.privacy.charged");
  return SpentPrivacy{ledger_->spent(), ledger_->position()};
}

Status TaskPrivacy::PayLost(uint64_t floor, uint64_t count) {
  RETURN_IF_ERROR(OpenLedger());
  return ledger_->Find(Charge::Kind::kLost, floor) != nullptr ? Status() : AppendLost(floor, count);
}

Status TaskPrivacy::AppendLost(uint64_t number, uint64_t count) {
  ASSIGN_OR_RETURN(Ledger ledger,
                   Ledger::OpenWithLost(AroundLedger(), task_.id, parts_->form.terms, LostCharge(number, count)));
  ledger_.emplace(std::move(ledger));
  return {};
}

Result<SpentPrivacy> TaskPrivacy::Present() {
  RETURN_IF_ERROR(OpenLedger());
  return SpentPrivacy{ledger_->spent(), ledger_->position()};
}

Result<uint64_t> TaskPrivacy::CollectingDraw() {
  RETURN_IF_ERROR(Begin());
  if (current_) return current_->number;
  RETURN_IF_ERROR(OpenLedger());
  return Coming().number;
}

Status TaskPrivacy::CheckMayTakePart(const DeviceId& device) {
  ASSIGN_OR_RETURN(const uint64_t draw, CollectingDraw());
  ASSIGN_OR_RETURN(const TakenPart part, around_.store.privacy.Participation(task_.id, device));
  const Participation& most = parts_->form.participation;
  if (part.times >= most.participations) {
    return Fail(Code::kQuotaExceeded, "{} was in {} sums of {}, the most that its privacy permits", device.text(),
                part.times, task_.id.text());
  }
  if (part.last == 0 || draw >= part.last + most.separation) return {};
  return Fail(Code::kQuotaExceeded, "{} was in sum {} of {}, and may be in no other before sum {}; this is sum {}",
              device.text(), part.last, task_.id.text(), part.last + most.separation, draw);
}

Result<bool> TaskPrivacy::AnyBarred() {
  ASSIGN_OR_RETURN(const uint64_t draw, CollectingDraw());
  const Participation& most = parts_->form.participation;
  return around_.store.privacy.AnyBarred(task_.id, most.participations,
                                         draw > most.separation ? draw - most.separation : 0, draw);
}

Result<uint64_t> TaskPrivacy::WholeNorm() {
  RETURN_IF_ERROR(Begin());
  return parts_->form.whole_norm;
}

Result<PrivacyStanding> TaskPrivacy::Standing() {
  const Status may = MayOpen(current_ ? &*current_ : nullptr);
  RETURN_IF_ERROR(Begin());
  PrivacyStanding standing{.policy = task_.privacy,
                           .theorem = TheoremOf(task_.privacy.accounting),
                           .multiplier = parts_->form.multiplier,
                           .participations = parts_->form.participation.participations};
  if (!may) standing.stopped = may.error().message;
  if (ledger_) {
    standing.spent = ledger_->spent();
    standing.ledger = ledger_->position();
    for (const Charge& charge : ledger_->charges())
      standing.lost += charge.kind == Charge::Kind::kLost ? charge.count : 0;
  }
  const uint64_t latest = Number(task_.latest);
  const ModelVersion after{latest > kVersionsShown ? latest - kVersionsShown : 0};
  ASSIGN_OR_RETURN(standing.versions, around_.store.privacy.Spent(task_.id, {.after = after, .most = kVersionsShown}));
  return standing;
}

}  // namespace tributary
