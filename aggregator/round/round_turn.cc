#include "aggregator/round/round_turn.h"

#include <algorithm>

#include "protocol/base/fault_point.h"

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
  if (turn.next) RETURN_IF_ERROR(store.rounds.Insert(*turn.next));
  if (visible) RETURN_IF_ERROR(parts.announcer.Reserve());
  TRIBUTARY_FAULT_POINT("aggregator.turn.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.turn.committed");
  return {};
}

}  // namespace tributary
