#include "aggregator/publish/kept_publication.h"

#include <algorithm>
#include <utility>

#include "protocol/publication/publication_form.h"
#include "protocol/publication/trusted_metadata.h"
#include "protocol/seal/digest.h"

namespace tributary {
namespace {

Result<ByteView> DelegatedFile(const PublicationSet& set, const std::string& role) {
  const auto found = std::ranges::find(set.delegated, role, &PublicationSet::Delegated::name);
  if (found == set.delegated.end()) return Fail(Code::kMalformed, "there is no " + role + ".json");
  return ByteView(found->bytes);
}

Status CheckTarget(tuf::TrustedMetadata& trusted, const PublicationSet& set, std::string_view path, ByteView bytes) {
  ASSIGN_OR_RETURN(const auto target,
                   trusted.FindTarget(std::string(path), [&](const auto& role) { return DelegatedFile(set, role); }));
  if (target == tuf::TargetFile{bytes.size(), Sha256(bytes)}) return {};
  return Fail(Code::kMixedPublication, std::string(path) + " is not the target that belongs here");
}

}  // namespace

Result<KeptPublication> ReadKept(ByteView bytes, const PublicationFolder& repository) {
  ASSIGN_OR_RETURN(PublicationSet set, DecodePublicationSet(bytes));
  if (set.roots.empty()) return Fail(Code::kMalformed, "there is no root");
  ASSIGN_OR_RETURN(auto trusted, tuf::TrustedMetadata::Begin(
                                     {.root = set.roots.back(), .timestamp = {}, .snapshot = {}}, tuf::kAnyTime));
  RETURN_IF_ERROR(trusted.UpdateTimestamp(set.timestamp));
  RETURN_IF_ERROR(trusted.UpdateSnapshot(set.snapshot));
  RETURN_IF_ERROR(trusted.UpdateTargets(set.targets));
  ASSIGN_OR_RETURN(const ByteView releases, DelegatedFile(set, std::string(kReleasesRole)));
  RETURN_IF_ERROR(trusted.CheckInSnapshot(std::string(kReleasesRole), releases));
  RETURN_IF_ERROR(CheckTarget(trusted, set, kCataloguePath, set.catalogue));
  if (!set.revocations.empty()) RETURN_IF_ERROR(CheckTarget(trusted, set, kRevocationsPath, AsBytes(set.revocations)));
  ASSIGN_OR_RETURN(Publication catalogue, DecodePublication(set.catalogue));

  const OfflineMetadata& offline = repository.offline();
  KeptPublication kept;
  kept.number = trusted.timestamp().version;
  kept.root_version = trusted.root().version;
  kept.expires = trusted.timestamp().expires;
  kept.current = std::ranges::equal(set.roots, RootsThatTravel(offline)) && set.targets == offline.targets && std::ranges::equal(releases, offline.releases);
  kept.extras = {std::move(catalogue.sealing_key), std::move(catalogue.former_keys), std::move(set.revocations)};
  return kept;
}

}  // namespace tributary
