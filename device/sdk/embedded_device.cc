#include "device/sdk/embedded_device.h"

#include <sys/stat.h>

#include <sstream>
#include <utility>

#include "device/sdk/device_status.h"
#include "device/sdk/inside_callback.h"
#include "protocol/member/enrol.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

// Only this user may look into a folder that is new; one that is there keeps its mode.
Status MakePrivate(const Path& folder) {
  std::error_code error;
  if (std::filesystem::exists(folder, error)) return {};
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(folder));
  if (chmod(folder.c_str(), S_IRWXU) == 0) return {};
  return Fail(Code::kPermissions, "the mode of {} cannot be set to 0700", folder.string());
}

// When the folder's certificate was written it was in force. What is here is used on after its end.
WallTime WrittenAt(const Path& file) {
  struct stat found {};
  return stat(file.c_str(), &found) == 0 ? WallTime{int64_t{found.st_mtim.tv_sec} * 1000} : WallTime{};
}

}  // namespace

Result<std::unique_ptr<EmbeddedDevice>> EmbeddedDevice::Open(Options options) {
  RETURN_IF_ERROR(MakePrivate(options.folder));
  auto lock = FileLock::Take(options.folder);
  if (!lock && lock.error().code == Code::kLocked) {
    return Fail(
        Code::kLocked,
        "the folder {} is open already, in this program or another one: close that device, or use another folder ({})",
        options.folder.string(), lock.error().message);
  }
  if (!lock) return Fail(lock.error());
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(options.device.data_dir));
  return std::unique_ptr<EmbeddedDevice>(new EmbeddedDevice(std::move(options), std::move(*lock)));
}

Status EmbeddedDevice::CheckStopped(std::string_view what) {
  if (state_ == State::kRunning && ended_) {
    thread_.join();  // a callback has stopped it
    state_ = State::kStopped;
  }
  if (state_ == State::kStopped) return {};
  return Fail(Code::kConflict, "{} while the device {}: stop it first", what,
              state_ == State::kEnrolling  ? "enrols"
              : state_ == State::kStopping ? "is stopping"
                                           : "runs");
}

Status EmbeddedDevice::Enrol(const Path& invitation, const std::string& id, Millis patience) {
  const DeviceOptions& device = options_.device;
  std::unique_lock lock(mutex_);
  RETURN_IF_ERROR(CheckStopped("a device cannot enrol"));
  if (device.gateway.endpoint.empty())
    return Fail(Code::kConfigInvalid, "options.gateway is not set, so nobody can be asked for a certificate");
  state_ = State::kEnrolling;
  enrolment_ = {};
  const Application application{.invitation = invitation,
                                .identity = device.identity_dir,
                                .server = device.gateway,
                                .id = id,
                                .roles = {Role::kDevice, Role::kEvaluator},
                                .retry_cap = Millis(device.retry_cap_seconds * 1000),
                                .patience = patience,
                                .stop = enrolment_.get_token()};
  lock.unlock();
  std::ostringstream progress;
  const Status applied = Apply(application, clock_, random_, RealFileSystem(), progress);
  lock.lock();
  state_ = State::kStopped;
  changed_.notify_all();
  return applied;
}

Status EmbeddedDevice::Listen(std::function<void(const DeviceEvent&)> on_event) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(CheckStopped("the callback for events cannot be set"));
  on_event_ = std::move(on_event);
  return {};
}

Status EmbeddedDevice::AskBeforeTraining(std::function<bool()> may_train) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(CheckStopped("conditions cannot be set"));
  may_train_ = std::move(may_train);
  return {};
}

Status EmbeddedDevice::Host(HostedExamples::Collection collection) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(CheckStopped("a collection cannot be hosted"));
  return hosted_.Host(std::move(collection));
}

Result<std::unique_ptr<Predictions>> EmbeddedDevice::MakePredictions() {
  const DeviceOptions& device = options_.device;
  auto identity = LoadIdentity(device.identity_dir, clock_.Now());
  if (!identity && identity.error().code == Code::kExpiredCertificate)
    identity = LoadIdentity(device.identity_dir, WrittenAt(device.identity_dir / kCertificateFile));
  if (!identity) return Fail(identity.error());
  return std::make_unique<Predictions>(Predictions::Parts{RealFileSystem(), clock_, learner_, *examples_},
                                       device.data_dir, identity->anchor, identity->subject.id);
}

Status EmbeddedDevice::Create(const CollectionSettings& settings) {
  if (hosted_.Has(settings.name))
    return Fail(Code::kConflict, "this program hosts the collection '{}' itself; choose another name", settings.name);
  return store_.Use([&](CollectionStore& store) { return store.Create(settings, clock_.Now()); });
}

Result<std::string> EmbeddedDevice::Describe() {
  KnownOfDevice known{
      .data_dir = options_.device.data_dir, .identity_dir = options_.device.identity_dir, .collections = {}};
  ASSIGN_OR_RETURN(known.collections, store_.Use([](CollectionStore& store) { return store.List(); }));
  {
    const std::lock_guard lock(mutex_);
    known.runs = process_ != nullptr;
  }
  return StatusJson(known, clock_.Now());
}

Result<std::unique_ptr<DeviceProcess>> EmbeddedDevice::NewProcess() {
  const DeviceOptions& device = options_.device;
  if (device.gateway.endpoint.empty())
    return Fail(Code::kConfigInvalid, "options.gateway is not set, so the device can neither learn nor send");
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(device.identity_dir, clock_.Now()));
  const bool evaluates = identity.subject.role == Role::kEvaluator;
  DeviceHooks hooks;
  if (on_event_) {
    hooks.on_event = [this](const DeviceEvent& event) {
      const InsideCallback inside(this);
      on_event_(event);
    };
  }
  if (may_train_) {
    hooks.may_train = [this] {
      const InsideCallback inside(this);
      return may_train_();
    };
  }
  hooks.examples = [this, evaluates](ExampleSource& of_folder) { return hosted_.Over(of_folder, evaluates); };
  return DeviceProcess::Open(device, clock_, random_, RealFileSystem(), std::move(hooks));
}

Status EmbeddedDevice::OpenProcess(std::unique_lock<std::mutex>& lock) {
  state_ = State::kStarting;
  ended_ = end_asked_ = false;
  hosted_.Resume();
  lock.unlock();
  auto opened = NewProcess();
  lock.lock();
  if (!opened) {
    state_ = State::kStopped;
    changed_.notify_all();
    return Fail(opened.error());
  }
  process_ = std::move(*opened);
  if (end_asked_) process_->Stop();
  return {};
}

void EmbeddedDevice::EndProcess(std::unique_lock<std::mutex>& lock) {
  auto process = std::exchange(process_, nullptr);
  lock.unlock();
  process.reset();
  lock.lock();
}

Status EmbeddedDevice::Start() {
  std::unique_lock lock(mutex_);
  RETURN_IF_ERROR(CheckStopped("a device cannot start"));
  RETURN_IF_ERROR(OpenProcess(lock));
  state_ = State::kRunning;
  changed_.notify_all();
  thread_ = std::thread([this, process = process_.get()] {
    process->Run();
    std::unique_lock ending(mutex_);
    EndProcess(ending);
    ended_ = true;
  });
  return {};
}

Result<Millis> EmbeddedDevice::Tick(Millis budget) {
  if (InsideCallback::Of(this)) return Fail(Code::kConflict, "a tick cannot begin inside a callback of the device");
  std::unique_lock lock(mutex_);
  if (in_tick_) return Fail(Code::kBusy, "another thread is in a tick of this device");
  in_tick_ = true;  // also while the first one opens the process
  const bool is_new = state_ != State::kTicked;
  if (is_new) {
    Status opened = CheckStopped("a tick cannot begin");
    if (opened) opened = OpenProcess(lock);
    if (!opened) {
      in_tick_ = false;
      changed_.notify_all();
      return Fail(opened.error());
    }
    state_ = State::kTicked;
  }
  changed_.notify_all();
  DeviceProcess& process = *process_;
  lock.unlock();
  if (is_new) process.Start();
  const Millis next = process.RunFor(budget);
  lock.lock();
  in_tick_ = false;
  if (end_asked_ && state_ == State::kTicked) {
    state_ = State::kStopping;
    EndTicked(lock);
  }
  changed_.notify_all();
  return next;
}

// In kStopping.
void EmbeddedDevice::EndTicked(std::unique_lock<std::mutex>& lock) {
  DeviceProcess& process = *process_;
  lock.unlock();
  process.Finish();
  lock.lock();
  EndProcess(lock);
  state_ = State::kStopped;
  changed_.notify_all();
}

void EmbeddedDevice::Stop() {
  std::unique_lock lock(mutex_);
  const bool inside = InsideCallback::Of(this);
  enrolment_.request_stop();
  if (!inside) changed_.wait(lock, [this] { return state_ != State::kStarting; });
  if (state_ != State::kStopped) hosted_.Interrupt();
  if (process_) process_->Stop();
  if (inside) {
    end_asked_ = true;
    return;
  }
  if (state_ == State::kRunning) {
    state_ = State::kStopping;
    std::thread thread = std::move(thread_);
    lock.unlock();
    thread.join();
    lock.lock();
    state_ = State::kStopped;
    changed_.notify_all();
  } else if (state_ == State::kTicked) {
    state_ = State::kStopping;
    changed_.wait(lock, [this] { return !in_tick_; });
    EndTicked(lock);
  }
  changed_.wait(lock, [this] { return state_ == State::kStopped; });
}

}  // namespace tributary
