#include "gateway/tools/bundle_tool.h"

#include <iostream>

#include "gateway/tools/attended.h"
#include "gateway/desk/inbox_post.h"
#include "protocol/bundle/bundle_publication.h"
#include "protocol/bundle/export_bundle.h"
#include "protocol/bundle/import_bundle.h"
#include "protocol/bundle/receipt.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

// For the daemon's once-a-second look, on a slow disk.
constexpr Millis kAnswerPatience{30'000};

// One import from one disk.
class DiskImport {
 public:
  DiskImport(const GatewayOptions& options, const Identity& identity, const Path& disk)
      : options_(options), identity_(identity), disk_(disk), post_(RealFileSystem(), options.data_dir / "inbox") {}

  Status Run(const std::string& endpoint, Random& random, Millis patience) {
    RETURN_IF_ERROR(TakeReceipts());
    RETURN_IF_ERROR(TakePublication());
    ASSIGN_OR_RETURN(const BundleImport report,
                     ImportBundle({clock_, random, RealFileSystem(), identity_}, endpoint, disk_, patience));
    std::cout << Tell(report, identity_.subject.id.text());
    if (report.left > 0) return Fail(report.problem.value_or(Error{Code::kBusy, "uploads stay on the disk"}));
    return {};
  }

 private:
  Status TakeReceipts() {
    const ReceiptFolder receipts(RealFileSystem(), disk_);
    ASSIGN_OR_RETURN(const auto entries, receipts.ReadAll(identity_.anchor, clock_.Now()));
    for (const ReceiptFolder::Entry& entry : entries) {
      if (!entry.receipt) {
        std::cout << "Receipt " << entry.name << " is not honoured: " << entry.receipt.error().ToString() << "\n";
        continue;
      }
      ASSIGN_OR_RETURN(const std::string name, post_.PutReceipt(entry.bytes));
      const InboxAnswer answer = post_.Await(name, clock_, kAnswerPatience);
      std::cout << "Receipt " << entry.name << ": " << (answer ? *answer : answer.error().ToString()) << ".\n";
    }
    return {};
  }

  Status TakePublication() {
    const auto carried = Held(disk_);
    if (!carried && carried.error().code == Code::kNotFound) return {};
    if (!carried) {
      std::cout << "The disk's publication is not taken: " << carried.error().ToString() << "\n";
      return {};
    }
    const auto here = Held(options_.data_dir / "relay");
    if (here && !IsNewer(*carried, *here)) {
      std::cout << "Publication " << carried->number << " of the disk is not newer than " << here->number
                << ", which this gateway serves: it stays.\n";
      return {};
    }
    const auto copied = CopyPublication(RealFileSystem(), disk_, post_.folder(), identity_.anchor, clock_.Now());
    if (!copied) {
      std::cout << "Publication " << carried->number << " could not be copied: " << copied.error().ToString() << "\n";
      return {};
    }
    const InboxAnswer answer = post_.Await(InboxPost::PublicationName(), clock_, kAnswerPatience);
    std::cout << (answer ? *answer : answer.error().ToString()) << ".\n";
    return {};
  }

  Result<Publication> Held(const Path& folder) const {
    return ReadPublication(RealFileSystem(), folder, identity_.anchor, clock_.Now());
  }

  const GatewayOptions& options_;
  const Identity& identity_;
  const Path& disk_;
  SystemClock clock_;
  InboxPost post_;
};

}  // namespace

Status ExportToDisk(const GatewayOptions& options, const Path& disk) {
  const SystemClock clock;
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentityAs(Role::kGateway, options.identity_dir, clock.Now()));
  ASSIGN_OR_RETURN(const auto spool, SpoolReader::Open(options.data_dir / "spool", RealFileSystem()));
  ASSIGN_OR_RETURN(const BundleExport report, ExportBundle({RealFileSystem(), identity.anchor, clock.Now()}, *spool,
                                                           options.data_dir / "relay", disk));
  std::cout << Tell(report, disk);
  if (report.stopped) return Fail(*report.stopped);
  if (report.no_room > 0) return Fail(Code::kDiskFull, std::to_string(report.no_room) + " uploads did not fit");
  return {};
}

Status ImportFromDisk(const GatewayOptions& options, const Path& disk, Millis patience) {
  const SystemClock clock;
  SystemRandom random;
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentityAs(Role::kGateway, options.identity_dir, clock.Now()));
  // Before a gateway is started for it: a disk that is not mounted is the likeliest mistake.
  ASSIGN_OR_RETURN([[maybe_unused]] const BundleFolder there, BundleFolder::Open(RealFileSystem(), disk));
  return WithGateway(options, clock, random, [&](const std::string& endpoint) {
    return DiskImport(options, identity, disk).Run(endpoint, random, patience);
  });
}

}  // namespace tributary
