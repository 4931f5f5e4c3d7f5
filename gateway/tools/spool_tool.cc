#include "gateway/tools/spool_tool.h"

#include <ctime>
#include <iomanip>
#include <iostream>

#include "gateway/tools/attended.h"
#include "gateway/desk/inbox_post.h"
#include "gateway/tools/spool_check.h"
#include "protocol/spool/spool_reader.h"

namespace tributary {
namespace {

constexpr size_t kListed = 10'000;  // as many as a spool keeps
constexpr Millis kAnswerPatience{30'000};

std::string TimeText(WallTime time) {
  const std::time_t seconds = time.unix_millis / 1000;
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
  const auto text = [](const char* key, const std::string& value) {
    return "\"" + std::string(key) + "\": \"" + value + "\", ";
  };
  return "{" + text("id", letter.id.hex()) + text("kind", std::string(KindName(letter.kind))) +
         text("task", letter.task.text()) + text("device", letter.device.text()) +
         text("reason", std::string(Name(letter.reason))) + text("when", TimeText(letter.when)) +
         "\"base_version\": " + std::to_string(Number(letter.base_version)) +
         ", \"bytes\": " + std::to_string(letter.bytes) + ", \"bytes_lost\": " + std::to_string(letter.bytes_lost) +
         ", \"can_requeue\": " + (letter.CanRequeue() ? "true" : "false") + "}";
}

Result<std::unique_ptr<SpoolReader>> OpenReader(const GatewayOptions& options) {
  return SpoolReader::Open(options.data_dir / "spool", RealFileSystem());
}

void PrintDamage(const SpoolCheck& check) {
  for (const DamagedUpload& damaged : check.damaged) {
    std::cout << "DAMAGED " << damaged.upload.id.hex() << " of " << damaged.upload.device.text() << ": "
              << damaged.bytes_lost << " bytes lost: " << damaged.what << "\n";
  }
  for (const std::string& problem : check.index_problems) std::cout << "INDEX " << problem << "\n";
  for (const std::string& orphan : check.orphans) {
    std::cout << "Nobody's file " << orphan << ": the next start of the gateway removes it\n";
  }
}

}  // namespace

Result<UploadId> UploadOf(const std::string& text) {
  auto id = UploadId::FromHex(text);
  if (id) return id;
  return Fail(Code::kInvalidArgument,
              "\"" + text + "\" is no upload id: 32 hexadecimal digits, as `dead-letter list` prints them");
}

Status CheckSpoolHere(const GatewayOptions& options, ListForm form) {
  ASSIGN_OR_RETURN(const SpoolCheck check, CheckSpool(options.data_dir / "spool", RealFileSystem()));
  if (form == ListForm::kJson) {
    std::cout << "{\"sound\": " << (check.Sound() ? "true" : "false") << ", \"uploads\": " << check.uploads
              << ", \"bytes\": " << check.bytes << ", \"partial\": " << check.partial
              << ", \"dead_letters\": " << check.dead_letters << ", \"damaged\": " << check.damaged.size()
              << ", \"bytes_lost\": " << check.BytesLost() << ", \"index_problems\": " << check.index_problems.size()
              << ", \"orphans\": " << check.orphans.size()
              << ", \"account_holds\": " << (check.account.Balances() ? "true" : "false") << "}\n";
  } else {
    std::cout << check.uploads << " uploads (" << check.bytes << " bytes) were read and compared; " << check.partial
              << " are partial, " << check.dead_letters << " are dead letters.\n";
    PrintDamage(check);
  }
  if (check.Sound()) {
    if (form == ListForm::kTable) std::cout << "All of it is sound.\n";
    return {};
  }
  return Fail(Code::kCorrupt, std::to_string(check.damaged.size()) + " uploads are damaged, " +
                                  std::to_string(check.BytesLost()) +
                                  " bytes are lost; the others are safe and go on. Damaged ones become dead letters "
                                  "when they are read; their devices still count once, with what they send next");
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
    std::cout << letter.id.hex() << "  " << TimeText(letter.when) << "  " << std::left << std::setw(10)
              << KindName(letter.kind) << " " << std::setw(20) << letter.device.text() << " " << std::setw(16)
              << Name(letter.reason) << " " << std::right << std::setw(12) << letter.bytes << " bytes  " << Fate(letter)
              << "\n";
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

Status OrderDeadLetters(const GatewayOptions& options, const Order& order) {
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
