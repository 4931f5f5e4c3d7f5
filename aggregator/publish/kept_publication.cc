#include "aggregator/publish/kept_publication.h"

#include <algorithm>

#include "protocol/publication/publication_form.h"
#include "protocol/seal/digest.h"

namespace tributary {
namespace {

Status CheckFile(const std::string& name, const tuf::FileMeta& said, uint64_t version, ByteView file) {
  if (said == tuf::FileMeta::Of(version, file)) return {};
  return Fail(Code::kMixedPublication, name + " is not the file that belongs here");
}

Status CheckListed(const tuf::Snapshot& snapshot, const std::string& name, uint64_t version, ByteView file) {
  const auto found = snapshot.files.find(name);
  if (found == snapshot.files.end()) return Fail(Code::kMixedPublication, name + " is in no snapshot");
  return CheckFile(name, found->second, version, file);
}

Status CheckTarget(const tuf::Targets& rounds, std::string_view path, ByteView bytes) {
  const auto found = rounds.files.find(std::string(path));
  if (found != rounds.files.end() && found->second == tuf::TargetFile{bytes.size(), Sha256(bytes)}) return {};
  return Fail(Code::kMixedPublication, std::string(path) + " is not the target that belongs here");
}

template <class Body>
Status CheckSigned(std::string_view role, const tuf::Metadata<Body>& metadata, const tuf::Root& root) {
  return tuf::VerifyThreshold(role, metadata.signed_text, metadata.signatures, root.keys,
                              root.roles.at(std::string(role)));
}

Status CheckRounds(const PublicationSet& set, const Bytes& file, const tuf::Snapshot& snapshot,
                   const tuf::Targets& targets) {
  ASSIGN_OR_RETURN(const auto rounds, tuf::ParseMetadata<tuf::Targets>(file));
  RETURN_IF_ERROR(CheckListed(snapshot, "rounds.json", rounds.body.version, file));
  const auto delegation = std::ranges::find(targets.delegations, kRoundsRole, &tuf::Delegation::name);
  if (delegation == targets.delegations.end()) return Fail(Code::kMalformed, "nothing is delegated to rounds");
  RETURN_IF_ERROR(
      tuf::VerifyThreshold(kRoundsRole, rounds.signed_text, rounds.signatures, targets.keys, delegation->role));
  RETURN_IF_ERROR(CheckTarget(rounds.body, kCataloguePath, set.catalogue));
  if (set.revocations.empty()) return {};
  return CheckTarget(rounds.body, kRevocationsPath, AsBytes(set.revocations));
}

Result<Bytes> DelegatedFile(const PublicationSet& set, std::string_view role) {
  const auto found = std::ranges::find(set.delegated, role, &PublicationSet::Delegated::name);
  if (found == set.delegated.end()) return Fail(Code::kMalformed, "there is no " + std::string(role) + ".json");
  return found->bytes;
}

}  // namespace

Result<KeptPublication> ReadKept(ByteView bytes, const PublicationFolder& repository) {
  ASSIGN_OR_RETURN(const PublicationSet set, DecodePublicationSet(bytes));
  if (set.roots.empty()) return Fail(Code::kMalformed, "there is no root");
  ASSIGN_OR_RETURN(const auto root, tuf::ParseMetadata<tuf::Root>(set.roots.back()));
  ASSIGN_OR_RETURN(const auto timestamp, tuf::ParseMetadata<tuf::Timestamp>(set.timestamp));
  ASSIGN_OR_RETURN(const auto snapshot, tuf::ParseMetadata<tuf::Snapshot>(set.snapshot));
  ASSIGN_OR_RETURN(const auto targets, tuf::ParseMetadata<tuf::Targets>(set.targets));
  RETURN_IF_ERROR(CheckSigned(tuf::kTimestampRole, timestamp, root.body));
  RETURN_IF_ERROR(CheckSigned(tuf::kSnapshotRole, snapshot, root.body));
  RETURN_IF_ERROR(CheckSigned(tuf::kTargetsRole, targets, root.body));
  RETURN_IF_ERROR(CheckFile("snapshot.json", timestamp.body.snapshot, snapshot.body.version, set.snapshot));
  RETURN_IF_ERROR(CheckListed(snapshot.body, "targets.json", targets.body.version, set.targets));
  ASSIGN_OR_RETURN(const Bytes rounds, DelegatedFile(set, kRoundsRole));
  RETURN_IF_ERROR(CheckRounds(set, rounds, snapshot.body, targets.body));
  ASSIGN_OR_RETURN(const Bytes releases, DelegatedFile(set, kReleasesRole));
  ASSIGN_OR_RETURN(Publication catalogue, DecodePublication(set.catalogue));

  const OfflineMetadata& offline = repository.offline();
  KeptPublication kept;
  kept.number = timestamp.body.version;
  kept.root_version = root.body.version;
  kept.expires = timestamp.body.expires;
  kept.current = set.roots == offline.roots && set.targets == offline.targets && releases == offline.releases;
  kept.extras = {std::move(catalogue.sealing_key), std::move(catalogue.former_keys), set.revocations};
  return kept;
}

}  // namespace tributary
