#include "aggregator/publish/publication_folder.h"

#include <algorithm>
#include <utility>

#include "aggregator/publish/key_token_signer.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

using tuf::Metadata;
using tuf::Root;
using tuf::Targets;

// `by` is the root or the targets.
template <class Body>
Status VerifyBy(const auto& by, std::string_view role, const Metadata<Body>& metadata) {
  const tuf::RoleKeys* const keys = FindRole(by, role);
  if (keys == nullptr) return Fail(Code::kMalformed, "{} metadata names no role {}", by.kType, role);
  return tuf::VerifyThreshold(role, metadata.signed_text, metadata.signatures, by.keys, *keys);
}

Status VerifyNextRoot(const Metadata<Root>* previous, const Metadata<Root>& next) {
  if (previous != nullptr) {
    if (next.body.version != previous->body.version + 1)
      return Fail(Code::kMalformed, "root {} does not follow root {}", next.body.version, previous->body.version);
    RETURN_IF_ERROR(VerifyBy(previous->body, tuf::kRootRole, next));
  }
  return VerifyBy(next.body, tuf::kRootRole, next);
}

// A file that `verify` believes and that has the version of its name.
template <class Body>
Result<Metadata<Body>> ReadBelieved(FileSystem& files, const Path& file, uint64_t version, const auto& verify) {
  auto metadata = ReadMetadata<Body>(files, file);
  Status verified = metadata ? verify(*metadata) : Status(Fail(metadata.error()));
  if (verified && metadata->body.version != version) verified = Fail(Code::kMalformed, "its version is another");
  if (!verified) return InFile(verified.error(), file);
  return metadata;
}

// The roots that verify one after the other, and why the next one does not, if there is one.
struct RootChain {
  std::vector<Metadata<Root>> roots;
  std::optional<Error> stopped_by;
};
Result<RootChain> ReadRoots(FileSystem& files, const Path& folder) {
  ASSIGN_OR_RETURN(const auto versions, VersionsOf(files, folder, tuf::kRootRole));
  RootChain chain;
  for (const uint64_t version : versions) {
    const auto* const previous = chain.roots.empty() ? nullptr : &chain.roots.back();
    auto next = ReadBelieved<Root>(files, MetadataFile(folder, version, tuf::kRootRole), version,
                                   [&](const auto& root) { return VerifyNextRoot(previous, root); });
    if (!next) {
      chain.stopped_by = next.error();
      break;
    }
    chain.roots.push_back(std::move(*next));
  }
  return chain;
}

// The newest file of a role that `verify` believes.
Result<Metadata<Targets>> NewestBelieved(FileSystem& files, const Path& folder, std::string_view role,
                                         const std::function<Status(const Metadata<Targets>&)>& verify) {
  ASSIGN_OR_RETURN(auto versions, VersionsOf(files, folder, role));
  Error why{Code::kMissingData, fmt::format("{} is not there", MetadataFile(folder, 1, role).string())};
  for (size_t i = versions.size(); i-- > 0;) {
    auto metadata = ReadBelieved<Targets>(files, MetadataFile(folder, versions[i], role), versions[i], verify);
    if (metadata) return metadata;
    if (i + 1 == versions.size()) why = metadata.error();
  }
  return Fail(why);
}

tl::unexpected<Error> FailMissing(const Path& missing, const Path& folder) {
  return Fail(Code::kMissingData, "{} is not there; `tributary root init --dir {}` makes it", missing.string(),
              folder.string());
}

Result<std::shared_ptr<Signer>> SignerFor(std::string_view role, const tuf::RoleKeys* keys, const tuf::Keys& all,
                                          const std::map<Bytes, std::shared_ptr<Signer>>& signers) {
  for (const std::string& id : keys == nullptr ? std::vector<std::string>() : keys->key_ids) {
    const auto key = all.find(id);
    const auto public_key = key == all.end() ? std::nullopt : key->second.Ed25519();
    if (!public_key) continue;
    if (const auto found = signers.find(*public_key); found != signers.end()) return found->second;
  }
  return Fail(Code::kMissingData,
              "no file of keys/ is a key of the role {}; put it there, or name another with `tributary root rotate "
              "--online-keys`",
              role);
}

}  // namespace

Result<PublicationFolder> PublicationFolder::Open(FileSystem& files, Path folder) {
  PublicationFolder opened(files, std::move(folder));
  ASSIGN_OR_RETURN(opened.seen_, opened.Look());
  ASSIGN_OR_RETURN(opened.current_, opened.Read());
  return opened;
}

Result<PublicationFolder::Fingerprint> PublicationFolder::Look() const {
  Fingerprint seen;
  for (const Path& folder : {folder_, folder_ / "keys"}) {
    auto names = files_->List(folder);
    if (!names && names.error().code == Code::kNotFound) return FailMissing(folder, folder_);
    if (!names) return Fail(names.error());
    for (const std::string& name : *names) {
      // One that is renamed over just now is seen at the next look.
      const auto size = files_->Size(folder / name);
      seen.emplace((folder / name).string(), size ? *size : 0);
    }
  }
  return seen;
}

Result<PublicationFolder::Signers> PublicationFolder::OpenSigners() const {
  ASSIGN_OR_RETURN(const auto names, files_->List(folder_ / "keys"));
  Signers signers;
  for (const std::string& name : names) {
    if (!name.ends_with(".pem")) continue;
    ASSIGN_OR_RETURN(std::shared_ptr<Signer> signer, OpenSigner(folder_ / "keys" / name, SecretBytes()));
    const Bytes public_key = signer->public_key();
    signers.emplace(public_key, std::move(signer));
  }
  return signers;
}

Result<PublicationFolder::Repository> PublicationFolder::Read() const {
  ASSIGN_OR_RETURN(const Signers signers, OpenSigners());
  ASSIGN_OR_RETURN(RootChain chain, ReadRoots(*files_, folder_));
  if (chain.roots.empty()) {
    if (chain.stopped_by) return Fail(*chain.stopped_by);
    return FailMissing(MetadataFile(folder_, 1, tuf::kRootRole), folder_);
  }
  if (chain.stopped_by) LogFailure(LogLevel::kWarning, "publication.root_waits", *chain.stopped_by);
  auto newest = Assemble(chain.roots, signers);
  // A new root may be signed before the targets or keys that go with it are there: the one before goes on until then.
  auto assembled = newest;
  while (!assembled && chain.roots.size() > 1) {
    LogFailure(LogLevel::kWarning, "publication.root_waits", assembled.error(),
               {{"root", chain.roots.back().body.version}});
    chain.roots.pop_back();
    assembled = Assemble(chain.roots, signers);
  }
  return assembled ? assembled : newest;
}

Result<PublicationFolder::Repository> PublicationFolder::Assemble(const std::vector<Metadata<Root>>& roots,
                                                                  const Signers& signers) const {
  const Root& root = roots.back().body;
  ASSIGN_OR_RETURN(const auto targets, NewestBelieved(*files_, folder_, tuf::kTargetsRole, [&](const auto& metadata) {
                     return VerifyBy(root, tuf::kTargetsRole, metadata);
                   }));
  ASSIGN_OR_RETURN(const auto releases, NewestBelieved(*files_, folder_, kReleasesRole, [&](const auto& metadata) {
                     return VerifyBy(targets.body, kReleasesRole, metadata);
                   }));
  Repository repository;
  repository.root_version = root.version;
  repository.targets_version = targets.body.version;
  repository.releases_version = releases.body.version;
  for (const auto& each : roots) repository.offline.roots.push_back(tuf::EncodeMetadata(each));
  repository.offline.targets = tuf::EncodeMetadata(targets);
  repository.offline.releases = tuf::EncodeMetadata(releases);
  repository.first_end = std::min(
      {End{std::string(tuf::kRootRole), root.expires}, End{std::string(tuf::kTargetsRole), targets.body.expires},
       End{std::string(kReleasesRole), releases.body.expires}},
      [](const End& one, const End& other) { return one.at < other.at; });

  const auto signer_of = [&](const auto& by, std::string_view role) {
    return SignerFor(role, FindRole(by, role), by.keys, signers);
  };
  ASSIGN_OR_RETURN(repository.snapshot, signer_of(root, tuf::kSnapshotRole));
  ASSIGN_OR_RETURN(repository.timestamp, signer_of(root, tuf::kTimestampRole));
  ASSIGN_OR_RETURN(repository.rounds, signer_of(targets.body, kRoundsRole));
  return repository;
}

Status PublicationFolder::CheckTrusted(ByteView root) const {
  if (root.empty()) return {};
  ASSIGN_OR_RETURN(const auto trusted, tuf::ParseMetadata<Root>(root));
  for (const Bytes& file : current_.offline.roots) {
    ASSIGN_OR_RETURN(const auto known, tuf::ParseMetadata<Root>(file));
    if (known.signed_text == trusted.signed_text) return {};
  }
  return Fail(
      Code::kConflict,
      "root.json of the identity is none of the roots in {}: members would believe nothing that is signed here. "
      "Use the publication folder that was made with this fleet, or give its members the right root.json",
      folder_.string());
}

Result<bool> PublicationFolder::Refresh() {
  ASSIGN_OR_RETURN(Fingerprint now, Look());
  if (now == seen_) return false;
  seen_ = std::move(now);
  auto next = Read();
  if (!next) {
    // Somebody is at work in it, or has broken it. Publications go on with the files that were there.
    LogFailure(LogLevel::kError, "publication.folder_unusable", next.error(), {{"folder", folder_.string()}});
    return false;
  }
  if (next->root_version < current_.root_version || next->targets_version < current_.targets_version ||
      next->releases_version < current_.releases_version) {
    // Members have seen more than that and would take it for a rollback.
    LogError("publication.metadata_gone", {{"folder", folder_.string()}, {"root", current_.root_version}});
    return false;
  }
  const bool newer = next->root_version != current_.root_version || next->offline.targets != current_.offline.targets ||
                     next->offline.releases != current_.offline.releases;
  current_ = std::move(*next);
  if (newer) LogInfo("publication.folder_read", {{"root", current_.root_version}});
  return newer;
}

}  // namespace tributary
