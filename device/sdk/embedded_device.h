#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "device/device.h"
#include "device/sdk/hosted_examples.h"
#include "device/sdk/prediction_thread.h"
#include "device/sdk/shared_store.h"
#include "protocol/base/random.h"

namespace tributary {

// A device as an application has it: a folder that it holds from Open to its end, collections at any time, and a
// DeviceProcess while it runs. In the folder:
//   lock       held while open          data/       of the device, as `tributary-device` knows it
//   identity/  unless it is elsewhere
//
// Thread safe, but for the destructor, which comes last and not inside a callback of this device (InsideCallback); it
// stops. State and its changes:
//   stopped → enrolling → stopped             Enrol
//   stopped → starting → running → stopped    Start; Stop, from inside a callback too
//   stopped → starting → ticked → stopped     the first Tick; Stop
class EmbeddedDevice {
 public:
  struct Options {
    Path folder;
    DeviceOptions device;  // folders that are empty become those of `folder`; an empty endpoint: it cannot run
  };
  // kLocked, kConfigInvalid, those of the file system.
  static Result<std::unique_ptr<EmbeddedDevice>> Open(Options options);
  ~EmbeddedDevice() { Stop(); }

  // kConflict unless it is stopped; those of Apply.
  Status Enrol(const Path& invitation, const std::string& id, Millis patience);
  // kConflict unless it is stopped.
  Status Listen(std::function<void(const DeviceEvent&)> on_event);
  Status AskBeforeTraining(std::function<bool()> may_train);
  Status Host(HostedExamples::Collection collection);

  // kConflict: it is not stopped; kConfigInvalid: no gateway; those of DeviceProcess::Open.
  Status Start();
  // When the next call should come. kBusy: another tick is under way; kConflict: it runs otherwise, or this is a callback.
  Result<Millis> Tick(Millis budget);
  // In a callback it returns at once.
  void Stop();

  // Errors beside those of PredictionThread: kMissingData: it is not enrolled, so it believes no model.
  Result<Prediction> Predict(const TaskId& task, ExampleSet inputs) { return predictions_.Predict(task, std::move(inputs)); }
  // JSON; what is known of tasks and outbox comes from the data folder, whether it runs or not.
  Result<std::string> Describe();
  // kConflict: a collection of this name is hosted; those of CollectionStore::Create.
  Status Create(const CollectionSettings& settings);
  SharedStore& store() { return store_; }
  HostedExamples& hosted() { return hosted_; }
  const Clock& clock() const { return clock_; }

 private:
  enum class State : uint8_t {
    kStopped,    // nothing runs
    kStarting,   // a thread opens the process
    kEnrolling,  // a thread is in Enrol
    kRunning,    // thread_ runs the process, or has ended because a callback asked it to
    kTicked,     // process_ lives from tick to tick
    kStopping,   // a thread is in Stop
  };
  EmbeddedDevice(Options options, FileLock lock)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        store_(options_.device.data_dir),
        hosted_(store_),
        own_examples_(clock_, {.folder = options_.device.data_dir, .fallback = {}}),
        examples_(hosted_.Over(own_examples_, false)),
        learner_(options_.device.learner.command, options_.device.learner.Limits()) {}
  Result<std::unique_ptr<Predictions>> MakePredictions();
  Result<std::unique_ptr<DeviceProcess>> NewProcess();
  // With the mutex held.
  Status CheckStopped(std::string_view what);
  // From kStopped; in kStarting meanwhile, without the mutex.
  Status OpenProcess(std::unique_lock<std::mutex>& lock);
  // Takes it away and destroys it without the mutex: what the process waits for may call in.
  void EndProcess(std::unique_lock<std::mutex>& lock);
  void EndTicked(std::unique_lock<std::mutex>& lock);

  const Options options_;
  const FileLock lock_;
  SystemClock clock_;
  SystemRandom random_;
  SharedStore store_;
  HostedExamples hosted_;
  // Of the predictions' thread.
  CollectionExamples own_examples_;
  const std::unique_ptr<ExampleSource> examples_;
  ProcessLearner learner_;
  PredictionThread predictions_{[this] { return MakePredictions(); }};
  std::function<void(const DeviceEvent&)> on_event_;
  std::function<bool()> may_train_;

  std::mutex mutex_;  // for what follows; never held while a callback may run
  std::condition_variable changed_;
  State state_ = State::kStopped;
  std::unique_ptr<DeviceProcess> process_;
  std::thread thread_;
  bool ended_ = false;        // thread_ has run to its end
  bool in_tick_ = false;      // a thread is in Tick
  bool end_asked_ = false;    // by a callback inside a tick
  std::stop_source enrolment_;
};

}  // namespace tributary
