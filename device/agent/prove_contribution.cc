#include "device/agent/prove_contribution.h"

#include <algorithm>

#include <fmt/format.h>

#include "protocol/base/limits.h"
#include "protocol/catalogue/publication_store.h"
#include "protocol/catalogue/version_manifest.h"
#include "protocol/spool/spool_reader.h"

namespace tributary {

Result<std::string> ProveContribution(FileSystem& files, const Path& data_dir, const TrustAnchor& anchor,
                                      const ContributionQuestion& question) {
  const auto& [task, version, file] = question;
  ASSIGN_OR_RETURN(const auto outbox, SpoolReader::Open(data_dir / "outbox", files));
  ASSIGN_OR_RETURN(const auto delivered, outbox->Delivered(task));
  if (delivered.empty())
    return Fail(Code::kNotFound, "this device remembers no update of task '{}' that it has delivered", task.text());
  if (!file) {
    std::string text = "Ask the aggregator, and give what it answers with --from FILE:\n";
    for (const auto& [base, upload] : delivered) {
      if (base >= version) continue;
      text += fmt::format("  the update of version {}: GET /api/v1/tasks/{}/versions/{}/proofs/{}\n", Number(base),
                          task.text(), Number(version), LeafOf(upload).hex());
    }
    return text;
  }
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, *file, limits::kMiB));
  ASSIGN_OR_RETURN(const ContributionProof proof, ReadProof(AsText(bytes)));
  ASSIGN_OR_RETURN(const RoundsKeys keys,
                   PublicationStore::ReadAdoptedKeys(files, data_dir / "publication.bin", anchor));
  ASSIGN_OR_RETURN(const VersionManifest manifest, CheckProof(proof, keys.all, keys.role));
  if (manifest.task != task || manifest.version != version) {
    return Fail(Code::kDigestMismatch, "the proof is of version {} of task '{}'", Number(manifest.version),
                manifest.task.text());
  }
  const auto own =
      std::ranges::find_if(delivered, [&](const auto& update) { return LeafOf(update.upload) == proof.leaf; });
  if (own == delivered.end())
    return Fail(Code::kDigestMismatch, "the proof is of no update that this device remembers");
  return fmt::format(
      "This device's update of version {} is in version {} of task '{}', as one of {} contributions of round {}.\n",
      Number(own->base), Number(version), task.text(), manifest.contributions, manifest.round);
}

}  // namespace tributary
