#include "aggregator/tools/bundle_tool.h"

#include <iostream>

#include "protocol/bundle/bundle_publication.h"
#include "protocol/bundle/import_bundle.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

Status ImportFromDisk(const AggregatorOptions& options, const Path& disk, Millis patience) {
  const SystemClock clock;
  SystemRandom random;
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentityAs(Role::kAggregator, options.identity_dir, clock.Now()));
  auto report =
      ImportBundle({clock, random, RealFileSystem(), identity}, LocalEndpoint(options.listen), disk, patience);
  if (!report && report.error().code == Code::kUnreachable) {
    return Fail(Code::kUnreachable, "no aggregator answers at " + LocalEndpoint(options.listen) +
                                        "; nothing on the disk was changed: start tributary-aggregator with this "
                                        "configuration, then import again (" +
                                        report.error().message + ")");
  }
  if (!report) return Fail(report.error());
  std::cout << Tell(*report, "the aggregator");
  if (report->left > 0) return Fail(report->problem.value_or(Error{Code::kBusy, "uploads stay on the disk"}));
  if (report->no_receipt) return Fail(*report->no_receipt);
  return {};
}

Status ExportToDisk(const AggregatorOptions& options, const Path& disk) {
  const SystemClock clock;
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentityAs(Role::kAggregator, options.identity_dir, clock.Now()));
  ASSIGN_OR_RETURN(const CopiedPublication copied,
                   CopyPublication(RealFileSystem(), options.data_dir, disk, identity.anchor, clock.Now()));
  if (copied.copied) {
    std::cout << "Publication " << copied.number << " with " << copied.blob_bytes
              << " bytes of models is on the disk.\n";
  } else {
    std::cout << "The disk has publication " << copied.there_before << ", this aggregator " << copied.number
              << ": it stays as it was.\n";
  }
  std::cout << "Receipts for uploads are written to the disk they came on, by `bundle import`.\n"
               "Next: carry the disk to a gateway and `tributary-gateway bundle import` it there.\n";
  return {};
}

}  // namespace tributary
