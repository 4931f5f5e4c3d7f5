#include "aggregator/publish/kept_publication.h"

#include <algorithm>
#include <utility>

#include "protocol/catalogue/publication_update.h"

namespace tributary {
namespace {

// Whether the set says what would be signed offline now.
bool IsOf(const PublicationSet& set, const OfflineMetadata& offline) {
  const auto releases = std::ranges::find(set.delegated, kReleasesRole, &PublicationSet::Delegated::name);
  return std::ranges::equal(set.roots, RootsThatTravel(offline)) && set.targets == offline.targets &&
         releases != set.delegated.end() && releases->bytes == offline.releases;
}

}  // namespace

Result<KeptPublication> ReadKept(ByteView bytes, const PublicationFolder& repository) {
  ASSIGN_OR_RETURN(const PublicationSet set, DecodePublicationSet(bytes));
  if (set.roots.empty()) return Fail(Code::kMalformed, "there is no root");
  // Its own last root needs no other to be believed: that file was written here.
  ASSIGN_OR_RETURN(auto trusted, tuf::TrustedMetadata::Begin(
                                     {.root = set.roots.back(), .timestamp = {}, .snapshot = {}}, tuf::kAnyTime));
  ASSIGN_OR_RETURN(Publication publication, VerifySet(set, trusted));
  KeptPublication kept;
  kept.number = publication.number;
  kept.root_version = publication.root_version;
  kept.expires = trusted.timestamp().expires;
  kept.current = IsOf(set, repository.offline());
  kept.extras = {std::move(publication.sealing_key), std::move(publication.former_keys),
                 std::move(publication.revocations)};
  return kept;
}

}  // namespace tributary
