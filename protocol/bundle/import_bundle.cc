#include "protocol/bundle/import_bundle.h"

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/bundle/receipt.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/client/subscriber.h"

namespace tributary {
namespace {

constexpr Millis kLook{50};
// A crash of the import repeats at most this much of it.
constexpr Millis kReceiptInterval{5'000};
constexpr size_t kUnderWay = 32;  // of one priority; of all together as many as a server takes on one connection

// The way back: the daemon's publication and blobs, onto the disk.
struct WayBack {
  WayBack(const BundleImportParts& parts, HopClient& client, Loop& loop, PublicationStore publication_store,
          BlobStore blob_store)
      : store(std::move(publication_store)),
        blobs(std::move(blob_store)),
        fetcher(client, loop, parts.random, blobs, disk),
        subscriber(fetcher, store, blobs, parts.clock, {.on_adopted = [](const Publication&) {}}, /*relays=*/true) {}

  WorkerPool disk{"blobs", 1};
  PublicationStore store;
  BlobStore blobs;
  Fetcher fetcher;
  Subscriber subscriber;
};

class Import {
 public:
  Import(const BundleImportParts& parts, HopClient::Options server, const Path& bundle, BundleFolder folder,
         Millis patience)
      : parts_(parts),
        bundle_(bundle),
        patience_(patience),
        folder_(std::move(folder)),
        receipts_(parts.files, bundle),
        loop_(parts.clock),
        client_({loop_, parts.clock, parts.random, parts.identity}, std::move(server),
                {[this] { return DescribeSelf(); }, [this](ByteView bytes) { Consider(bytes); }}),
        courier_(client_, loop_, parts.clock, parts.random, folder_, {.max_under_way = kUnderWay},
                 [](const UploadId&, const Error*) {}) {}

  Result<BundleImport> Run() {
    report_.found = folder_.pending();
    report_.gives_receipts = parts_.identity.subject.role == Role::kAggregator;
    OpenWayBack();
    last_move_ = last_receipt_ = parts_.clock.Monotonic();
    client_.Start();
    Look();
    loop_.Run();
    loop_.Cancel(timer_);
    client_.Stop();
    WriteReceipts();
    if (!ever_up_) return Fail(*report_.problem);
    return Report();
  }

 private:
  hop::CheckIn DescribeSelf() const {
    hop::CheckIn check_in;
    check_in.publication_number = way_back_ ? way_back_->store.number() : 0;
    check_in.root_version = way_back_ ? way_back_->store.root_version() : 0;
    return check_in;
  }
  void Consider(ByteView signed_publication) {
    if (way_back_) way_back_->subscriber.Consider(signed_publication);
  }

  // A disk that cannot be written to still brings its uploads.
  void OpenWayBack() {
    const auto open = [this]() -> Status {
      RETURN_IF_ERROR(bundle::MakePlainFolder(parts_.files, bundle_ / bundle::kReceipts));
      RETURN_IF_ERROR(bundle::MakePlainFolder(parts_.files, bundle_ / bundle::kBlobs));
      ASSIGN_OR_RETURN(auto store, PublicationStore::OpenCarried(parts_.files, bundle_ / bundle::kPublication,
                                                                 parts_.identity.anchor));
      ASSIGN_OR_RETURN(auto blobs, BlobStore::Open(parts_.files, bundle_ / bundle::kBlobs));
      way_back_.emplace(parts_, client_, loop_, std::move(store), std::move(blobs));
      return {};
    };
    if (const Status opened = open(); !opened) report_.no_receipt = opened.error();
  }

  void Look() {
    const Millis now = parts_.clock.Monotonic();
    ever_up_ |= client_.up();
    if (const uint64_t moved = Moved(); moved != moved_) {
      moved_ = moved;
      last_move_ = now;
    }
    if (folder_.delivered().size() >= kReceiptUploads || now - last_receipt_ >= kReceiptInterval) WriteReceipts();
    if (Done() || Hopeless(now)) return loop_.Stop();
    timer_ = loop_.After(kLook, [this] { Look(); });
  }

  // Grows whenever something happens.
  uint64_t Moved() const {
    const uint64_t down = way_back_ ? way_back_->fetcher.bytes_received() + way_back_->store.number() : 0;
    return courier_.counts().chunk_bytes + courier_.counts().in_custody + folder_.set_aside().size() + down +
           (client_.up() ? 1 : 0);
  }
  bool Done() const {
    if (!client_.up() || folder_.pending() > 0) return false;
    return !way_back_ || way_back_->store.number() >= client_.welcome().publication_number;
  }
  bool Hopeless(Millis now) {
    const Error& problem = client_.last_problem();
    if (!client_.up() && !IsTransient(problem.code)) {
      report_.problem = problem;
      return true;
    }
    if (now - last_move_ < patience_) return false;
    report_.problem =
        client_.up() ? Error{Code::kTimeout, fmt::format("nothing moved for {} ms", patience_.count())} : problem;
    return true;
  }

  void WriteReceipts() {
    last_receipt_ = parts_.clock.Monotonic();
    const std::vector<UploadId> all = folder_.delivered();
    if (all.empty() || !way_back_ || !report_.gives_receipts) return;
    for (size_t at = 0; at < all.size(); at += kReceiptUploads) {
      const size_t end = std::min(all.size(), at + kReceiptUploads);
      const std::vector<UploadId> some(all.begin() + static_cast<ptrdiff_t>(at),
                                       all.begin() + static_cast<ptrdiff_t>(end));
      if (const Status written = receipts_.Write(parts_.identity, parts_.clock.Now(), some); !written) {
        report_.no_receipt = written.error();
        LogFailure(LogLevel::kError, "bundle.no_receipt", written.error());
        return;
      }
      ++report_.receipts;
    }
    report_.no_receipt.reset();
    TRIBUTARY_FAULT_POINT("bundle.import.receipt");
    // Taken with a receipt: what stays behind on the disk is only offered again, in vain.
    if (const Status forgotten = folder_.Forget(); !forgotten) {
      LogFailure(LogLevel::kWarning, "bundle.not_removed", forgotten.error());
    }
  }

  BundleImport Report() {
    report_.taken = courier_.counts().in_custody;
    report_.sent_bytes = courier_.counts().chunk_bytes;
    report_.left = folder_.pending();
    if (report_.left > 0) {
      for (const auto& [code, count] : courier_.counts().refused) {
        if (IsTransient(code)) report_.passing.emplace(code, count);
      }
    }
    report_.set_aside = folder_.set_aside();
    report_.publication = way_back_ ? way_back_->store.number() : 0;
    return report_;
  }

  const BundleImportParts& parts_;
  const Path bundle_;
  const Millis patience_;
  BundleFolder folder_;
  ReceiptFolder receipts_;
  BundleImport report_;
  Loop loop_;
  HopClient client_;
  Courier courier_;
  std::optional<WayBack> way_back_;
  bool ever_up_ = false;
  uint64_t moved_ = 0;
  Millis last_move_{0};
  Millis last_receipt_{0};
  Loop::TimerId timer_ = 0;
};

std::string TellLeft(const BundleImport& report) {
  if (report.left == 0) return "";
  std::string text = fmt::format("{} stay on the disk", report.left);
  for (const auto& [code, count] : report.passing) text += fmt::format(", {}: {}", Name(code), Describe(code).sentence);
  if (report.problem) text += " (" + report.problem->ToString() + ")";
  return text + "\nImport again later: it goes on where it stopped, and nothing counts twice.\n";
}

}  // namespace

Result<BundleImport> ImportBundle(const BundleImportParts& parts, const std::string& endpoint, const Path& bundle,
                                  Millis patience) {
  ASSIGN_OR_RETURN(BundleFolder folder, BundleFolder::Open(parts.files, bundle));
  HopClient::Options server;
  server.endpoint = endpoint;
  server.server_key = parts.identity.subject.curve_public_key;
  server.retry_cap = Millis(2'000);
  server.carrier = true;
  Import import(parts, std::move(server), bundle, std::move(folder), patience);
  return import.Run();
}

std::string LocalEndpoint(const std::string& listen) {
  for (const auto& [any, local] : {std::pair{"tcp://0.0.0.0:", "tcp://127.0.0.1:"},
                                   {"tcp://*:", "tcp://127.0.0.1:"},
                                   {"tcp://[::]:", "tcp://[::1]:"}}) {
    if (listen.starts_with(any)) return local + listen.substr(std::string_view(any).size());
  }
  return listen;
}

std::string Tell(const BundleImport& report, const std::string& here) {
  std::string text = fmt::format("Found {} uploads on the disk; {} has custody of {} of them ({} bytes were new).\n{}",
                                 report.found, here, report.taken, report.sent_bytes, TellLeft(report));
  if (!report.set_aside.empty()) {
    text += fmt::format("{} could not be used and were set aside on the disk:\n", report.set_aside.size());
    for (const BundleFolder::SetAside& one : report.set_aside) {
      text += fmt::format("  {} ({} bytes): {}\n", one.name, one.bytes, one.why.ToString());
    }
    text += "The gateway that exported them still has its own copies.\n";
  }
  if (report.no_receipt) {
    text += "No receipt could be written: " + report.no_receipt->ToString() +
            "\nWhat was taken is safe here. Its senders keep their copies until a receipt or their uplink tells them; "
            "nothing counts twice.\n";
  } else if (report.receipts > 0) {
    text += "The receipts are on the disk: they free the spool of whoever sent it.\n";
  } else if (report.taken > 0 && !report.gives_receipts) {
    text +=
        "The uploads stay on the disk, and their sender keeps its copies: only a receipt of the aggregator, or the "
        "sender's own uplink, frees them. Nothing counts twice.\n";
  }
  if (report.publication > 0) {
    text += fmt::format("Publication {} with its models is on the disk.\n", report.publication);
  }
  return text + "Next: carry the disk back and `bundle import` it there.\n";
}

}  // namespace tributary
