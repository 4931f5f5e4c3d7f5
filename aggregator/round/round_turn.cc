#include "aggregator/round/round_turn.h"

#include <algorithm>
#include <utility>

#include "protocol/base/fault_point.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

Status WriteTurn(const RoundParts& parts, const RoundRule& rule, const RoundTurn& turn, bool visible) {
  Store& store = parts.store;
  ASSIGN_OR_RETURN(Transaction transaction, store.Begin());
  RETURN_IF_ERROR(store.tasks.SaveProgress(turn.task));
  if (turn.unshelved) RETURN_IF_ERROR(store.rounds.Save(*turn.unshelved));
  if (turn.ended) RETURN_IF_ERROR(store.rounds.Save(*turn.ended));
  for (const auto& [device, cosine] : turn.cosines)
    RETURN_IF_ERROR(store.contributions.SetCosine(turn.task.id, turn.ended->record.base, device, cosine));
  if (turn.manifest) RETURN_IF_ERROR(store.tasks.InsertManifest(*turn.manifest));
  if (turn.version) {
    RETURN_IF_ERROR(store.tasks.InsertVersion(*turn.version));
    const uint64_t latest = Number(turn.version->version);
    const uint64_t oldest = latest - std::min(latest, rule.Remembered());
    RETURN_IF_ERROR(store.contributions.ForgetBefore(turn.task.id, ModelVersion{oldest}));
  }
  if (turn.version && turn.spent)
    RETURN_IF_ERROR(store.privacy.SaveSpent(turn.task.id, {turn.version->version, *turn.spent}));
  if (turn.next) RETURN_IF_ERROR(store.rounds.Insert(*turn.next));
  if (turn.next && turn.next->draw.number > 0)
    RETURN_IF_ERROR(store.privacy.SaveDraw(turn.task.id, turn.next->draw, turn.next->record.number));
  if (visible) RETURN_IF_ERROR(parts.announcer.Reserve());
  TRIBUTARY_FAULT_POINT("aggregator.turn.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.turn.committed");
  return {};
}

Result<std::optional<RoundRecord>> LastRound(const std::optional<StoredRound>& ended, Store& store, const TaskId& task,
                                             uint64_t number) {
  if (ended) return ended->record;
  if (number == 0) return std::nullopt;
  auto stored = store.rounds.Get(task, number);
  if (stored) return std::move(stored->record);
  if (stored.error().code == Code::kNotFound) return std::nullopt;
  return Fail(stored.error());
}

void GoOnWithShelf(RoundTurn& turn, StoredRound& next) {
  const RoundRecord& left = turn.shelved->record;
  TRIBUTARY_CHECK(left.base == next.record.base) << "a shelved sum outlived its base version";
  next.checkpoint = std::exchange(turn.shelved->checkpoint, {});
  next.record.contributions = left.contributions;
  next.record.total_weight = left.total_weight;
  next.record.staleness = left.staleness;
  next.record.scaled = left.scaled;
  next.record.capped = left.capped;
  turn.unshelved = std::exchange(turn.shelved, std::nullopt);
  if (turn.ended) turn.ended->checkpoint.clear();
}

std::array<uint8_t, 16> NonceOf(const RoundRecord& round, const Digest& base_weights) {
  const Digest digest = Sha256(
      AsBytes(fmt::format("tributary round nonce v1/{}/{}/{}", round.task.text(), base_weights.hex(), round.number)));
  std::array<uint8_t, 16> nonce{};
  std::ranges::copy(digest.view().first(nonce.size()), nonce.begin());
  return nonce;
}

}  // namespace tributary
