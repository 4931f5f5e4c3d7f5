#include "protocol/bundle/bundle_writer.h"

#include <algorithm>

#include "protocol/base/fault_point.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// Left free on the disk: for receipts and the publication on the way back.
constexpr uint64_t kLeaveFree = limits::kMiB;

}  // namespace

Result<BundleWriter> BundleWriter::Open(FileSystem& files, const Path& bundle) {
  RETURN_IF_ERROR(files.CreateFolders(bundle));
  BundleWriter writer(files, bundle / bundle::kUploads);
  RETURN_IF_ERROR(bundle::MakePlainFolder(files, writer.folder_));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(writer.folder_));
  for (const std::string& name : names) {
    if (name.ends_with(bundle::kPart)) RETURN_IF_ERROR(files.Remove(writer.folder_ / name));
  }
  return writer;
}

Result<BundleWriter::Added> BundleWriter::Add(const SpooledUpload& upload, ByteView envelope,
                                              const std::function<Result<Bytes>(uint32_t index)>& read_chunk) {
  const Path path = folder_ / bundle::UploadName(upload.id);
  const uint64_t size = bundle::kUploadHeadBytes + envelope.size() + upload.ciphertext_size;
  ASSIGN_OR_RETURN(const bool there, IsThere(path, envelope, size));
  if (there) return Added::kThereBefore;
  ASSIGN_OR_RETURN(const DiskSpace space, files_->Space(folder_));
  if (space.free_bytes < size + kLeaveFree) {
    return Fail(Code::kDiskFull, "upload " + upload.id.hex() + " needs " + std::to_string(size) + " bytes, " +
                                     folder_.string() + " has " + std::to_string(space.free_bytes) + " free");
  }
  Path part = path;
  part += bundle::kPart;
  Status written = Write(part, upload, envelope, read_chunk);
  TRIBUTARY_FAULT_POINT("bundle.export.written");
  if (written) written = files_->Rename(part, path);
  if (!written) {
    // What is half written is in nobody's way; the disk may even refuse to remove it.
    static_cast<void>(files_->Remove(part));
    return Fail(written.error());
  }
  TRIBUTARY_FAULT_POINT("bundle.export.named");
  return Added::kWritten;
}

Status BundleWriter::Finish() { return files_->SyncFolder(folder_); }

// The rename came after the sync, so the size tells all; the envelope tells another upload of the same id apart.
Result<bool> BundleWriter::IsThere(const Path& path, ByteView envelope, uint64_t size) const {
  const auto present = files_->Size(path);
  if (!present && present.error().code == Code::kNotFound) return false;
  if (!present) return Fail(present.error());
  if (*present != size || !bundle::IsPlainFile(path)) return false;
  ASSIGN_OR_RETURN(const Bytes begin, files_->ReadAt(path, 0, bundle::kUploadHeadBytes + envelope.size()));
  return std::ranges::equal(ByteView(begin).subspan(bundle::kUploadHeadBytes), envelope);
}

Status BundleWriter::Write(const Path& part, const SpooledUpload& upload, ByteView envelope,
                           const std::function<Result<Bytes>(uint32_t index)>& read_chunk) {
  ASSIGN_OR_RETURN(const auto file, files_->OpenForWrite(part));
  Bytes head = bundle::UploadHead(static_cast<uint32_t>(envelope.size()));
  Append(head, envelope);
  RETURN_IF_ERROR(file->WriteAt(0, head));
  Sha256Stream digest;
  for (uint32_t index = 0; index < upload.chunk_count; ++index) {
    ASSIGN_OR_RETURN(const Bytes chunk, read_chunk(index));
    digest.Update(chunk);
    RETURN_IF_ERROR(file->WriteAt(head.size() + upload.ChunkOffset(index), chunk));
  }
  if (std::move(digest).Finish() != upload.ciphertext_digest) {
    return Fail(Code::kDigestMismatch, "the spooled payload of " + upload.id.hex() +
                                           " is damaged: " + std::to_string(upload.ciphertext_size) + " bytes");
  }
  return file->Sync();
}

}  // namespace tributary
