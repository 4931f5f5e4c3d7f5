// The aggregator's sealing keys change: what is sealed to one that is over is worth nothing to anybody, so the agent
// drops it and makes it again.

#include <algorithm>

#include "device/agent/agent.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary {
namespace {

constexpr size_t kMostLookedAt = 1'000;

}  // namespace

bool Agent::Opens(const KeyId& key) const {
  const Publication& publication = *publications_.current();
  const WallTime now = parts_.clock.Now();
  if (key == HpkeKeyId(publication.sealing_key)) return true;
  for (const FormerSealingKey& former : publication.former_keys) {
    if (former.id == key) return now < former.until;
  }
  // This device seals only to keys that its publications named, and those never go back: the key is older than all that
  // are named now. From an expired publication nothing is concluded.
  return publications_.expired(now);
}

void Agent::DropUnopenable() {
  const Millis left = UntilNextKeyEnd();
  next_key_end_ = left == Millis::max() ? std::nullopt : std::optional(parts_.clock.Monotonic() + left);
  const auto pending = outbox_->Pending(kMostLookedAt);
  if (!pending) return;
  std::vector<KeyId> over;
  for (const SpooledUpload& upload : *pending) {
    const auto bytes = outbox_->ReadEnvelope(upload.id);
    if (!bytes) continue;
    const auto envelope = ParseEnvelope(*bytes);
    if (!envelope || Opens(envelope->header.subject.key_id)) continue;
    // Before it goes: a kill between the two finds both again.
    if (!MakeAgain(upload.task, upload.base_version, upload.kind)) return;
    if (std::ranges::find(over, envelope->header.subject.key_id) == over.end())
      over.push_back(envelope->header.subject.key_id);
  }
  if (over.empty()) return;
  dropping_ = true;
  outbox_->DropSealedTo(over, [this, alive = alive_, &loop = parts_.loop](const Result<uint64_t>& dropped) {
    loop.Post([this, alive, dropped] {
      if (!*alive) return;
      dropping_ = false;
      if (!dropped) return LogFailure(LogLevel::kError, "outbox.not_cleaned", dropped.error());
      LogInfo("outbox.key_over", {{"uploads", *dropped}});
      Decide();
    });
  });
}

bool Agent::MakeAgain(const TaskId& task, ModelVersion version, UploadKind kind) {
  if (kind != WorkKind()) return true;
  const TaskProgress progress = state_.Of(task);
  if (progress.version != version || progress.phase != TaskPhase::kHandedOver) return true;
  ++counts_.made_again;
  LogInfo("agent.making_again", {{"task", task.text()}, {"version", Number(version)}});
  return Record(task, {TaskPhase::kWaiting, version, progress.round});
}

void Agent::OnGone(const UploadId& upload, const Error* why) {
  ++(why ? counts_.given_up : counts_.delivered);
  if (!why || why->code != Code::kUnknownKey) return;
  const auto letters = outbox_->DeadLetters(kMostLookedAt);
  if (!letters) return;
  const auto letter = std::ranges::find(*letters, upload, &DeadLetter::id);
  if (letter == letters->end()) return;
  // With this publication the same would come of it: a newer one names the key.
  waiting_for_key_after_ = publications_.number();
  (void)MakeAgain(letter->task, letter->base_version, letter->kind);
  client_->CheckInNow();
}

Millis Agent::UntilNextKeyEnd() const {
  Millis least = Millis::max();
  if (!publications_.current()) return least;
  for (const FormerSealingKey& former : publications_.current()->former_keys) {
    const Millis left(former.until.unix_millis - parts_.clock.Now().unix_millis);
    if (left > Millis(0)) least = std::min(least, left);
  }
  return least;
}

}  // namespace tributary
