#include "aggregator/publish/tuf_shelf.h"

#include "aggregator/publish/repository_files.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

using Files = std::map<std::string, std::shared_ptr<const Bytes>>;

template <class Body>
Result<Body> AddVersioned(std::string_view role, const Bytes& file, Files& files) {
  ASSIGN_OR_RETURN(auto metadata, tuf::ParseMetadata<Body>(file));
  files.emplace(MetadataFile({}, metadata.body.version, role).string(), std::make_shared<const Bytes>(file));
  return std::move(metadata.body);
}

// "models/digits/module.pt" -> "models/digits/<sha256>.module.pt".
std::string Consistent(const std::string& path, const Digest& digest) {
  const size_t name = path.rfind('/') + 1;  // 0 when there is no folder
  return path.substr(0, name) + digest.hex() + "." + path.substr(name);
}

}  // namespace

Result<TufShelf::Edition> TufShelf::Read(ByteView publication) {
  ASSIGN_OR_RETURN(const PublicationSet set, DecodePublicationSet(publication));
  Edition edition;
  edition.metadata.emplace("timestamp.json", std::make_shared<const Bytes>(set.timestamp));
  for (const Bytes& root : set.roots) RETURN_IF_ERROR(AddVersioned<tuf::Root>(tuf::kRootRole, root, edition.metadata));
  RETURN_IF_ERROR(AddVersioned<tuf::Snapshot>(tuf::kSnapshotRole, set.snapshot, edition.metadata));
  RETURN_IF_ERROR(AddVersioned<tuf::Targets>(tuf::kTargetsRole, set.targets, edition.metadata));
  for (const auto& [name, bytes] : set.delegated) {
    ASSIGN_OR_RETURN(const tuf::Targets role, AddVersioned<tuf::Targets>(name, bytes, edition.metadata));
    for (const auto& [path, file] : role.files) {
      edition.targets.emplace(Consistent(path, file.sha256), Target{{file.sha256, file.length}, nullptr});
    }
  }
  // These two travel in the publication itself.
  const Bytes revocations = ToBytes(AsBytes(set.revocations));
  for (const auto& [path, bytes] : {std::pair{kCataloguePath, &set.catalogue}, {kRevocationsPath, &revocations}}) {
    const Digest digest = Sha256(*bytes);
    const auto found = edition.targets.find(Consistent(std::string(path), digest));
    if (found != edition.targets.end()) found->second.bytes = std::make_shared<const Bytes>(*bytes);
  }
  return edition;
}

Status TufShelf::Put(ByteView publication) {
  ASSIGN_OR_RETURN(Edition edition, Read(publication));
  const std::lock_guard lock(mutex_);
  editions_.push_front(std::move(edition));
  if (editions_.size() > memory_) editions_.pop_back();
  return {};
}

Result<std::shared_ptr<const Bytes>> TufShelf::Metadata(const std::string& file) const {
  const std::lock_guard lock(mutex_);
  for (const Edition& edition : editions_) {
    if (const auto found = edition.metadata.find(file); found != edition.metadata.end()) return found->second;
  }
  return Fail(Code::kNotFound, "no metadata " + file);
}

Result<TufShelf::Target> TufShelf::Find(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  for (const Edition& edition : editions_) {
    if (const auto found = edition.targets.find(path); found != edition.targets.end()) return found->second;
  }
  return Fail(Code::kNotFound, "no target " + path);
}

}  // namespace tributary
