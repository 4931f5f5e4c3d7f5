#include "device/agent/describe_device.h"

#include <algorithm>
#include <cstdio>

#include "device/agent/agent_state.h"
#include "device/report/device_state_keeper.h"
#include "protocol/spool/spool_reader.h"

namespace tributary {
namespace {

constexpr size_t kDeadLettersShown = 5;

std::string Reasons(const std::map<Code, uint64_t>& counts) {
  std::string text;
  for (const auto& [code, count] : counts)
    text += (text.empty() ? "" : ", ") + std::string(Name(code)) + " " + std::to_string(count);
  return text.empty() ? "-" : text;
}

std::string AccountLines(const SpoolAccount& account) {
  std::string text = "kind        offered  delivered  waiting  in flight  duplicate  holds  refused; dropped\n";
  for (const UploadKind kind : kUploadKinds) {
    const KindAccount& of = account.of(kind);
    char line[128];
    std::snprintf(line, sizeof(line), "%-10s %8llu %10llu %8llu %10llu %10llu %6s  ", KindName(kind).data(),
                  static_cast<unsigned long long>(of.offered), static_cast<unsigned long long>(of.delivered),
                  static_cast<unsigned long long>(of.spooled), static_cast<unsigned long long>(of.in_flight),
                  static_cast<unsigned long long>(of.duplicate), of.Balances() ? "yes" : "NO");
    text += line + Reasons(of.refused) + "; " + Reasons(of.dropped) + "\n";
  }
  return text;
}

std::string DeadLetterLines(const std::vector<DeadLetter>& letters) {
  std::string text;
  for (const DeadLetter& letter : letters) {
    text += "given up   " + letter.id.hex() + " " + std::string(KindName(letter.kind)) + ": " +
            std::string(Describe(letter.reason).sentence) + " " + std::string(Describe(letter.reason).remedy) + "\n";
  }
  return text;
}

// From the last report that the device made of itself.
std::string ReportLines(FileSystem& files, const Path& data_dir) {
  const DeviceStateKeeper keeper = DeviceStateKeeper::Load(files, data_dir / "report");
  const DeviceState& report = keeper.last();
  if (report.sequence == 0) return "";
  std::string text = "report     " + std::to_string(report.sequence) + ": publication " +
                     std::to_string(report.publication_number) + ", root " + std::to_string(report.root_version) + "\n";
  for (const auto& [task, installed] : report.installed)
    text += "installed  " + task.text() + ": version " + std::to_string(Number(installed.version)) + "\n";
  if (!report.withheld.empty()) text += "withheld   " + report.withheld + "\n";
  for (const auto& [code, rejections] : report.rejections) {
    text += "rejected   " + std::to_string(rejections.count) + " publications, " + std::string(Name(code)) + ": " +
            rejections.last_sentence + "\n";
  }
  return text;
}

}  // namespace

Result<std::string> DescribeDevice(FileSystem& files, const Path& data_dir, WallTime now) {
  auto outbox = SpoolReader::Open(data_dir / "outbox", files);
  if (!outbox && outbox.error().code == Code::kNotFound) {
    return Fail(Code::kNotFound, data_dir.string() + " has no outbox: the device has not run with this configuration");
  }
  if (!outbox) return Fail(outbox.error());
  ASSIGN_OR_RETURN(const SpoolAccount account, (*outbox)->Account());
  ASSIGN_OR_RETURN(const auto oldest, (*outbox)->OldestSpooled());
  ASSIGN_OR_RETURN(const auto letters, (*outbox)->DeadLetters(kDeadLettersShown));
  ASSIGN_OR_RETURN(const AgentState state, AgentState::Load(files, data_dir / "state"));

  std::string text =
      "outbox     " + std::to_string(account.Spooled()) + " uploads wait, " + std::to_string(account.bytes) + " bytes";
  if (oldest) {
    const int64_t seconds = std::max<int64_t>(0, now.unix_millis - oldest->unix_millis) / 1000;
    text += ", the oldest for " + std::to_string(seconds) + " s";
  }
  text += "\n";
  for (const auto& [task, progress] : state.tasks()) {
    text += "task       " + task.text() + ": " + std::string(TaskPhaseName(progress.phase)) + ", version " +
            std::to_string(Number(progress.version)) + ", round " + std::to_string(progress.round) + "\n";
  }
  return text + ReportLines(files, data_dir) + DeadLetterLines(letters) + "\n" + AccountLines(account);
}

}  // namespace tributary
