#include "device/device.h"

#include "device/learn/process_learner.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// Retention by age, and the write-ahead log of what was deleted.
constexpr Millis kSweep{10 * 60 * 1'000};

// The examples of device.toml's folder of IDX files.
Result<TaskExamples> ConfiguredExamples(const DeviceOptions& options, Role role) {
  ASSIGN_OR_RETURN(const auto set, LoadIdxFolder(options.examples_dir, options.part));
  ASSIGN_OR_RETURN(const auto labels, LabelsOf(*set));
  ASSIGN_OR_RETURN(const auto shares, Partition(labels, options.partition));
  Examples training{set, shares[0].training};
  Examples held_out{set, shares[0].held_out};
  if (role == Role::kEvaluator) {
    held_out.indices.insert(held_out.indices.end(), training.indices.begin(), training.indices.end());
    training.indices.clear();
  }
  return TaskExamples{std::move(training), std::move(held_out)};
}

}  // namespace

DeviceProcess::DeviceProcess(std::unique_ptr<TimeFloor> time, Identity identity, FileLock lock,
                             CollectionExamples::Options examples, ProcessLearner learner)
    : time_(std::move(time)),
      identity_(std::move(identity)),
      lock_(std::move(lock)),
      examples_(*time_, std::move(examples)),
      learner_(std::move(learner)),
      loop_(*time_),
      work_(std::make_unique<WorkerPool>("fit", 1)) {}

DeviceProcess::~DeviceProcess() { work_.reset(); }

Result<std::unique_ptr<DeviceProcess>> DeviceProcess::Open(const DeviceOptions& options, const Clock& clock,
                                                           Random& random, FileSystem& files, DeviceHooks hooks) {
  ASSIGN_OR_RETURN(auto time, TimeFloor::Open(clock, files, options.data_dir / kTimeFloorFile));
  ASSIGN_OR_RETURN(Identity identity, LoadIdentity(options.identity_dir, time->Now()));
  if (identity.subject.role != Role::kDevice && identity.subject.role != Role::kEvaluator) {
    return Fail(Code::kWrongRole, "{} is the identity of a {}, a device or evaluator is needed",
                options.identity_dir.string(), RoleName(identity.subject.role));
  }
  // The default need not be there: a device may have examples of its own.
  if (options.examples_dir != DeviceOptions().examples_dir)
    RETURN_IF_ERROR(FindIdxFolder(options.examples_dir, options.part));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(options.data_dir));
  const Role role = identity.subject.role;
  CollectionExamples::Options examples{.folder = options.data_dir,
                                       .evaluates_all = role == Role::kEvaluator,
                                       .fallback = [options, role] { return ConfiguredExamples(options, role); },
                                       .fallback_folder = options.examples_dir};
  options.learner.WarnOfFiles();
  std::unique_ptr<DeviceProcess> device(
      new DeviceProcess(std::move(time), std::move(identity), std::move(lock), std::move(examples),
                        ProcessLearner(options.learner.command, options.learner.Limits())));
  Agent::Options agent_options;
  agent_options.folder = options.data_dir;
  agent_options.identity_folder = options.identity_dir;
  agent_options.reports = options.reports;
  agent_options.outbox_max_bytes = static_cast<uint64_t>(options.outbox_max_mib) * limits::kMiB;
  agent_options.metrics_file = options.metrics_file;
  agent_options.on_event = std::move(hooks.on_event);
  agent_options.may_train = std::move(hooks.may_train);
  if (hooks.examples) device->own_examples_ = hooks.examples(device->examples_);
  ExampleSource& own = device->own_examples_ ? *device->own_examples_ : device->examples_;
  ASSIGN_OR_RETURN(agent_options.hop, HopOptionsFor(options.gateway, options.retry_cap_seconds));
  ASSIGN_OR_RETURN(device->agent_, Agent::Open({device->loop_, *device->time_, random, files, device->identity_,
                                                device->learner_, own, *device->work_, device->disk_},
                                               agent_options));
  return device;
}

// On the thread of the fits, as the store is for one thread.
void DeviceProcess::SweepNowAndThen() {
  work_->Post([this] {
    if (const Status swept = examples_.Sweep(); !swept)
      LogFailure(LogLevel::kWarning, "examples.not_swept", swept.error());
  });
  sweep_timer_ = loop_.After(kSweep, [this] { SweepNowAndThen(); });
}

void DeviceProcess::Start() {
  LogInfo("device.started", {{"id", identity_.subject.id.text()}, {"role", RoleName(identity_.subject.role)}});
  agent_->Start();
  SweepNowAndThen();
}

void DeviceProcess::Run() {
  Start();
  loop_.Run();
  Finish();
}

void DeviceProcess::Finish() {
  loop_.Cancel(sweep_timer_);
  agent_->Stop();
  LogInfo("device.stopped", {{"id", identity_.subject.id.text()}, {"waiting", agent_->account().Spooled()}});
}

}  // namespace tributary
