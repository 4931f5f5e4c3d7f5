#include "gateway/tools/commands.h"

#include <ctime>
#include <functional>
#include <iostream>
#include <thread>

#include "gateway/gateway.h"
#include "gateway/tools/spool_check.h"
#include "protocol/bundle/bundle_folder.h"
#include "protocol/bundle/export_bundle.h"
#include "protocol/bundle/import_bundle.h"
#include "protocol/bundle/receipt.h"
#include "protocol/spool/spool_reader.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

constexpr size_t kListed = 10'000;  // as many as a spool keeps
// For the daemon's once-a-second look, on a slow disk.
constexpr Millis kAnswerPatience{30'000};

std::string TimeText(WallTime time) {
  const std::time_t seconds = time.unix_seconds();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

const char* Fate(const DeadLetter& letter) {
  if (letter.CanRequeue()) return "kept";
  return letter.kept ? "damaged" : "freed";
}

// Every value is an id, a name or a code: of characters that JSON takes as they are.
std::string JsonOf(const DeadLetter& letter) {
  return fmt::format(
      R"({{"id": "{}", "kind": "{}", "task": "{}", "device": "{}", "reason": "{}", "when": "{}", "base_version": {}, )"
      R"("bytes": {}, "bytes_lost": {}, "can_requeue": {}}})",
      letter.id.hex(), KindName(letter.kind), letter.task.text(), letter.device.text(), Name(letter.reason),
      TimeText(letter.when), Number(letter.base_version), letter.bytes, letter.bytes_lost, letter.CanRequeue());
}

std::string JsonOfPartial(const SpooledUpload& upload) {
  return fmt::format(
      R"({{"id": "{}", "kind": "{}", "task": "{}", "device": "{}", "announced": {}, "here": {}, "held": {}}})",
      upload.id.hex(), KindName(upload.kind), upload.task.text(), upload.device.text(), upload.ciphertext_size,
      upload.StoredBytes(), upload.HeldBytes());
}

Result<std::unique_ptr<SpoolReader>> OpenReader(const GatewayOptions& options) {
  return SpoolReader::Open(options.data_dir / "spool", RealFileSystem());
}

void PrintDamage(const SpoolCheck& check) {
  for (const DamagedUpload& damaged : check.damaged) {
    std::cout << fmt::format("DAMAGED {} of {}: {} bytes lost: {}\n", damaged.upload.id.hex(),
                             damaged.upload.device.text(), damaged.bytes_lost, damaged.what);
  }
  for (const std::string& problem : check.index_problems) std::cout << "INDEX " << problem << "\n";
  for (const std::string& orphan : check.orphans) {
    std::cout << "Nobody's file " << orphan << ": the next start of the gateway removes it\n";
  }
}

// Runs `work` while a gateway holds the data folder: the daemon, or, when none runs, one in this process that listens on
// loopback only and makes no connection upwards. So a tool says the same to both. `endpoint`: where that gateway can be
// reached. Errors: those of Gateway::Open but kLocked, and those of `work`.
Status WithGateway(const GatewayOptions& options, const Clock& clock, Random& random,
                   const std::function<Status(const std::string& endpoint)>& work) {
  GatewayOptions own = options;
  own.hop.endpoint = "tcp://127.0.0.1:*";
  own.http.port = 0;
  own.connect_upstream = false;
  auto gateway = Gateway::Open(own, clock, random, RealFileSystem());
  if (!gateway && gateway.error().code == Code::kLocked) return work(LocalEndpoint(options.hop.endpoint));
  if (!gateway) return Fail(gateway.error());
  std::thread running([&] { (*gateway)->Run(); });
  Status done = work((*gateway)->endpoint());
  (*gateway)->Stop();
  running.join();
  return done;
}

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
  ASSIGN_OR_RETURN(const auto spool, OpenReader(options));
  ASSIGN_OR_RETURN(const BundleExport report, ExportBundle({RealFileSystem(), identity.anchor, clock.Now()}, *spool,
                                                           options.data_dir / "relay", disk));
  std::cout << Tell(report, disk);
  if (report.stopped) return Fail(*report.stopped);
  if (report.no_room > 0) return Fail(Code::kDiskFull, "{} uploads did not fit", report.no_room);
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

Status RotateKey(const GatewayOptions& options) {
  RETURN_IF_ERROR(KeyRotation::Begin(RealFileSystem(), options.identity_dir));
  std::cout << "The next key is in " << (options.identity_dir / "next").string()
            << ". The daemon has it certified, announces it for " << options.overlap_days
            << " days, and then changes to it.\n";
  return {};
}

Result<UploadId> UploadOf(const std::string& text) {
  if (auto id = UploadId::FromHex(text)) return id;
  return Fail(Code::kInvalidArgument,
              "\"{}\" is no upload id: 32 hexadecimal digits, as `dead-letter list` prints them", text);
}

Status CheckSpoolHere(const GatewayOptions& options, ListForm form) {
  ASSIGN_OR_RETURN(const SpoolCheck check, CheckSpool(options.data_dir / "spool", RealFileSystem()));
  if (form == ListForm::kJson) {
    std::cout << fmt::format(
        R"({{"sound": {}, "uploads": {}, "bytes": {}, "partial": {}, "dead_letters": {}, "damaged": {}, )"
        R"("bytes_lost": {}, "index_problems": {}, "orphans": {}, "account_holds": {}}})",
        check.Sound(), check.uploads, check.bytes, check.partial, check.account.dead_letters, check.damaged.size(),
        check.BytesLost(), check.index_problems.size(), check.orphans.size(), check.account.Balances());
    std::cout << "\n";
  } else {
    std::cout << fmt::format("{} uploads ({} bytes) were read and compared; {} are partial, {} are dead letters.\n",
                             check.uploads, check.bytes, check.partial, check.account.dead_letters);
    PrintDamage(check);
    if (check.Sound()) std::cout << "All of it is sound.\n";
  }
  if (check.Sound()) return {};
  return Fail(Code::kCorrupt,
              "{} uploads are damaged, {} bytes are lost; the others are safe and go on. Damaged ones become dead "
              "letters when they are read; their devices still count once, with what they send next",
              check.damaged.size(), check.BytesLost());
}

Status ListPartial(const GatewayOptions& options, const std::string& device, ListForm form) {
  std::optional<DeviceId> of;
  if (!device.empty()) {
    ASSIGN_OR_RETURN(of, DeviceId::Parse(device));
  }
  ASSIGN_OR_RETURN(const auto reader, OpenReader(options));
  ASSIGN_OR_RETURN(const std::vector<SpooledUpload> uploads, reader->Partial(of, kListed));
  if (form == ListForm::kJson) {
    std::string text;
    for (const SpooledUpload& upload : uploads) text += (text.empty() ? "\n  " : ",\n  ") + JsonOfPartial(upload);
    std::cout << "[" << text << (text.empty() ? "]\n" : "\n]\n");
    return {};
  }
  if (uploads.empty()) std::cout << "No partial uploads.\n";
  for (const SpooledUpload& upload : uploads) {
    std::cout << fmt::format("{}  {:<12} {:<20} {:<20} announced {} bytes, {} are here, {} are held\n", upload.id.hex(),
                             KindName(upload.kind), upload.task.text(), upload.device.text(), upload.ciphertext_size,
                             upload.StoredBytes(), upload.HeldBytes());
  }
  return {};
}

Status ListDeadLetters(const GatewayOptions& options, ListForm form) {
  ASSIGN_OR_RETURN(const auto reader, OpenReader(options));
  ASSIGN_OR_RETURN(const std::vector<DeadLetter> letters, reader->DeadLetters(kListed));
  if (form == ListForm::kJson) {
    std::cout << "[";
    for (size_t i = 0; i < letters.size(); ++i) std::cout << (i == 0 ? "\n  " : ",\n  ") << JsonOf(letters[i]);
    std::cout << (letters.empty() ? "]\n" : "\n]\n");
    return {};
  }
  if (letters.empty()) std::cout << "No dead letters.\n";
  for (const DeadLetter& letter : letters) {
    std::cout << fmt::format("{}  {}  {:<10} {:<20} {:<16} {:>12} bytes  {}\n", letter.id.hex(), TimeText(letter.when),
                             KindName(letter.kind), letter.device.text(), Name(letter.reason), letter.bytes,
                             Fate(letter));
  }
  return {};
}

Status ShowDeadLetter(const GatewayOptions& options, const std::string& id, ListForm form) {
  ASSIGN_OR_RETURN(const UploadId upload, UploadOf(id));
  ASSIGN_OR_RETURN(const auto reader, OpenReader(options));
  ASSIGN_OR_RETURN(const DeadLetter letter, reader->FindDeadLetter(upload));
  if (form == ListForm::kJson) {
    std::cout << JsonOf(letter) << "\n";
    return {};
  }
  const CodeEntry& reason = Describe(letter.reason);
  std::cout << "upload   " << letter.id.hex() << "\nkind     " << KindName(letter.kind) << "\ndevice   "
            << letter.device.text() << "\ntask     " << letter.task.text() << ", base version "
            << Number(letter.base_version) << "\nbytes    " << letter.bytes << " (" << Fate(letter) << ", "
            << letter.bytes_lost << " lost)\nwhen     " << TimeText(letter.when) << "\nwhy      " << reason.name << ": "
            << reason.sentence << "\n         " << reason.remedy << "\nnext     "
            << (letter.CanRequeue() ? "`dead-letter requeue " + id + "` puts it back into custody"
                                    : "its payload is gone: `dead-letter purge " + id + "` forgets it")
            << "\n";
  return {};
}

Status CarryOut(const GatewayOptions& options, const Order& order) {
  const SystemClock clock;
  SystemRandom random;
  return WithGateway(options, clock, random, [&](const std::string&) -> Status {
    InboxPost post(RealFileSystem(), options.data_dir / "inbox");
    ASSIGN_OR_RETURN(const std::string name, post.PutOrder(order, random));
    ASSIGN_OR_RETURN(const std::string done, post.Await(name, clock, kAnswerPatience));
    std::cout << done << "\n";
    return {};
  });
}

}  // namespace tributary
