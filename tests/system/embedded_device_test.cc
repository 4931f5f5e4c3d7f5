#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "device/agent/model_in_use.h"
#include "device/device.h"
#include "tests/support/fixed_examples.h"
#include "tests/system/demo_task.h"

// A device inside an application, which is this process: real rounds, real learning, and what the application may do.
namespace tributary::embedded_device_test {
namespace {

using testing::ElementsAre;
using Steady = std::chrono::steady_clock;

const std::vector<std::string> kLearnerProgram = {TRIBUTARY_BIN_DIR "/tributary-learner"};

class EmbeddedSite {
 public:
  explicit EmbeddedSite(uint32_t epochs = 1) : site_(TRIBUTARY_BIN_DIR) {
    site_.AddAggregator();
    site_.Start("aggregator");
    TaskRequest request = DemoTask(site_, 1);
    request.task.plan.epochs = epochs;
    Must(site_.api().CreateTask(request));
    site_.fleet().IssueInto(site_.folder() / "identity", Role::kDevice, "device-1");
    options_.identity_dir = site_.folder() / "identity";
    options_.data_dir = site_.folder() / "device";
    const Site::Address above = site_.AddressOf("aggregator");
    options_.gateway = {above.endpoint, above.server_key};
    options_.retry_cap_seconds = 1;
    options_.partition.total = 200;
    options_.learner.command = kLearnerProgram;
    Must(site_.api().StartRounds("digits", 1));
  }

  TestSite& site() { return site_; }
  const DeviceOptions& options() const { return options_; }
  std::unique_ptr<DeviceProcess> Open(DeviceHooks hooks = {}) {
    return Must(DeviceProcess::Open(options_, clock_, random_, RealFileSystem(), std::move(hooks)));
  }
  Result<Prediction> Predict() {
    ExampleSet inputs{{{{"image", DType::kUint8, {1, 28, 28}}, Bytes(784, 100)}}, 1};
    if (!predictions_) {
      learner_.emplace(kLearnerProgram, options_.learner.Limits());
      predictions_.emplace(Predictions::Parts{RealFileSystem(), clock_, *learner_, examples_}, options_.data_dir,
                           site_.fleet().anchor(), TestDevice("device-1"));
    }
    return predictions_->Predict(task_, std::move(inputs));
  }
  // The digest of the version that the round made.
  std::string AwaitVersion2() {
    std::string digest;
    EXPECT_TRUE(site_.Eventually(
        [&] {
          const auto versions = site_.api().Versions("digits");
          if (!versions || versions->at("items").size() < 2) return false;
          for (const Json& one : versions->at("items")) {
            if (one.at("version") == 2) digest = one.at("weights").at("digest");
          }
          return true;
        },
        Millis(60'000)))
        << site_.Logs();
    return digest;
  }

 private:
  TestSite site_;
  const TaskId task_ = TestTask("digits");
  DeviceOptions options_;
  SystemClock clock_;
  SystemRandom random_;
  FixedExamples examples_{{}};
  std::optional<ProcessLearner> learner_;
  std::optional<Predictions> predictions_;
};

// Runs a device on a thread of its own, and notes what it says.
class RunningDevice {
 public:
  explicit RunningDevice(EmbeddedSite& site) {
    process_ = site.Open({.on_event = [this](const DeviceEvent& event) { Note(event); },
                          .may_train =
                              [this] {
                                const bool charging = charging_;
                                if (!charging && !refused_) refused_ = Steady::now();
                                return charging;
                              }});
    thread_ = std::thread([this] { process_->Run(); });
  }
  ~RunningDevice() {
    process_->Stop();
    thread_.join();
  }
  void SetCharging(bool charging) { charging_ = charging; }
  // When the device first heard that it may not train.
  std::optional<Steady::time_point> refused() const { return refused_; }
  // When it was told for the `times`th time.
  std::optional<Steady::time_point> Await(DeviceEventKind kind, size_t times = 1, const std::string& words = "") {
    std::unique_lock lock(mutex_);
    const auto told = [&]() -> std::optional<Steady::time_point> {
      size_t count = 0;
      for (const auto& [event, when] : events_) {
        if (event.kind == kind && event.text.find(words) != std::string::npos && ++count == times) return when;
      }
      return std::nullopt;
    };
    came_.wait_for(lock, Millis(60'000), [&] { return told().has_value(); });
    return told();
  }
  std::vector<DeviceEvent> events() {
    const std::lock_guard lock(mutex_);
    std::vector<DeviceEvent> events;
    for (const auto& [event, when] : events_) events.push_back(event);
    return events;
  }

 private:
  void Note(const DeviceEvent& event) {
    {
      const std::lock_guard lock(mutex_);
      events_.emplace_back(event, Steady::now());
    }
    came_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::pair<DeviceEvent, Steady::time_point>> events_;
  std::atomic<bool> charging_ = true;
  std::optional<Steady::time_point> refused_;  // written before the event that tells of it
  std::unique_ptr<DeviceProcess> process_;
  std::thread thread_;
};

TEST(EmbeddedLearning, ARealRoundIsToldInOrderAndPredictionsFollowIt) {
  EmbeddedSite site;
  EXPECT_EQ(site.Predict().error().code, Code::kNotFound);
  RunningDevice device(site);
  ASSERT_TRUE(device.Await(DeviceEventKind::kVersionArrived));
  const Prediction first = Must(site.Predict());
  ASSERT_TRUE(device.Await(DeviceEventKind::kDelivered, 2)) << site.site().Logs();
  ASSERT_TRUE(device.Await(DeviceEventKind::kVersionArrived, 2)) << site.site().Logs();
  const Prediction second = Must(site.Predict());
  EXPECT_EQ(first.version, ModelVersion{1});
  EXPECT_EQ(second.version, ModelVersion{2});
  EXPECT_NE(first.outputs.at(0).values, second.outputs.at(0).values);
  EXPECT_EQ(Must(site.Predict()).outputs.at(0).values, second.outputs.at(0).values);
  std::vector<std::string> words;
  for (const DeviceEvent& event : device.events()) {
    if (event.kind == DeviceEventKind::kModelChanged || event.kind == DeviceEventKind::kWaiting) continue;
    words.push_back(fmt::format("{} {}", DeviceEventName(event.kind), Number(event.version)));
  }
  EXPECT_THAT(words, ElementsAre("connected 0", "version-arrived 1", "training-started 1", "trained 1", "delivered 1",
                                 "delivered 1", "version-arrived 2"));
}

TEST(EmbeddedLearning, AFitIsStoppedWithinASecondAndEndsInTheSameBitsLater) {
  constexpr uint32_t kLong = 60;  // epochs: seconds of work
  EmbeddedSite calm(kLong);
  std::string expected;
  {
    RunningDevice device(calm);
    expected = calm.AwaitVersion2();
  }
  EmbeddedSite site(kLong);
  RunningDevice device(site);
  ASSERT_TRUE(device.Await(DeviceEventKind::kTrainingStarted)) << site.site().Logs();
  device.SetCharging(false);
  const auto stopped = device.Await(DeviceEventKind::kWaiting, 1, "does not let");
  ASSERT_TRUE(stopped);
  EXPECT_LT(*stopped - device.refused().value(), Millis(1'000));
  device.SetCharging(true);
  EXPECT_EQ(site.AwaitVersion2(), expected);
  for (const DeviceEvent& event : device.events()) EXPECT_NE(event.kind, DeviceEventKind::kFailed) << event.text;
}

TEST(EmbeddedLearning, AnApplicationWithoutAThreadTicks) {
  EmbeddedSite site;
  std::vector<DeviceEvent> events;
  const auto this_thread = std::this_thread::get_id();
  auto process = site.Open({.on_event = [&](const DeviceEvent& event) {
    EXPECT_EQ(std::this_thread::get_id(), this_thread);
    events.push_back(event);
  }});
  process->Start();
  const auto delivered = [&] { return std::ranges::count(events, DeviceEventKind::kDelivered, &DeviceEvent::kind); };
  const auto end = Steady::now() + kPatience;
  while (delivered() < 2 && Steady::now() < end) {
    const auto start = Steady::now();
    const Millis next = process->RunFor(Millis(20));
    EXPECT_GE(next, Millis(0));
    EXPECT_LE(next, Millis(1'000));
    EXPECT_LT(Steady::now() - start, Millis(1'000));
  }
  EXPECT_EQ(delivered(), 2) << site.site().Logs();
  const auto start = Steady::now();
  process->RunFor(Millis(0));
  EXPECT_LT(Steady::now() - start, Millis(500)) << "it does not wait";
  process->Finish();
  site.AwaitVersion2();
}

// Runs a device in a child until it says `last`, and kills it then.
void RunUntilKilled(EmbeddedSite& site, DeviceEventKind last) {
  int told[2];
  TRIBUTARY_CHECK(pipe(told) == 0) << "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    const auto process = site.Open({.on_event = [&](const DeviceEvent& event) {
      if (event.kind == last) (void)!write(told[1], "x", 1);
    }});
    process->Run();
    _exit(1);
  }
  close(told[1]);
  char byte = 0;
  EXPECT_EQ(read(told[0], &byte, 1), 1) << DeviceEventName(last);
  close(told[0]);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST(EmbeddedLearning, ADeviceThatIsKilledGoesOnToTheSameBits) {
  std::string expected;
  {
    EmbeddedSite calm(3);
    RunningDevice device(calm);
    expected = calm.AwaitVersion2();
  }
  EmbeddedSite site(3);
  using enum DeviceEventKind;
  // The model is not to blame for three ends during the work on it.
  for (const DeviceEventKind last : {kConnected, kTrainingStarted, kTrainingStarted, kTrained})
    RunUntilKilled(site, last);
  RunningDevice device(site);
  EXPECT_EQ(site.AwaitVersion2(), expected) << site.site().Logs();
}

TEST(EmbeddedLearning, SeveralDevicesLiveInOneProcess) {
  EmbeddedSite first, second;
  RunningDevice one(first), two(second);
  const std::string digest = first.AwaitVersion2();
  EXPECT_EQ(second.AwaitVersion2(), digest);
  const auto locked =
      DeviceProcess::Open(first.options(), SystemClock(), *std::make_unique<SystemRandom>(), RealFileSystem());
  ASSERT_FALSE(locked);
  EXPECT_EQ(locked.error().code, Code::kLocked);
}

}  // namespace
}  // namespace tributary::embedded_device_test
