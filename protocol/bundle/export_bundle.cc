#include "protocol/bundle/export_bundle.h"

#include "protocol/base/log.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/bundle/bundle_writer.h"

namespace tributary {
namespace {

// One upload. An error: the disk takes nothing more.
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

void ExportPublication(const BundleExportParts& parts, const Path& relay, const Path& bundle, BundleExport& report) {
  auto copied = CopyPublication(parts.files, relay, bundle, parts.anchor, parts.now);
  if (copied) {
    report.publication = *copied;
  } else if (copied.error().code != Code::kNotFound) {
    report.no_publication = copied.error();
  }
}

std::string Count(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

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
  if (!report.stopped) ExportPublication(parts, relay, bundle, report);
  return report;
}

std::string Tell(const BundleExport& report, const Path& bundle) {
  const uint64_t there = report.written + report.there_before;
  std::string text = "Exported " + Count(report.written, "upload") + " (" + std::to_string(report.written_bytes) +
                     " bytes) to " + bundle.string() + "; " + Count(there, "upload") + " of this gateway " +
                     (there == 1 ? "is" : "are") + " on it now.\n";
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
  if (report.publication) text += "Publication " + std::to_string(report.publication->number) + " is this gateway's.\n";
  if (report.no_publication) text += "The publication was not copied: " + report.no_publication->ToString() + "\n";
  return text +
         "Safe: this gateway keeps every upload until a receipt comes back or its uplink delivers it; a lost disk "
         "loses "
         "nothing.\nNext: `bundle import` where the disk arrives, then `bundle import` here when it comes back.\n";
}

}  // namespace tributary
