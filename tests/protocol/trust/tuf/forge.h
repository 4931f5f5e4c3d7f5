#pragma once

#include <functional>
#include <memory>

#include "protocol/catalogue/publication.h"
#include "protocol/catalogue/publication_set.h"
#include "tests/protocol/catalogue/small_publication.h"
#include "tests/support/memory_signer.h"
#include "tests/support/must.h"

namespace tributary {

// A repository whose every key is here, so that a test can sign whatever an attacker who holds some of them could: Set
// builds all files from the bottom up, so that each fits what is above it, and calls the hooks on each body before it
// is signed. With no hooks it is an honest publication.
class Forge {
 public:
  using KeyPtr = std::shared_ptr<MemorySigner>;
  static KeyPtr NewKey() { return std::make_shared<MemorySigner>(); }

  Forge() {
    for (const auto& [role, key] : {std::pair{tuf::kRootRole, root_key},
                                    {tuf::kTargetsRole, targets_key},
                                    {tuf::kSnapshotRole, snapshot_key},
                                    {tuf::kTimestampRole, timestamp_key}}) {
      SetKey(role, key);
    }
    roots = {SignedFile(root, {root_key.get()})};
  }

  // In the next root: `key` is the only one of the role.
  void SetKey(std::string_view role, const KeyPtr& key) {
    tuf::RoleKeys& keys = root.roles[std::string(role)];
    keys.key_ids.clear();
    tuf::AddKey(key->public_key(), root.keys, keys);
  }
  void NextRoot(std::initializer_list<const Signer*> signers) {
    ++root.version;
    roots.push_back(SignedFile(root, signers));
  }

  // Of one version for all online roles.
  PublicationSet Set(uint64_t version) const {
    Publication publication = SmallPublication(version);
    if (on_publication) on_publication(publication);
    PublicationSet set;
    set.roots = roots;
    set.catalogue = EncodePublication(publication);
    set.revocations = publication.revocations;

    tuf::Targets targets = DelegatingTargets(1, ends, {{rounds_key->public_key()}, {releases_key->public_key()}, 1});
    if (on_targets) on_targets(targets);
    set.targets = SignedFile(targets, {targets_key.get()});
    tuf::Targets releases{1, ends, {}, {}, {}};
    set.delegated.push_back({"releases", SignedFile(releases, {releases_key.get()})});
    tuf::Targets rounds = Rounds(publication, set);
    rounds.version = version;
    if (on_rounds) on_rounds(rounds);
    set.delegated.push_back({"rounds", SignedFile(rounds, {rounds_key.get()})});
    if (on_delegated) on_delegated(set.delegated);

    tuf::Snapshot snapshot{version, ends, {}};
    snapshot.files["targets.json"] = tuf::FileMeta::Of(targets.version, set.targets);
    for (const auto& role : set.delegated) {
      const auto body = Must(tuf::ParseMetadata<tuf::Targets>(role.bytes)).body;
      snapshot.files[role.name + ".json"] = tuf::FileMeta::Of(body.version, role.bytes);
    }
    if (on_snapshot) on_snapshot(snapshot);
    set.snapshot = SignedFile(snapshot, {snapshot_key.get()});
    tuf::Timestamp timestamp{version, ends, tuf::FileMeta::Of(snapshot.version, set.snapshot)};
    if (on_timestamp) on_timestamp(timestamp);
    set.timestamp = SignedFile(timestamp, {timestamp_key.get()});
    return set;
  }
  Bytes Published(uint64_t version) const { return EncodePublicationSet(Set(version)); }

  WallTime ends = SmallPublication().expires;
  KeyPtr root_key = NewKey(), targets_key = NewKey(), releases_key = NewKey();
  KeyPtr snapshot_key = NewKey(), timestamp_key = NewKey(), rounds_key = NewKey();
  tuf::Root root{1, ends, true, {}, {}};
  std::vector<Bytes> roots;
  std::function<void(Publication&)> on_publication;
  std::function<void(tuf::Targets&)> on_targets, on_rounds;
  std::function<void(std::vector<PublicationSet::Delegated>&)> on_delegated;
  std::function<void(tuf::Snapshot&)> on_snapshot;
  std::function<void(tuf::Timestamp&)> on_timestamp;

 private:
  tuf::Targets Rounds(const Publication& publication, const PublicationSet& set) const {
    tuf::Targets rounds{1, ends, {}, {}, {}};
    rounds.files.emplace(kCataloguePath, tuf::TargetFile{set.catalogue.size(), Sha256(set.catalogue)});
    if (!set.revocations.empty()) {
      const ByteView list = AsBytes(set.revocations);
      rounds.files.emplace(kRevocationsPath, tuf::TargetFile{list.size(), Sha256(list)});
    }
    for (const PublishedTask& task : publication.tasks) {
      rounds.files.emplace(ModulePath(task.id), tuf::TargetFile{task.module.size, task.module.digest});
      rounds.files.emplace(WeightsPath(task.id, task.latest), tuf::TargetFile{task.weights.size, task.weights.digest});
    }
    return rounds;
  }
};

}  // namespace tributary
