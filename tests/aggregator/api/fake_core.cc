#include "tests/aggregator/api/fake_core.h"

namespace tributary {
namespace {

constexpr WallTime kNow{1'767'225'600'123};

tl::unexpected<Error> NoTask(const TaskId& task) { return Fail(Code::kUnknownTask, "no task '" + task.text() + "'"); }

}  // namespace

Result<TaskRecord> FakeCore::Create(TaskRecord task, const Digest& initial_weights) {
  if (tasks.contains(task.id)) return Fail(Code::kAlreadyExists, "task '" + task.id.text() + "' exists");
  for (const Digest& digest : {task.module.digest, initial_weights}) {
    if (!blobs_.Has(digest)) return Fail(Code::kUnknownBlob, "no blob " + digest.hex());
  }
  task.latest = ModelVersion{1};
  task.created = kNow;
  task.scale = {20};
  ASSIGN_OR_RETURN(const uint64_t size, blobs_.Size(initial_weights));
  versions[task.id].push_back(
      {.task = task.id, .version = ModelVersion{1}, .weights = {initial_weights, size}, .created = kNow});
  tasks[task.id] = task;
  return task;
}

Result<RoundRecord> FakeCore::Start(const TaskId& task, uint64_t count) {
  const auto found = tasks.find(task);
  if (found == tasks.end()) return NoTask(task);
  found->second.rounds_wanted += count - 1;
  RoundRecord round;
  round.task = task;
  round.number = rounds[task].size() + 1;
  round.base = found->second.latest;
  round.opened = kNow;
  round.deadline = kNow + Millis(1000);
  rounds[task].push_back(round);
  return round;
}

Status FakeCore::Cancel(const TaskId& task) {
  const auto found = tasks.find(task);
  if (found == tasks.end()) return NoTask(task);
  found->second.rounds_wanted = 0;
  for (auto& round : rounds[task]) {
    if (round.state == RoundState::kCollecting) round.state = RoundState::kCancelled;
  }
  return {};
}

Result<TaskRecord> FakeCore::Pause(const TaskId& task, const std::string& reason) {
  const auto found = tasks.find(task);
  if (found == tasks.end()) return NoTask(task);
  found->second.paused = reason;
  found->second.paused_at = reason.empty() ? WallTime{} : kNow;
  return found->second;
}

Result<TaskRecord> FakeCore::SetSettings(const TaskId& task, const RoundSettings& settings) {
  const auto found = tasks.find(task);
  if (found == tasks.end()) return NoTask(task);
  found->second.next_settings = settings;
  return found->second;
}

Result<RoundRecord> FakeCore::AskAgain(const TaskId& task, const std::optional<DeviceId>& device) {
  if (!tasks.contains(task)) return NoTask(task);
  if (rounds[task].empty()) return Fail(Code::kRoundClosed, "no round of {} is open", task.text());
  RoundRecord& round = rounds[task].back();
  ++round.again.times;
  if (device) round.again.asked.push_back(AskedName(*device));
  return round;
}

Result<VersionRecord> FakeCore::RollBack(const TaskId& task, ModelVersion to, const std::string& reason) {
  const auto found = tasks.find(task);
  if (found == tasks.end()) return NoTask(task);
  std::vector<VersionRecord>& all = versions[task];
  if (Number(to) > all.size()) return Fail(Code::kUnknownVersion, "version {}", Number(to));
  VersionRecord made = all[Number(to) - 1];
  made.version = found->second.latest = Next(all.back().version);
  made.restores = to;
  made.reason = reason;
  all.push_back(made);
  return made;
}

Result<std::vector<TaskRecord>> FakeCore::All() {
  std::vector<TaskRecord> all;
  for (const auto& [id, task] : tasks) all.push_back(task);
  return all;
}

Result<TaskRecord> FakeCore::Get(const TaskId& task) {
  const auto found = tasks.find(task);
  if (found == tasks.end()) return NoTask(task);
  return found->second;
}

Result<std::vector<RoundRecord>> FakeCore::List(const TaskId& task, const Slice<uint64_t>& slice) {
  if (!tasks.contains(task)) return NoTask(task);
  return Part(rounds[task], slice, [](const RoundRecord& round) { return round.number; });
}

Result<std::vector<ContributionRecord>> FakeCore::Contributions(const TaskId& task, uint64_t number,
                                                                const Slice<DeviceId>& slice) {
  RETURN_IF_ERROR(Get(task, number));
  return Part(contributions, slice, [](const ContributionRecord& one) { return one.device; });
}

Result<RoundRecord> FakeCore::Get(const TaskId& task, uint64_t number) {
  if (!tasks.contains(task)) return NoTask(task);
  for (const auto& round : rounds[task]) {
    if (round.number == number) return round;
  }
  return Fail(Code::kNotFound, "task '" + task.text() + "' has no round " + std::to_string(number));
}

Result<PrivacyStanding> FakeCore::Privacy(const TaskId& task) {
  if (!tasks.contains(task)) return NoTask(task);
  const auto found = privacy.find(task);
  if (found == privacy.end()) return Fail(Code::kNotFound, "task '{}' has no [privacy]", task.text());
  return found->second;
}

Result<std::vector<VersionRecord>> FakeCore::Versions(const TaskId& task, const Slice<ModelVersion>& slice) {
  if (!tasks.contains(task)) return NoTask(task);
  return Part(versions[task], slice, [](const VersionRecord& version) { return version.version; });
}

Result<VersionRecord> FakeCore::Version(const TaskId& task, ModelVersion version) {
  if (!tasks.contains(task)) return NoTask(task);
  for (const VersionRecord& one : versions[task]) {
    if (one.version == version) return one;
  }
  return Fail(Code::kUnknownVersion, "task '{}' has no version {}", task.text(), Number(version));
}

Result<std::string> FakeCore::Manifest(const TaskId& task, ModelVersion version) {
  RETURN_IF_ERROR(Version(task, version));
  return R"({"signatures": [], "signed": {}})";
}

Result<std::string> FakeCore::Proof(const TaskId& task, ModelVersion version, const Digest& leaf) {
  RETURN_IF_ERROR(Version(task, version));
  if (leaf == Digest()) return Fail(Code::kNotFound, "no update with this leaf");
  return R"({"leaf": ")" + leaf.hex() + "\"}";
}

Result<std::vector<MemberResult>> FakeCore::Results(const TaskId& task, ModelVersion version,
                                                    const Slice<DeviceId>& slice) {
  RETURN_IF_ERROR(Version(task, version));
  return Part(results, slice, [](const MemberResult& one) { return one.member; });
}

Result<VersionRecord> FakeCore::Pin(const TaskId& task, ModelVersion version, const std::string& reason) {
  RETURN_IF_ERROR(Version(task, version));
  VersionRecord& record = versions[task][Number(version) - 1];
  if (record.pruned != WallTime{}) return Fail(Code::kPruned, "version {}", Number(version));
  record.pinned = reason;
  return record;
}

// One version a step, so that whoever asks has to go on.
Result<Pruned> FakeCore::Prune(const TaskId& task, uint64_t keep, ModelVersion after) {
  if (!tasks.contains(task)) return NoTask(task);
  std::vector<VersionRecord>& all = versions[task];
  Pruned pruned;
  for (VersionRecord& version : all) {
    if (version.version <= after || Number(version.version) + keep > all.size()) continue;
    pruned.last = version.version;
    if (!version.pinned.empty() || version.pruned != WallTime{}) continue;
    version.pruned = kNow;
    pruned.versions = 1;
    pruned.bytes = version.weights.size;
    break;
  }
  return pruned;
}

Status FakeCore::WhyAbsent(const Digest& blob) {
  for (const auto& [task, all] : versions) {
    for (const VersionRecord& version : all) {
      if (version.weights.digest == blob) return Fail(Code::kPruned, "version {}", Number(version.version));
    }
  }
  return Fail(Code::kUnknownBlob, "no blob {}", blob.hex());
}

Result<std::vector<MemberRecord>> FakeCore::Devices(const Slice<DeviceId>& slice) {
  std::vector<MemberRecord> some;
  for (const auto& member : members) {
    if (member.role != "gateway") some.push_back(member);
  }
  return Part(some, slice, [](const MemberRecord& member) { return member.id; });
}

std::optional<MemberRecord> FakeCore::FindDevice(const DeviceId& id) const {
  const auto found = std::ranges::find(members, id, &MemberRecord::id);
  if (found == members.end() || found->role == "gateway") return std::nullopt;
  return *found;
}

Result<std::vector<GatewayRecord>> FakeCore::Gateways(const Slice<DeviceId>& slice) {
  return Part(gateways, slice, [](const GatewayRecord& gateway) { return gateway.report.gateway; });
}

Result<GatewayRecord> FakeCore::FindGateway(const DeviceId& id) {
  for (const GatewayRecord& gateway : gateways) {
    if (gateway.report.gateway == id) return gateway;
  }
  return Fail(Code::kNotFound, "no gateway '{}'", id.text());
}

Result<std::vector<DeviceStateRecord>> FakeCore::DeviceStates(const Slice<DeviceId>& slice) {
  return Part(reports, slice, [](const DeviceStateRecord& report) { return report.device; });
}

Result<std::optional<DeviceStateRecord>> FakeCore::FindDeviceState(const DeviceId& device) {
  const auto found = std::ranges::find(reports, device, &DeviceStateRecord::device);
  if (found == reports.end()) return std::nullopt;
  return *found;
}

std::map<DeviceId, Error> FakeCore::Attention(const Slice<DeviceId>& slice) const {
  std::map<DeviceId, Error> some(attention.upper_bound(slice.after), attention.end());
  while (some.size() > slice.most) some.erase(std::prev(some.end()));
  return some;
}

std::optional<Error> FakeCore::AttentionTo(const DeviceId& device) const {
  const auto found = attention.find(device);
  return found == attention.end() ? std::nullopt : std::optional(found->second);
}

KindAccount FakeCore::Account(UploadKind kind) const {
  const auto found = accounts.find(kind);
  return found == accounts.end() ? KindAccount() : found->second;
}

RoundRecord CompletedRound(const TaskId& task, uint64_t number) {
  RoundRecord round;
  round.task = task;
  round.number = number;
  round.state = RoundState::kCompleted;
  round.base = ModelVersion{number};
  round.result = ModelVersion{number + 1};
  round.opened = kNow;
  round.deadline = kNow + Millis(60'000);
  round.closed = kNow + Millis(12'000);
  round.contributions = 20;
  round.total_weight = 12'000;
  round.refused = {{Code::kDuplicate, 2}, {Code::kNotFinite, 1}};
  round.bytes_up = 17'000'000;
  round.aggregate_digest = Digest{};
  round.metrics = {.global = {{"accuracy", 0.8125}, {"loss", 0.52}},
                   .personal = {{"accuracy", 0.875}, {"loss", 0.5}},
                   .local = {{"accuracy", 0.75}, {"loss", 0.75}}};
  round.evaluations = 21;
  return round;
}

}  // namespace tributary
