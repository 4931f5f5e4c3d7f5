#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/catalogue/publication.h"
#include "protocol/trust/tuf/metadata.h"

namespace tributary {

// A publication as it travels over hops, in bundles and into stores: the files of a TUF repository that a member needs
// to come from the root it knows to the newest catalogue, in one string of bytes. `/tuf/` serves the same files.
struct PublicationSet {
  struct Delegated {
    std::string name;
    Bytes bytes;
    bool operator==(const Delegated&) const = default;
  };
  std::vector<Bytes> roots;  // of consecutive versions; the first is the oldest that members may still start from
  Bytes timestamp;
  Bytes snapshot;
  Bytes targets;
  std::vector<Delegated> delegated;
  Bytes catalogue;          // target rounds/catalogue
  std::string revocations;  // target rounds/revocations.pem; empty: there is none
  bool operator==(const PublicationSet&) const = default;
};

// Schema PublicationSet of schema/publication.capnp.
Bytes EncodePublicationSet(const PublicationSet& set);
// Form and limits only. kMalformed; kTooLarge: over limits::kPublicationBytes, or a part over its own limit.
Result<PublicationSet> DecodePublicationSet(ByteView bytes);

// The two delegated roles and their targets. Round results are signed by a key that is online; releases are for people
// to sign.
inline constexpr std::string_view kRoundsRole = "rounds";
inline constexpr std::string_view kReleasesRole = "releases";
inline constexpr std::string_view kCataloguePath = "rounds/catalogue";
inline constexpr std::string_view kRevocationsPath = "rounds/revocations.pem";
std::string ModulePath(const TaskId& task);                         // models/<task>/module.pt
std::string WeightsPath(const TaskId& task, ModelVersion version);  // models/<task>/<version>.weights
std::string CompactPath(const TaskId& task, ModelVersion version);  // models/<task>/<version>.compact

// Public keys of the delegated roles, Ed25519.
struct DelegatedKeys {
  std::vector<Bytes> rounds;
  std::vector<Bytes> releases;
  uint32_t releases_threshold = 1;
};
// The top-level targets: no target of its own, both roles delegated. To be signed offline.
tuf::Targets DelegatingTargets(uint64_t version, WallTime expires, const DelegatedKeys& keys);

// The files that were signed offline.
struct OfflineMetadata {
  std::vector<Bytes> roots;  // of consecutive versions, the newest last
  Bytes targets;
  Bytes releases;
};
// The newest of its roots, as many as a member takes (limits::kRootVersions): who trusts none but older ones is set up
// anew.
std::span<const Bytes> RootsThatTravel(const OfflineMetadata& offline);

struct OnlineSigners {
  const Signer& snapshot;
  const Signer& timestamp;
  const Signer& rounds;
};
// The version and the expiry of each role that is signed online. The timestamp's version is the publication's number.
struct OnlineVersions {
  uint64_t snapshot = 0;
  uint64_t timestamp = 0;
  uint64_t rounds = 0;
};
struct OnlineExpiries {
  WallTime snapshot;
  WallTime timestamp;
  WallTime rounds;
};

// Signs a publication. Its number, root version and expiry are not in the catalogue: the metadata says them. Errors:
// those of the signers; kMalformed: offline metadata of another form; kConflict: a signer is not a key of its role, so
// nobody would believe it.
Result<PublicationSet> MakePublicationSet(const OfflineMetadata& offline, const OnlineSigners& signers,
                                          const Publication& publication, const OnlineVersions& versions,
                                          const OnlineExpiries& expiries);

}  // namespace tributary
