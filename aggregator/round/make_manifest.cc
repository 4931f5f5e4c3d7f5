#include "aggregator/round/make_manifest.h"

#include <algorithm>

#include "protocol/catalogue/version_manifest.h"
#include "protocol/plan/field_json.h"

namespace tributary {

Result<StoredManifest> MakeManifest(Store& store, TaskRecord task, const VersionRecord& version,
                                    const RoundRecord& round, uint64_t first_round) {
  VersionManifest manifest{.task = task.id,
                           .version = version.version,
                           .parent = version.parent,
                           .parent_manifest = {},
                           .weights = version.weights.digest,
                           .round = round.number,
                           .plan = Sha256(AsBytes(FieldsToText(FieldsOf(task.plan)))),
                           .aggregate = round.aggregate_digest.value_or(Digest()),
                           .contributions_root = {},
                           .contributions = round.contributions,
                           .total_weight = round.total_weight,
                           .scaled = round.scaled,
                           .capped = round.capped,
                           .created_millis = static_cast<uint64_t>(version.created.unix_millis)};
  const auto parent = store.tasks.Manifest(task.id, version.parent);
  if (parent) manifest.parent_manifest = Sha256(AsBytes(parent->text));
  if (!parent && parent.error().code != Code::kNotFound) return Fail(parent.error());
  for (const auto& [code, count] : round.refused) manifest.refused[std::string(Name(code))] = count;
  for (size_t behind = 0; behind < round.staleness.size(); ++behind) {
    if (round.staleness[behind] > 0) manifest.staleness[std::to_string(behind)] = round.staleness[behind];
  }
  ASSIGN_OR_RETURN(manifest.gateways, store.contributions.CountsByPeer(task.id, first_round));
  manifest.facts["optimizer"] = FieldsToText(FieldsOf(task.server_optimizer));
  manifest.facts["robust"] = FieldsToText(FieldsOf(task.robust));
  if (version.optimizer_state) manifest.facts["optimizer.state"] = version.optimizer_state->digest.hex();
  ASSIGN_OR_RETURN(const auto uploads, store.contributions.Uploads(task.id, first_round));
  StoredManifest stored{.task = task.id, .version = version.version, .text = {}, .leaves = {}};
  std::ranges::transform(uploads, std::back_inserter(stored.leaves), &LeafOf);
  std::ranges::sort(stored.leaves);
  manifest.contributions_root = MerkleRoot(stored.leaves);
  stored.text = ManifestText(manifest);
  return stored;
}

}  // namespace tributary
