#include "tests/support/test_repository.h"

#include "tests/support/must.h"

namespace tributary {
namespace {

constexpr Millis kOfflineLifetime{10ll * 365 * 24 * 3600 * 1000};

}  // namespace

TestRepository::TestRepository(WallTime start) {
  const WallTime expires = start + kOfflineLifetime;
  tuf::Root root{1, expires, true, {}, {}};
  const auto name = [&](std::string_view role, const Signer& key) {
    tuf::AddKey(key.public_key(), root.keys, root.roles[std::string(role)]);
  };
  name(tuf::kRootRole, root_key);
  name(tuf::kTargetsRole, targets_key);
  name(tuf::kSnapshotRole, snapshot_key);
  name(tuf::kTimestampRole, timestamp_key);
  offline_.roots = {SignedFile(root, {&root_key})};
  offline_.targets = SignedFile(
      DelegatingTargets(1, expires, {{rounds_key.public_key()}, {releases_key.public_key()}, 1}), {&targets_key});
  offline_.releases = SignedFile(tuf::Targets{1, expires, {}, {}, {}}, {&releases_key});
}

PublicationSet TestRepository::Make(const Publication& publication) const {
  const uint64_t number = publication.number;
  const WallTime expires = publication.expires;
  return Must(
      MakePublicationSet(offline_, online(), publication, {number, number, number}, {expires, expires, expires}));
}

}  // namespace tributary
