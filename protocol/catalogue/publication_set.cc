#include "protocol/catalogue/publication_set.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/publication.capnp.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

Result<Bytes> Part(std::string_view what, ByteView bytes, size_t limit) {
  if (bytes.size() <= limit) return ToBytes(bytes);
  return Fail(Code::kTooLarge, "{} of {} bytes is over the limit of {}", what, bytes.size(), limit);
}

Result<PublicationSet> Read(schema::PublicationSet::Reader from) {
  PublicationSet to;
  if (from.getRoots().size() > limits::kRootVersions || from.getDelegated().size() > limits::kDelegatedRoles)
    return Fail(Code::kTooLarge, "a publication with more roots or delegated roles than the limit");
  for (const auto root : from.getRoots()) {
    ASSIGN_OR_RETURN(to.roots.emplace_back(), Part("root metadata", wire::View(root), limits::kRootBytes));
  }
  ASSIGN_OR_RETURN(to.timestamp, Part("timestamp metadata", wire::View(from.getTimestamp()), limits::kTimestampBytes));
  ASSIGN_OR_RETURN(to.snapshot, Part("snapshot metadata", wire::View(from.getSnapshot()), limits::kSnapshotBytes));
  ASSIGN_OR_RETURN(to.targets, Part("targets metadata", wire::View(from.getTargets()), limits::kTargetsBytes));
  for (const auto role : from.getDelegated()) {
    const std::string name(wire::View(role.getName()));
    if (std::ranges::find(to.delegated, name, &PublicationSet::Delegated::name) != to.delegated.end())
      return Fail(Code::kMalformed, "a publication with two files of the role {}", name.substr(0, 80));
    RETURN_IF_ERROR(CheckName(name, "the name of a delegated role"));
    ASSIGN_OR_RETURN(Bytes bytes, Part("delegated metadata", wire::View(role.getBytes()), limits::kTargetsBytes));
    to.delegated.push_back({name, std::move(bytes)});
  }
  to.catalogue = ToBytes(wire::View(from.getCatalogue()));
  const ByteView revocations = AsBytes(wire::View(from.getRevocations()));
  ASSIGN_OR_RETURN(const Bytes pem, Part("the revocation list", revocations, limits::kRevocationBytes));
  to.revocations = AsText(pem);
  return to;
}

tuf::TargetFile TargetOf(ByteView bytes) { return {bytes.size(), Sha256(bytes)}; }
tuf::TargetFile TargetOf(const BlobRef& blob) { return {blob.size, blob.digest}; }

tuf::Targets RoundsOf(const Publication& publication, const PublicationSet& set) {
  tuf::Targets rounds;
  rounds.files.emplace(kCataloguePath, TargetOf(set.catalogue));
  if (!set.revocations.empty()) rounds.files.emplace(kRevocationsPath, TargetOf(AsBytes(set.revocations)));
  for (const PublishedTask& task : publication.tasks) {
    rounds.files.emplace(ModulePath(task.id), TargetOf(task.module));
    rounds.files.emplace(WeightsPath(task.id, task.latest), TargetOf(task.weights));
    if (task.compact) rounds.files.emplace(CompactPath(task.id, task.latest), TargetOf(task.compact->blob));
  }
  return rounds;
}

template <class Body>
Result<Bytes> SignAs(Body body, const Signer& signer) {
  auto metadata = tuf::MakeMetadata(std::move(body));
  RETURN_IF_ERROR(AddSignature(metadata, signer));
  return EncodeMetadata(metadata);
}

// A signer that its role does not list signs for nobody.
Status CheckSigner(std::string_view name, const Signer& signer, const tuf::RoleKeys& role) {
  const std::string id = tuf::KeyIdOf(tuf::Key::FromPublicKey(signer.public_key()));
  if (std::ranges::find(role.key_ids, id) != role.key_ids.end() && role.threshold == 1) return {};
  return Fail(Code::kConflict,
              "the {} key is not the one that the signed repository names for it; use that key, or name this one in "
              "the next root (snapshot, timestamp) or targets (rounds) metadata",
              name);
}

Status CheckSigners(const OnlineSigners& signers, const tuf::Root& root, const tuf::Targets& targets) {
  RETURN_IF_ERROR(CheckSigner("snapshot", signers.snapshot, root.roles.at(std::string(tuf::kSnapshotRole))));
  RETURN_IF_ERROR(CheckSigner("timestamp", signers.timestamp, root.roles.at(std::string(tuf::kTimestampRole))));
  const auto rounds = std::ranges::find(targets.delegations, kRoundsRole, &tuf::Delegation::name);
  return CheckSigner("rounds", signers.rounds, rounds == targets.delegations.end() ? tuf::RoleKeys{} : rounds->role);
}

tuf::Delegation DelegationOf(std::string_view name, std::vector<std::string> paths, std::span<const Bytes> keys,
                             uint32_t threshold, tuf::Keys& all) {
  tuf::Delegation delegation{std::string(name), {{}, threshold}, tuf::PathPatterns{std::move(paths)}, false};
  for (const Bytes& key : keys) tuf::AddKey(key, all, delegation.role);
  return delegation;
}

}  // namespace

Bytes EncodePublicationSet(const PublicationSet& set) {
  return wire::EncodeCanonical<schema::PublicationSet>([&](schema::PublicationSet::Builder to) {
    auto roots = to.initRoots(static_cast<unsigned>(set.roots.size()));
    for (unsigned i = 0; i < set.roots.size(); ++i) roots.set(i, wire::ToData(set.roots[i]));
    to.setTimestamp(wire::ToData(set.timestamp));
    to.setSnapshot(wire::ToData(set.snapshot));
    to.setTargets(wire::ToData(set.targets));
    auto delegated = to.initDelegated(static_cast<unsigned>(set.delegated.size()));
    for (unsigned i = 0; i < set.delegated.size(); ++i) {
      delegated[i].setName(wire::ToText(set.delegated[i].name));
      delegated[i].setBytes(wire::ToData(set.delegated[i].bytes));
    }
    to.setCatalogue(wire::ToData(set.catalogue));
    to.setRevocations(wire::ToText(set.revocations));
  });
}

Result<PublicationSet> DecodePublicationSet(ByteView bytes) {
  const auto read = [](schema::PublicationSet::Reader from) { return Read(from); };
  ASSIGN_OR_RETURN(PublicationSet set, wire::DecodeCanonical<schema::PublicationSet>(bytes, "publication", read,
                                                                                     limits::kPublicationBytes));
  // Absent and empty lists are two canonical forms of the same set: one of them has to do.
  if (!std::ranges::equal(EncodePublicationSet(set), bytes))
    return Fail(Code::kMalformed, "a publication that is not in the one form that its encoder gives it");
  return set;
}

std::string ModulePath(const TaskId& task) { return "models/" + task.text() + "/module.pt"; }

std::string WeightsPath(const TaskId& task, ModelVersion version) {
  return "models/" + task.text() + "/" + std::to_string(Number(version)) + ".weights";
}

std::string CompactPath(const TaskId& task, ModelVersion version) {
  return "models/" + task.text() + "/" + std::to_string(Number(version)) + ".compact";
}

tuf::Targets DelegatingTargets(uint64_t version, WallTime expires, const DelegatedKeys& keys) {
  tuf::Targets targets{version, expires, {}, {}, {}};
  targets.delegations.push_back(DelegationOf(kRoundsRole, {"rounds/*", "models/*/*"}, keys.rounds, 1, targets.keys));
  targets.delegations.push_back(
      DelegationOf(kReleasesRole, {"releases/*"}, keys.releases, keys.releases_threshold, targets.keys));
  return targets;
}

std::span<const Bytes> RootsThatTravel(const OfflineMetadata& offline) {
  const std::span<const Bytes> roots(offline.roots);
  return roots.last(std::min(roots.size(), limits::kRootVersions));
}

Result<PublicationSet> MakePublicationSet(const OfflineMetadata& offline, const OnlineSigners& signers,
                                          const Publication& publication, const OnlineVersions& versions,
                                          const OnlineExpiries& expiries) {
  if (offline.roots.empty()) return Fail(Code::kMalformed, "there is no root metadata");
  ASSIGN_OR_RETURN(const auto root, tuf::ParseMetadata<tuf::Root>(offline.roots.back()));
  ASSIGN_OR_RETURN(const auto targets, tuf::ParseMetadata<tuf::Targets>(offline.targets));
  ASSIGN_OR_RETURN(const auto releases, tuf::ParseMetadata<tuf::Targets>(offline.releases));
  RETURN_IF_ERROR(CheckSigners(signers, root.body, targets.body));

  PublicationSet set;
  const auto roots = RootsThatTravel(offline);
  set.roots = {roots.begin(), roots.end()};
  set.targets = offline.targets;
  set.catalogue = EncodePublication(publication);
  set.revocations = publication.revocations;
  tuf::Targets rounds = RoundsOf(publication, set);
  rounds.version = versions.rounds;
  rounds.expires = expiries.rounds;
  ASSIGN_OR_RETURN(const Bytes rounds_file, SignAs(std::move(rounds), signers.rounds));
  set.delegated = {{std::string(kReleasesRole), offline.releases}, {std::string(kRoundsRole), rounds_file}};

  tuf::Snapshot snapshot{versions.snapshot, expiries.snapshot, {}};
  snapshot.files["targets.json"] = tuf::FileMeta::Of(targets.body.version, offline.targets);
  snapshot.files["releases.json"] = tuf::FileMeta::Of(releases.body.version, offline.releases);
  snapshot.files["rounds.json"] = tuf::FileMeta::Of(versions.rounds, rounds_file);
  ASSIGN_OR_RETURN(set.snapshot, SignAs(std::move(snapshot), signers.snapshot));

  const auto of_snapshot = tuf::FileMeta::Of(versions.snapshot, set.snapshot);
  ASSIGN_OR_RETURN(set.timestamp,
                   SignAs(tuf::Timestamp{versions.timestamp, expiries.timestamp, of_snapshot}, signers.timestamp));
  return set;
}

}  // namespace tributary
