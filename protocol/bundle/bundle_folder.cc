#include "protocol/bundle/bundle_folder.h"

#include <filesystem>

#include "protocol/base/log.h"
#include "protocol/bundle/bundle_format.h"

namespace tributary {

Path BundleFolder::PathOf(const UploadId& id) const { return bundle_ / bundle::kUploads / bundle::UploadName(id); }

Result<BundleFolder> BundleFolder::Open(FileSystem& files, const Path& bundle) {
  std::error_code error;
  if (!std::filesystem::is_directory(bundle, error)) {
    return Fail(Code::kNotFound, "no folder {}; is the disk mounted there?", bundle.string());
  }
  BundleFolder opened(files, bundle);
  const auto names = files.List(bundle / bundle::kUploads);
  if (!names && names.error().code == Code::kNotFound) return opened;
  if (!names) return Fail(names.error());
  for (const std::string& name : *names) {
    const auto id = bundle::UploadOfName(name);
    if (!id) continue;  // half written, or somebody else's
    if (opened.entries_.size() >= bundle::kMaxFiles) {
      opened.set_aside_.push_back({name, 0, {Code::kTooLarge, "over a million uploads; import again for the rest"}});
      break;
    }
    const Path path = opened.PathOf(*id);
    auto entry = opened.ReadHead(path, *id);
    if (!entry) {
      opened.MoveAside(name, files.Size(path).value_or(0), entry.error());
      continue;
    }
    opened.pending_bytes_ += entry->facts.ciphertext_size;
    const auto [place, added] = opened.entries_.emplace(*id, std::move(*entry));
    opened.order_.emplace(OrderOf(place->second), &place->second);
  }
  return opened;
}

Result<BundleFolder::Entry> BundleFolder::ReadHead(const Path& path, const UploadId& id) const {
  if (!bundle::IsPlainFile(path)) return Fail(Code::kMalformed, "not a plain file");
  ASSIGN_OR_RETURN(const uint64_t size, files_->Size(path));
  ASSIGN_OR_RETURN(const Bytes head, files_->ReadAt(path, 0, bundle::kUploadHeadBytes));
  Entry entry;
  ASSIGN_OR_RETURN(entry.envelope_size, bundle::ParseUploadHead(head));
  ASSIGN_OR_RETURN(const Bytes bytes, files_->ReadAt(path, bundle::kUploadHeadBytes, entry.envelope_size));
  ASSIGN_OR_RETURN(const SignedEnvelope envelope, ParseEnvelope(bytes));
  entry.facts = FactsOf(envelope.header);
  entry.created = envelope.header.subject.created;
  if (entry.facts.id != id) return Fail(Code::kMalformed, "the file's name is not its upload's id");
  const uint64_t expected = bundle::kUploadHeadBytes + entry.envelope_size + entry.facts.ciphertext_size;
  if (size != expected) {
    return Fail(Code::kCorrupt, "{} of {} bytes are there", size, expected);
  }
  entry.facts.state = UploadState::kComplete;
  entry.facts.next_chunk = entry.facts.chunk_count;
  return entry;
}

Result<const BundleFolder::Entry*> BundleFolder::Find(const UploadId& id) const {
  const auto found = entries_.find(id);
  if (found == entries_.end() || !order_.contains(OrderOf(found->second))) {
    return Fail(Code::kUnknownUpload, "upload {} is not in the bundle", id.hex());
  }
  return &found->second;
}

Result<std::vector<SpooledUpload>> BundleFolder::Pending(size_t limit) const {
  std::vector<SpooledUpload> pending;
  for (const auto& [order, entry] : order_) {
    if (pending.size() >= limit) break;
    pending.push_back(entry->facts);
  }
  return pending;
}

Result<Bytes> BundleFolder::ReadEnvelope(const UploadId& id) const {
  ASSIGN_OR_RETURN(const Entry* entry, Find(id));
  return files_->ReadAt(PathOf(id), bundle::kUploadHeadBytes, entry->envelope_size);
}

Result<Bytes> BundleFolder::ReadChunk(const UploadId& id, uint32_t index) const {
  ASSIGN_OR_RETURN(const Entry* entry, Find(id));
  if (index >= entry->facts.chunk_count) {
    return Fail(Code::kInvalidArgument, "chunk {} of {}", index, id.hex());
  }
  return files_->ReadAt(PathOf(id), bundle::kUploadHeadBytes + entry->envelope_size + entry->facts.ChunkOffset(index),
                        entry->facts.ChunkBytes(index));
}

void BundleFolder::Delivered(const UploadId& id, Done<void> done) {
  if (const auto entry = Find(id); !entry) return done(Fail(entry.error()));
  TakeOut(id);
  delivered_.push_back(id);
  done({});
}

void BundleFolder::Drop(const UploadId& id, Code reason, Done<void> done) {
  const auto entry = Find(id);
  if (!entry) return done(Fail(entry.error()));
  const uint64_t bytes = (*entry)->facts.ciphertext_size;
  TakeOut(id);
  const Error why{reason, std::string(Describe(reason).sentence)};
  if (reason == Code::kIo || reason == Code::kNotFound) {
    set_aside_.push_back({bundle::UploadName(id), bytes, why});
  } else {
    MoveAside(bundle::UploadName(id), bytes, why);
  }
  done({});
}

void BundleFolder::TakeOut(const UploadId& id) {
  const Entry& entry = entries_.at(id);
  pending_bytes_ -= entry.facts.ciphertext_size;
  order_.erase(OrderOf(entry));
}

Status BundleFolder::Forget() {
  for (const UploadId& id : delivered_) {
    RETURN_IF_ERROR(files_->Remove(PathOf(id)));
    entries_.erase(id);
  }
  delivered_.clear();
  return {};
}

void BundleFolder::MoveAside(const std::string& name, uint64_t bytes, const Error& why) {
  const Path aside = bundle_ / bundle::kSetAside;
  Status moved = bundle::MakePlainFolder(*files_, aside);
  if (moved) {
    moved = files_->Rename(bundle_ / bundle::kUploads / name, aside / (name + "." + std::string(Name(why.code))));
  }
  LogFailure(LogLevel::kWarning, "bundle.set_aside", why, {{"file", name}, {"bytes", bytes}, {"moved", moved ? 1 : 0}});
  set_aside_.push_back({name, bytes, why});
}

}  // namespace tributary
