#include "device/fleet/fleet.h"

#include <algorithm>
#include <mutex>

#include "device/examples/idx.h"
#include "device/learn/process_learner.h"
#include "device/torch/torch_learner.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// Retention by age, and the write-ahead log of what was deleted.
constexpr Millis kFleetSweep{10 * 60 * 1'000};

// The IDX files, dealt out over the devices when one of them first needs its share. Thread safe.
class IdxShares {
 public:
  IdxShares(Path folder, const PartitionPlan& plan) : folder_(std::move(folder)), plan_(plan) {}

  Result<TaskExamples> Of(size_t device) {
    const std::lock_guard lock(mutex_);
    if (!set_) RETURN_IF_ERROR(Deal());
    return TaskExamples{{set_, shares_[device].training}, {set_, shares_[device].held_out}};
  }

 private:
  Status Deal() {
    ASSIGN_OR_RETURN(auto set, LoadIdxFolder(folder_, IdxPart::kTraining));
    ASSIGN_OR_RETURN(const auto labels, LabelsOf(*set));
    ASSIGN_OR_RETURN(shares_, Partition(labels, plan_));
    set_ = std::move(set);
    return {};
  }

  const Path folder_;
  const PartitionPlan plan_;
  std::mutex mutex_;
  std::shared_ptr<const ExampleSet> set_;
  std::vector<DeviceShare> shares_;
};

std::unique_ptr<Learner> OneLearnerOf(const LearnerOptions& options) {
  if (options.command.empty()) return std::make_unique<TorchLearner>();
  options.WarnOfFiles();
  return std::make_unique<ProcessLearner>(options.command, options.Limits());
}

// Devices that wait on purpose hold threads that no other device has to wait for.
int FitThreads(const FleetOptions& options, uint64_t devices) {
  const uint64_t waiting = options.trouble.dropout_share > 0 ? devices : options.trouble.SlowOf(devices);
  return static_cast<int>(static_cast<uint64_t>(options.fits_at_once) + waiting);
}

Result<std::vector<Path>> IdentityFolders(const Path& folder) {
  std::error_code error;
  std::vector<Path> folders;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory(error)) folders.push_back(entry->path());
  }
  if (error || folders.empty()) {
    return Fail(Code::kMissingData,
                "no identities below {}; make them with `tributary ca issue --role device --count N`", folder.string());
  }
  std::ranges::sort(folders);
  return folders;
}

}  // namespace

Fleet::Fleet(FileLock lock, std::unique_ptr<TimeFloor> time)
    : lock_(std::move(lock)), time_(std::move(time)), loop_(*time_) {}

Fleet::~Fleet() { work_.reset(); }

Result<std::unique_ptr<Fleet>> Fleet::Open(const FleetOptions& options, const Clock& clock, Random& random,
                                           FileSystem& files) {
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(options.data_dir));
  ASSIGN_OR_RETURN(auto time, TimeFloor::Open(clock, files, options.data_dir / kTimeFloorFile));
  std::unique_ptr<Fleet> fleet(new Fleet(std::move(lock), std::move(time)));
  RETURN_IF_ERROR(fleet->OpenMembers(options, random, files));
  return fleet;
}

Status Fleet::OpenMembers(const FleetOptions& options, Random& random, FileSystem& files) {
  ASSIGN_OR_RETURN(const auto folders, IdentityFolders(options.identities_dir));
  // The default need not be there: devices may have examples of their own.
  if (options.examples_dir != FleetOptions().examples_dir)
    RETURN_IF_ERROR(FindIdxFolder(options.examples_dir, IdxPart::kTraining));
  std::vector<std::string> ids;
  std::vector<Identity> identities;
  for (const Path& folder : folders) {
    ASSIGN_OR_RETURN(Identity identity, LoadIdentityAs(Role::kDevice, folder, time_->Now()));
    ids.push_back(identity.subject.id.text());
    identities.push_back(std::move(identity));
  }
  learner_ = OneLearnerOf(options.learner);
  if (!options.trouble.empty())
    learner_ = std::make_unique<TroubledLearner>(std::move(learner_), options.trouble, ids, options.fits_at_once);
  work_ = std::make_unique<WorkerPool>("fit", FitThreads(options, folders.size()));
  PartitionPlan plan = options.partition;
  plan.devices = static_cast<uint32_t>(folders.size());
  const auto shares = std::make_shared<IdxShares>(options.examples_dir, plan);
  for (size_t i = 0; i < folders.size(); ++i) {
    Identity& identity = identities[i];
    const DeviceId id = identity.subject.id;
    Agent::Options agent_options;
    agent_options.identity_folder = folders[i];
    agent_options.folder = options.data_dir / id.text();
    CollectionExamples::Options examples{
        .folder = agent_options.folder,
        .fallback = [shares, i] { return shares->Of(i); },
        .fallback_folder = options.examples_dir,
        .filled_by = "tributary-fleet data import --config fleet.toml --device " + id.text()};
    auto member = std::make_unique<Member>(std::move(identity), *time_, std::move(examples));
    ASSIGN_OR_RETURN(agent_options.hop,
                     HopOptionsFor(options.gateways[i % options.gateways.size()], options.retry_cap_seconds));
    ASSIGN_OR_RETURN(member->agent, Agent::Open({loop_, *time_, random, files, member->identity, *learner_,
                                                 member->examples, *work_, disk_},
                                                agent_options));
    members_.push_back(std::move(member));
  }
  return {};
}

// On a thread of the fits: an import holds a store up for seconds.
void Fleet::SweepNowAndThen() {
  work_->Post([this] {
    for (const auto& member : members_) {
      if (const Status swept = member->examples.Sweep(); !swept)
        LogFailure(LogLevel::kWarning, "examples.not_swept", swept.error());
    }
  });
  sweep_timer_ = loop_.After(kFleetSweep, [this] { SweepNowAndThen(); });
}

void Fleet::Run() {
  LogInfo("fleet.started", {{"devices", members_.size()}});
  for (const auto& member : members_) member->agent->Start();
  SweepNowAndThen();
  loop_.Run();
  loop_.Cancel(sweep_timer_);
  uint64_t waiting = 0;
  for (const auto& member : members_) {
    member->agent->Stop();
    waiting += member->agent->account().Spooled();
  }
  LogInfo("fleet.stopped", {{"devices", members_.size()}, {"waiting", waiting}});
}

Result<std::map<std::string, Path>> DeviceFolders(const FleetOptions& options, WallTime now) {
  ASSIGN_OR_RETURN(const auto identities, IdentityFolders(options.identities_dir));
  std::map<std::string, Path> folders;
  for (const Path& identity : identities) {
    ASSIGN_OR_RETURN(const Identity device, LoadIdentityAs(Role::kDevice, identity, now));
    folders[device.subject.id.text()] = options.data_dir / device.subject.id.text();
  }
  return folders;
}

}  // namespace tributary
