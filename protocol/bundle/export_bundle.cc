#include "protocol/bundle/export_bundle.h"

#include <algorithm>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// Left free on the disk: for receipts and the publication on the way back.
constexpr uint64_t kLeaveFree = limits::kMiB;

// Exports one upload. An error: the disk takes nothing more.
Status ExportOne(SpoolReader& spool, const SpooledUpload& upload, BundleWriter& writer, BundleExport& report) {
  const auto envelope = spool.ReadEnvelope(upload.id);
  bool spool_failed = !envelope;
  const auto read_chunk = [&](uint32_t index) {
    auto chunk = spool.ReadChunk(upload.id, index);
    if (!chunk) spool_failed = true;
    return chunk;
  };
  const Result<BundleWriter::Added> added =
      envelope ? writer.Add(upload, *envelope, read_chunk) : Fail(envelope.error());
  if (added && *added == BundleWriter::Added::kWritten) {
    ++report.written;
    report.written_bytes += upload.ciphertext_size;
  } else if (added) {
    ++report.there_before;
  } else if (spool_failed && added.error().code == Code::kUnknownUpload) {
    ++report.gone;
  } else if (spool_failed || added.error().code == Code::kDigestMismatch) {
    LogFailure(LogLevel::kError, "bundle.not_exported", added.error(), {{"upload", upload.id.hex()}});
    report.damaged.emplace_back(upload.id, added.error());
  } else if (added.error().code == Code::kDiskFull) {
    ++report.no_room;  // a smaller one may still fit
  } else {
    return Fail(added.error());
  }
  return {};
}

std::string Count(uint64_t count, const std::string& what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

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
    return Fail(Code::kDiskFull, "upload {} needs {} bytes, {} has {} free", upload.id.hex(), size, folder_.string(),
                space.free_bytes);
  }
  const Path part = path.string() + std::string(bundle::kPart);
  Status written = Write(part, upload, envelope, read_chunk);
  TRIBUTARY_FAULT_POINT("bundle.export.written");
  if (written) written = files_->Rename(part, path);
  if (!written) {
    // A half written file is in nobody's way; the disk may even refuse to remove it.
    static_cast<void>(files_->Remove(part));
    return Fail(written.error());
  }
  TRIBUTARY_FAULT_POINT("bundle.export.named");
  return Added::kWritten;
}

Status BundleWriter::Finish() { return files_->SyncFolder(folder_); }

// The rename came after the sync, so the size tells all; the envelope tells another upload of the same id apart.
Result<bool> BundleWriter::IsThere(const Path& path, ByteView envelope, uint64_t size) const {
  ASSIGN_OR_RETURN(const uint64_t present, OrIfAbsent(files_->Size(path), 0));
  if (present != size || !bundle::IsPlainFile(path)) return false;
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
    return Fail(Code::kDigestMismatch, "the spooled payload of {} is damaged: {} bytes", upload.id.hex(),
                upload.ciphertext_size);
  }
  return file->Sync();
}

Result<BundleExport> ExportBundle(const BundleExportParts& parts, SpoolReader& spool, const Path& relay,
                                  const Path& bundle) {
  ASSIGN_OR_RETURN(BundleWriter writer, BundleWriter::Open(parts.files, bundle));
  ASSIGN_OR_RETURN(const std::vector<SpooledUpload> pending, spool.Pending(bundle::kMaxFiles));
  BundleExport report;
  for (const SpooledUpload& upload : pending) {
    if (const Status status = ExportOne(spool, upload, writer, report); !status) {
      report.stopped = status.error();
      break;
    }
  }
  RETURN_IF_ERROR(writer.Finish());
  if (report.stopped) return report;
  const auto copied = CopyPublication(parts.files, relay, bundle, parts.anchor, parts.now);
  if (copied) {
    report.publication = *copied;
  } else if (copied.error().code != Code::kNotFound) {
    report.no_publication = copied.error();
  }
  return report;
}

std::string Tell(const BundleExport& report, const Path& bundle) {
  const uint64_t there = report.written + report.there_before;
  std::string text =
      fmt::format("Exported {} ({} bytes) to {}; {} of this gateway {} on it now.\n", Count(report.written, "upload"),
                  report.written_bytes, bundle.string(), Count(there, "upload"), there == 1 ? "is" : "are");
  if (report.gone > 0) text += Count(report.gone, "upload") + " went up by the uplink meanwhile and need no disk.\n";
  if (report.no_room > 0) {
    text += "The disk is full: " + Count(report.no_room, "upload") +
            " did not fit. What is on it is whole and may travel. Export the rest to another disk.\n";
  }
  if (report.stopped) {
    text += "The disk failed: " + report.stopped->ToString() +
            "\nWhat was written before is whole. Check the disk and export again: it goes on where it stopped.\n";
  }
  for (const auto& [id, why] : report.damaged) {
    text += "Not exported, damaged in the spool: " + id.hex() + ": " + why.ToString() +
            ". See `tributary-gateway spool check`.\n";
  }
  if (report.publication) text += fmt::format("Publication {} is this gateway's.\n", report.publication->number);
  if (report.no_publication) text += "The publication was not copied: " + report.no_publication->ToString() + "\n";
  return text +
         "Safe: this gateway keeps every upload until a receipt comes back or its uplink delivers it; a lost disk "
         "loses "
         "nothing.\nNext: `bundle import` where the disk arrives, then `bundle import` here when it comes back.\n";
}

}  // namespace tributary
