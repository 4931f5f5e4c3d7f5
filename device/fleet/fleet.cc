#include "device/fleet/fleet.h"

#include <algorithm>

#include "device/examples/idx.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

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

Fleet::Fleet(FileLock lock, std::unique_ptr<TimeFloor> time, int fits_at_once)
    : lock_(std::move(lock)),
      time_(std::move(time)),
      loop_(*time_),
      work_(std::make_unique<WorkerPool>("fit", fits_at_once)) {}

Fleet::~Fleet() { work_.reset(); }

Result<std::unique_ptr<Fleet>> Fleet::Open(const FleetOptions& options, const Clock& clock, Random& random,
                                           FileSystem& files) {
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(options.data_dir));
  ASSIGN_OR_RETURN(auto time, TimeFloor::Open(clock, files, options.data_dir / kTimeFloorFile));
  std::unique_ptr<Fleet> fleet(new Fleet(std::move(lock), std::move(time), static_cast<int>(options.fits_at_once)));
  RETURN_IF_ERROR(fleet->OpenMembers(options, random, files));
  return fleet;
}

Status Fleet::OpenMembers(const FleetOptions& options, Random& random, FileSystem& files) {
  ASSIGN_OR_RETURN(const auto folders, IdentityFolders(options.identities_dir));
  ASSIGN_OR_RETURN(const auto set, LoadIdxFolder(options.examples_dir, IdxPart::kTraining));
  ASSIGN_OR_RETURN(const auto labels, LabelsOf(*set));
  PartitionPlan plan = options.partition;
  plan.devices = static_cast<uint32_t>(folders.size());
  ASSIGN_OR_RETURN(const auto shares, Partition(labels, plan));
  for (size_t i = 0; i < folders.size(); ++i) {
    ASSIGN_OR_RETURN(Identity identity, LoadIdentityAs(Role::kDevice, folders[i], time_->Now()));
    const DeviceId id = identity.subject.id;
    FixedExamples examples({{set, shares[i].training}, {set, shares[i].held_out}});
    auto member = std::make_unique<Member>(Member{std::move(identity), std::move(examples), nullptr});
    Agent::Options agent_options;
    agent_options.identity_folder = folders[i];
    agent_options.folder = options.data_dir / id.text();
    ASSIGN_OR_RETURN(agent_options.hop,
                     HopOptionsFor(options.gateways[i % options.gateways.size()], options.retry_cap_seconds));
    ASSIGN_OR_RETURN(
        member->agent,
        Agent::Open({loop_, *time_, random, files, member->identity, learner_, member->examples, *work_, disk_}, agent_options));
    members_.push_back(std::move(member));
  }
  return {};
}

void Fleet::Run() {
  LogInfo("fleet.started", {{"devices", members_.size()}});
  for (const auto& member : members_) member->agent->Start();
  loop_.Run();
  uint64_t waiting = 0;
  for (const auto& member : members_) {
    member->agent->Stop();
    waiting += member->agent->account().Spooled();
  }
  LogInfo("fleet.stopped", {{"devices", members_.size()}, {"waiting", waiting}});
}

}  // namespace tributary
