#include "protocol/catalogue/publication_update.h"

#include <algorithm>

#include "protocol/catalogue/publication.h"
#include "protocol/trust/identity/revocation_list.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// One run over one set.
class Update {
 public:
  Update(tuf::TrustedMetadata& trusted, const PublicationSet& set) : trusted_(trusted), set_(set) {}

  Result<Publication> Run() {
    RETURN_IF_ERROR(trusted_.UpdateRoots(set_.roots));
    RETURN_IF_ERROR(trusted_.UpdateTimestamp(set_.timestamp));
    RETURN_IF_ERROR(trusted_.UpdateSnapshot(set_.snapshot));
    RETURN_IF_ERROR(trusted_.UpdateTargets(set_.targets));
    // Also of roles that nobody asks for now: a set has no parts that are nobody's.
    for (const auto& role : set_.delegated) RETURN_IF_ERROR(trusted_.CheckInSnapshot(role.name, role.bytes));
    RETURN_IF_ERROR(CheckContent(kCataloguePath, set_.catalogue));
    RETURN_IF_ERROR(CheckRevocations());
    ASSIGN_OR_RETURN(Publication publication, DecodePublication(set_.catalogue));
    RETURN_IF_ERROR(CheckBlobs(publication));
    publication.number = trusted_.timestamp().version;
    ASSIGN_OR_RETURN(publication.root_version, RootVersion());
    publication.expires = trusted_.expires();
    publication.revocations = set_.revocations;
    return publication;
  }

 private:
  Result<std::optional<tuf::TargetFile>> Find(std::string_view path) {
    return trusted_.FindTarget(std::string(path), [this](const std::string& name) -> Result<ByteView> {
      const auto role = std::ranges::find(set_.delegated, name, &PublicationSet::Delegated::name);
      if (role != set_.delegated.end()) return ByteView(role->bytes);
      return Fail(Code::kMixedPublication, "the metadata of role {} is not there", name);
    });
  }

  // 5.7: the target's length and digest.
  Status CheckContent(std::string_view path, ByteView content) {
    ASSIGN_OR_RETURN(const auto target, Find(path));
    if (!target) return Fail(Code::kMixedPublication, "no role names the target {}", path);
    if (target->length == content.size() && target->sha256 == Sha256(content)) return {};
    return Fail(Code::kDigestMismatch, "target {} is not what its role has signed", path);
  }

  Status CheckRevocations() {
    if (!set_.revocations.empty()) return CheckContent(kRevocationsPath, AsBytes(set_.revocations));
    ASSIGN_OR_RETURN(const auto named, Find(kRevocationsPath));
    if (!named) return {};
    return Fail(Code::kMixedPublication, "the list of revoked certificates was left out");
  }

  // The catalogue may only have fetched what the roles have signed.
  Status CheckBlob(const std::string& path, const BlobRef& blob) {
    ASSIGN_OR_RETURN(const auto target, Find(path));
    if (target && target->length == blob.size && target->sha256 == blob.digest) return {};
    return Fail(Code::kMixedPublication, "the catalogue's {} is not a target that was signed", path);
  }
  Status CheckBlobs(const Publication& publication) {
    for (const PublishedTask& task : publication.tasks) {
      RETURN_IF_ERROR(CheckBlob(ModulePath(task.id), task.module));
      RETURN_IF_ERROR(CheckBlob(WeightsPath(task.id, task.latest), task.weights));
    }
    return {};
  }

  // Of the set's own last root: the same whenever and from whatever root the set is read. It is verified when it is
  // newer than the trusted one, and of no advantage to anybody when it is older.
  Result<uint64_t> RootVersion() const {
    if (set_.roots.empty()) return trusted_.root().version;
    ASSIGN_OR_RETURN(const auto last, tuf::ParseMetadata<tuf::Root>(set_.roots.back()));
    return std::min(last.body.version, trusted_.root().version);
  }

  tuf::TrustedMetadata& trusted_;
  const PublicationSet& set_;
};

// A member asks this of a publication that verifies; its publisher does not.
Status CheckForMember(const Publication& publication, const TrustAnchor& anchor) {
  RETURN_IF_ERROR(ReadRevocations(publication.revocations, anchor));
  // Members take `created` for a time that is past (protocol/base/time_floor.h): it cannot push their clocks further
  // than offline keys allow.
  if (publication.created < publication.expires) return {};
  return Fail(Code::kMalformed, "the publication was made after its end");
}

}  // namespace

Result<Publication> VerifySet(const PublicationSet& set, tuf::TrustedMetadata& trusted) {
  return Update(trusted, set).Run();
}

PublicationUpdate UpdatePublication(ByteView bytes, const tuf::TrustedFiles& kept, const TrustAnchor& anchor,
                                    WallTime update_start) {
  const auto set = DecodePublicationSet(bytes);
  if (!set) return {Fail(set.error()), kept};
  auto trusted = tuf::TrustedMetadata::Begin(kept, update_start);
  if (!trusted) return {Fail(trusted.error()), kept};
  Result<Publication> publication = VerifySet(*set, *trusted);
  if (publication) {
    if (const Status fits = CheckForMember(*publication, anchor); !fits) publication = Fail(fits.error());
  }
  return {std::move(publication), trusted->files()};
}

Result<Publication> OpenPublication(ByteView bytes, const TrustAnchor& anchor, WallTime now) {
  return UpdatePublication(bytes, {anchor.publication_root(), {}, {}}, anchor, now).publication;
}

}  // namespace tributary
