#include "protocol/catalogue/publication_store.h"

#include <algorithm>
#include <iterator>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/publication.capnp.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr size_t kTrustedBytes = limits::kRootBytes + limits::kTimestampBytes + limits::kSnapshotBytes + 1024;

tuf::TrustedFiles OnlyRoot(const Bytes& root) { return {root, {}, {}}; }

Path TrustedPath(const Path& file) { return file.string() + ".trusted"; }
Path RevokedPath(const Path& file) { return file.string() + ".revoked"; }

// Whether `next` has of every issuer in `before` a list that is no older.
bool IsNoOlder(const RevocationList& next, const RevocationList& before) {
  return std::ranges::all_of(before.issuers, [&](const RevocationList::Issuer& known) {
    const auto same = std::ranges::find(next.issuers, known.public_key, &RevocationList::Issuer::public_key);
    return same != next.issuers.end() && same->number >= known.number;
  });
}

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
      if (task.compact) RETURN_IF_ERROR(CheckBlob(CompactPath(task.id, task.latest), task.compact->blob));
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

struct PublicationUpdate {
  Result<Publication> publication;
  tuf::TrustedFiles trusted;  // from now on; of a publication that failed, what came before the failure
};

// As a member takes it in. `kept`: what is believed so far. `update_start`: tuf::kAnyTime for a publication that was
// verified when it came and may have expired since.
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

}  // namespace

PublicationStore::PublicationStore(FileSystem& files, Path file, const TrustAnchor& anchor)
    : files_(&files), file_(std::move(file)), anchor_(anchor), trusted_(OnlyRoot(anchor.publication_root())) {}

Result<PublicationStore> PublicationStore::Open(FileSystem& files, const Path& file, const TrustAnchor& anchor) {
  PublicationStore store(files, file, anchor);
  RETURN_IF_ERROR(store.ReadTrusted());
  RETURN_IF_ERROR(store.ReadRevoked());
  RETURN_IF_ERROR(store.ReadKept());
  return store;
}

Result<PublicationStore> PublicationStore::OpenCarried(FileSystem& files, const Path& file, const TrustAnchor& anchor) {
  PublicationStore store(files, file, anchor);
  store.carried_ = true;
  RETURN_IF_ERROR(store.ReadKept());
  return store;
}

Result<Publication> PublicationStore::ReadAdopted(FileSystem& files, const Path& file, const TrustAnchor& anchor) {
  PublicationStore store(files, file, anchor);
  RETURN_IF_ERROR(store.ReadTrusted());
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, file, limits::kPublicationBytes));
  return store.VerifyKept(bytes, nullptr);
}

Result<RoundsKeys> PublicationStore::ReadAdoptedKeys(FileSystem& files, const Path& file, const TrustAnchor& anchor) {
  RETURN_IF_ERROR(ReadAdopted(files, file, anchor));
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, file, limits::kPublicationBytes));
  ASSIGN_OR_RETURN(const PublicationSet set, DecodePublicationSet(bytes));
  ASSIGN_OR_RETURN(const auto targets, tuf::ParseMetadata<tuf::Targets>(set.targets));
  for (const tuf::Delegation& delegation : targets.body.delegations) {
    if (delegation.name == kRoundsRole) return RoundsKeys{targets.body.keys, delegation.role};
  }
  return Fail(Code::kMissingData, "the publication delegates to no role '{}'", kRoundsRole);
}

// From the root that this member was given; or, when the set does not reach back that far, from the one it came to.
Result<Publication> PublicationStore::VerifyKept(ByteView bytes, tuf::TrustedFiles* trusted) const {
  PublicationUpdate kept = UpdatePublication(bytes, OnlyRoot(anchor_.publication_root()), anchor_, tuf::kAnyTime);
  if (!kept.publication) kept = UpdatePublication(bytes, OnlyRoot(trusted_.root), anchor_, tuf::kAnyTime);
  if (trusted) *trusted = std::move(kept.trusted);
  return std::move(kept.publication);
}

Status PublicationStore::ReadTrusted() {
  const Result<Bytes> bytes = ReadFile(*files_, TrustedPath(file_), kTrustedBytes);
  if (!bytes && bytes.error().code == Code::kNotFound) return {};
  if (!bytes && bytes.error().code != Code::kTooLarge) return Fail(bytes.error());
  const Digest anchor = Sha256(anchor_.publication_root());
  auto trusted = bytes ? DecodeTrusted(*bytes, anchor) : Fail(bytes.error());
  if (trusted) {
    trusted_ = std::move(*trusted);
  } else if (trusted.error().code != Code::kConflict) {  // of another root: this member was set up anew
    damage_ = Error{Code::kCorrupt, "what was believed, " + TrustedPath(file_).string() + ", cannot be read (" +
                                        trusted.error().ToString() + "); the kept publication takes its place"};
  }
  return {};
}

Status PublicationStore::ReadRevoked() {
  const auto text = OrIfAbsent(ReadFile(*files_, RevokedPath(file_), limits::kRevocationBytes), {});
  if (!text && text.error().code != Code::kTooLarge) return Fail(text.error());
  auto list = text ? ReadRevocations(AsText(*text), anchor_) : Fail(text.error());
  if (list) {
    anchor_.Revoke(*list);
    revoked_ = std::move(*list);
  } else if (list.error().code != Code::kUnknownCertificate) {  // of another fleet: this member was set up anew
    damage_ = Error{Code::kCorrupt, "who was revoked, " + RevokedPath(file_).string() + ", cannot be read (" +
                                        list.error().ToString() + "); the kept publication's list takes its place"};
  }
  return {};
}

Status PublicationStore::ReadKept() {
  Result<Bytes> bytes = ReadFile(*files_, file_, limits::kPublicationBytes);
  if (!bytes && bytes.error().code == Code::kNotFound) return {};
  if (!bytes && bytes.error().code != Code::kTooLarge) return Fail(bytes.error());
  if (!bytes) return SetAside(bytes.error());

  tuf::TrustedFiles trusted;
  auto publication = VerifyKept(*bytes, &trusted);
  if (!publication) return SetAside(publication.error());
  if (trusted_.timestamp.empty() && trusted_.root == anchor_.publication_root()) trusted_ = std::move(trusted);
  if (carried_) trusted_ = OnlyRoot(anchor_.publication_root());
  Adopt(std::move(*publication), std::move(*bytes));
  return {};
}

Status PublicationStore::SetAside(const Error& why) {
  const Path aside = file_.parent_path() / "publication.bad";
  RETURN_IF_ERROR(files_->Rename(file_, aside));
  damage_ = Error{Code::kCorrupt, "the kept publication " + file_.string() + " does not verify (" + why.ToString() +
                                      "); it was set aside as " + aside.string()};
  return {};
}

Result<Publication> PublicationStore::Verify(ByteView bytes, WallTime now) {
  PublicationUpdate update = UpdatePublication(bytes, trusted_, anchor_, now);
  if (!carried_ && update.trusted != trusted_) RETURN_IF_ERROR(SaveTrusted(std::move(update.trusted)));
  return std::move(update.publication);
}

Status PublicationStore::SaveTrusted(tuf::TrustedFiles trusted) {
  const Digest anchor = Sha256(anchor_.publication_root());
  RETURN_IF_ERROR(WriteFileAtomically(*files_, TrustedPath(file_), EncodeTrusted(anchor, trusted)));
  trusted_ = std::move(trusted);
  return {};
}

// While a list is left out or older, the one that was known stays in the file: the publication has the other.
Status PublicationStore::SaveRevoked(const std::string& text) {
  ASSIGN_OR_RETURN(RevocationList next, ReadRevocations(text, anchor_));
  if (IsNoOlder(revoked_, next) || !IsNoOlder(next, revoked_)) return {};
  RETURN_IF_ERROR(WriteFileAtomically(*files_, RevokedPath(file_), AsBytes(text)));
  revoked_ = std::move(next);
  return {};
}

Result<bool> PublicationStore::Take(ByteView bytes, WallTime now) {
  if (current_ && std::ranges::equal(bytes, bytes_)) return false;
  ASSIGN_OR_RETURN(Publication publication, Verify(bytes, now));
  if (!IsNewer(publication)) return false;
  if (!carried_) RETURN_IF_ERROR(SaveRevoked(publication.revocations));
  RETURN_IF_ERROR(WriteFileAtomically(*files_, file_, bytes));
  Adopt(std::move(publication), ToBytes(bytes));
  return true;
}

Result<bool> PublicationStore::TakeAndRetain(ByteView bytes, WallTime now, BlobStore& blobs) {
  std::vector<BlobRef> named = current_ ? BlobsOf(*current_) : std::vector<BlobRef>();
  ASSIGN_OR_RETURN(const bool newer, Take(bytes, now));
  if (!newer) return false;
  std::ranges::copy(BlobsOf(*current_), std::back_inserter(named));
  std::vector<Digest> keep(named.size());
  std::ranges::transform(named, keep.begin(), &BlobRef::digest);
  if (const Status retained = blobs.RetainOnly(keep); !retained) {
    LogFailure(LogLevel::kWarning, "blobs.not_cleaned", retained.error());
  }
  return true;
}

void PublicationStore::Adopt(Publication publication, Bytes bytes) {
  current_ = std::move(publication);
  bytes_ = std::move(bytes);
  digest_ = Sha256(bytes_);
  if (const auto list = ReadRevocations(current_->revocations, anchor_)) anchor_.Revoke(*list);
}

Bytes EncodeTrusted(const Digest& anchor, const tuf::TrustedFiles& files) {
  return wire::EncodeCanonical<schema::TrustedMetadata>([&](schema::TrustedMetadata::Builder to) {
    to.setAnchor(wire::ToData(anchor.view()));
    to.setRoot(wire::ToData(files.root));
    to.setTimestamp(wire::ToData(files.timestamp));
    to.setSnapshot(wire::ToData(files.snapshot));
  });
}

Result<tuf::TrustedFiles> DecodeTrusted(ByteView bytes, const Digest& anchor) {
  const auto read = [&](schema::TrustedMetadata::Reader from) -> Result<tuf::TrustedFiles> {
    ASSIGN_OR_RETURN(const Digest of, Digest::FromBytes(wire::View(from.getAnchor())));
    if (of != anchor) return Fail(Code::kConflict, "it begins with another root than this member's");
    return tuf::TrustedFiles{ToBytes(wire::View(from.getRoot())), ToBytes(wire::View(from.getTimestamp())),
                             ToBytes(wire::View(from.getSnapshot()))};
  };
  ASSIGN_OR_RETURN(auto files, wire::DecodeCanonical<schema::TrustedMetadata>(bytes, "trusted metadata", read));
  RETURN_IF_ERROR(tuf::TrustedMetadata::Begin(files, tuf::kAnyTime));
  return files;
}

Result<Publication> VerifySet(const PublicationSet& set, tuf::TrustedMetadata& trusted) {
  return Update(trusted, set).Run();
}

Result<Publication> OpenPublication(ByteView bytes, const TrustAnchor& anchor, WallTime now) {
  return UpdatePublication(bytes, {anchor.publication_root(), {}, {}}, anchor, now).publication;
}

}  // namespace tributary
