#include <atomic>
#include <thread>

#include <gmock/gmock.h>

#include "device/agent/model_in_use.h"
#include "device/learn/process_learner.h"
#include "tests/device/sdk/application.h"
#include "tests/device/sdk/line_site.h"
#include "tests/support/fixed_examples.h"
#include "tests/support/must.h"

// An application's device with a real aggregator and a learner of its own.
namespace tributary::running_test {
namespace {

using testing::HasSubstr;

constexpr int kPoints = 40;

class RunningTest : public testing::Test {
 protected:
  void Open(Application& app, const std::string& id, LineSite& line) {
    app.Open(line.MemberFolder(id), line.endpoint(), line.server_key(), LineSite::Learner());
  }
  void OpenWithPoints(Application& app, const std::string& id, LineSite& line) {
    Open(app, id, line);
    ASSERT_EQ(app.CreatePoints(), TRIBUTARY_OK) << app.message();
    ASSERT_EQ(app.AddPoints(0, kPoints, true, app.error()), TRIBUTARY_OK) << app.message();
  }
  static std::string StatusOf(Application& app) {
    char* json = nullptr;
    EXPECT_EQ(tributary_status(app.get(), &json, app.error()), TRIBUTARY_OK) << app.message();
    const std::string text = json ? json : "";
    tributary_free(json);
    return text;
  }
  // The digest of the version that an undisturbed device with the points makes.
  static std::string Expected() {
    static const std::string digest = [] {
      LineSite line;
      Learn(line);
      return line.Digests().at(0);
    }();
    return digest;
  }
  static void Learn(LineSite& line) {
    Application app;
    app.Open(line.MemberFolder("device-1"), line.endpoint(), line.server_key(), LineSite::Learner());
    ASSERT_EQ(app.CreatePoints(), TRIBUTARY_OK) << app.message();
    ASSERT_EQ(app.AddPoints(0, kPoints, true, app.error()), TRIBUTARY_OK) << app.message();
    line.StartRounds(1);
    ASSERT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_OK) << app.message();
    ASSERT_TRUE(app.Await(TRIBUTARY_VERSION_ARRIVED, 2)) << line.site().Logs();
  }
};

TEST_F(RunningTest, ItLearnsAndItsCallbacksMayCallTheLibrary) {
  LineSite line;
  Application app;
  OpenWithPoints(app, "device-1", line);
  int more = kPoints;
  app.also = [&](const Application::Event& event) {
    uint64_t count = 0;
    EXPECT_EQ(tributary_count(app.get(), "points", &count, nullptr), TRIBUTARY_OK);
    EXPECT_EQ(app.AddPoints(more, more + 1, true), TRIBUTARY_OK);
    ++more;
    char* json = nullptr;
    EXPECT_EQ(tributary_status(app.get(), &json, nullptr), TRIBUTARY_OK);
    EXPECT_THAT(json, HasSubstr(R"("runs":true)"));
    tributary_free(json);
    EXPECT_EQ(tributary_close(app.get(), nullptr), TRIBUTARY_CONFLICT);
    EXPECT_EQ(tributary_tick(app.get(), 0, nullptr, nullptr), TRIBUTARY_CONFLICT);
    EXPECT_EQ(tributary_start(app.get(), nullptr), TRIBUTARY_CONFLICT);
    EXPECT_EQ(tributary_set_events(app.get(), nullptr, nullptr, nullptr), TRIBUTARY_CONFLICT);
    EXPECT_EQ(tributary_set_conditions(app.get(), nullptr, nullptr, nullptr), TRIBUTARY_CONFLICT);
    if (event.kind == TRIBUTARY_VERSION_ARRIVED && event.version == 2) {
      EXPECT_EQ(tributary_stop(app.get(), nullptr), TRIBUTARY_OK);
    }
  };
  line.StartRounds(1);
  ASSERT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_OK) << app.message();
  ASSERT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_CONFLICT);
  ASSERT_TRUE(app.Await(TRIBUTARY_VERSION_ARRIVED, 2)) << line.site().Logs();
  for (const int kind : {TRIBUTARY_CONNECTED, TRIBUTARY_VERSION_ARRIVED, TRIBUTARY_TRAINING_STARTED, TRIBUTARY_TRAINED,
                         TRIBUTARY_DELIVERED}) {
    EXPECT_TRUE(app.HasCome(kind)) << kind;
  }
  EXPECT_FALSE(app.HasCome(TRIBUTARY_FAILED));
  for (const Application::Event& event : app.events()) {
    EXPECT_TRUE(event.task.empty() || event.task == "line") << event.task;
  }
  // The callback has stopped it.
  EXPECT_EQ(tributary_stop(app.get(), nullptr), TRIBUTARY_OK);
  const std::string status = StatusOf(app);
  EXPECT_THAT(status, HasSubstr(R"("runs":false,"enrolled":true,"id":"device-1","role":"device")"));
  EXPECT_THAT(status, HasSubstr(R"("task":"line","phase":"handed_over","version":1)"));
  app.also = {};
  EXPECT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_OK) << app.message();
}

TEST_F(RunningTest, ItLivesInTicksAndWaitsForItsConditions) {
  LineSite line;
  Application app;
  OpenWithPoints(app, "device-1", line);
  std::atomic<bool> charging = false;
  const auto may_train = [](void* user) { return static_cast<std::atomic<bool>*>(user)->load() ? 1 : 0; };
  ASSERT_EQ(tributary_set_conditions(app.get(), may_train, &charging, app.error()), TRIBUTARY_OK);
  line.StartRounds(1);
  const auto tick_until = [&](const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      uint32_t next = 0;
      ASSERT_EQ(tributary_tick(app.get(), 20, &next, app.error()), TRIBUTARY_OK) << app.message();
    }
    EXPECT_TRUE(condition()) << line.site().Logs();
  };
  tick_until([&] { return app.HasSaid("the application"); });
  EXPECT_FALSE(app.HasCome(TRIBUTARY_TRAINING_STARTED));
  EXPECT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_CONFLICT) << "it runs by ticks";
  charging = true;
  tick_until([&] { return app.HasCome(TRIBUTARY_VERSION_ARRIVED, 2); });
  EXPECT_EQ(tributary_stop(app.get(), app.error()), TRIBUTARY_OK);
  // Another thread may stop a tick that is long.
  std::thread stopper([&] {
    while (tributary_tick(app.get(), 0, nullptr, nullptr) != TRIBUTARY_BUSY) std::this_thread::yield();
    EXPECT_EQ(tributary_stop(app.get(), nullptr), TRIBUTARY_OK);
  });
  int ticked = TRIBUTARY_BUSY;  // at first the other one may be in its own
  while (ticked == TRIBUTARY_BUSY) ticked = tributary_tick(app.get(), 60'000, nullptr, nullptr);
  EXPECT_EQ(ticked, TRIBUTARY_OK);
  stopper.join();
  EXPECT_EQ(line.Digests().at(0), Expected());
}

TEST_F(RunningTest, ClosingEndsTheCallsOfOtherThreads) {
  LineSite line;
  Application ticked;
  Open(ticked, "device-1", line);
  std::thread ticking([&] { EXPECT_EQ(tributary_tick(ticked.get(), 600'000, nullptr, nullptr), TRIBUTARY_OK); });
  EXPECT_TRUE(line.site().Eventually([&] { return StatusOf(ticked).find(R"("runs":true)") != std::string::npos; }));
  ticked.Close();
  ticking.join();

  Application applicant;
  const std::string invitation = line.Invitation("board-7");
  applicant.Open(line.site().folder() / "app", "tcp://127.0.0.1:9", line.server_key());
  std::thread asking([&] {
    EXPECT_EQ(tributary_enrol(applicant.get(), invitation.c_str(), "board-7", 0, nullptr), TRIBUTARY_SHUTTING_DOWN);
  });
  const auto set = [&] { return tributary_set_conditions(applicant.get(), nullptr, nullptr, nullptr); };
  EXPECT_TRUE(line.site().Eventually([&] { return set() == TRIBUTARY_CONFLICT; }));
  applicant.Close();
  asking.join();
}

TEST_F(RunningTest, TwoDevicesLearnInOneProcessWhileThreadsAdd) {
  LineSite line(2);
  Application one, other;
  OpenWithPoints(one, "device-1", line);
  OpenWithPoints(other, "device-2", line);
  line.StartRounds(2);
  ASSERT_EQ(tributary_start(one.get(), one.error()), TRIBUTARY_OK) << one.message();
  ASSERT_EQ(tributary_start(other.get(), other.error()), TRIBUTARY_OK) << other.message();
  std::atomic<bool> enough = false;
  std::atomic<int> added = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!enough) {
        const int number = kPoints + added++;
        EXPECT_EQ(one.AddPoints(number, number + 1, true), TRIBUTARY_OK);
      }
    });
  }
  EXPECT_TRUE(one.Await(TRIBUTARY_VERSION_ARRIVED, 3)) << line.site().Logs();
  EXPECT_TRUE(other.Await(TRIBUTARY_VERSION_ARRIVED, 3)) << line.site().Logs();
  enough = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(one.Count(), static_cast<uint64_t>(kPoints + added));
  EXPECT_EQ(other.Count(), static_cast<uint64_t>(kPoints));
}

// Points that the program keeps, with what may go wrong in it.
struct HostedPoints {
  std::vector<Application::Point> points;
  std::atomic<int> opened = 0, closed = 0;
  std::atomic<bool> wrong_shape = false;
  std::function<void()> half_way;
  size_t at = 0;  // one fit at a time

  explicit HostedPoints(int count) {
    for (int i = 0; i < count; ++i) points.emplace_back(i);
  }
  static int Open(void* user, void** iterator) {
    auto& self = *static_cast<HostedPoints*>(user);
    ++self.opened;
    self.at = 0;
    *iterator = &self.at;
    return TRIBUTARY_OK;
  }
  static int Next(void* user, void* iterator, tributary_example* example) {
    auto& self = *static_cast<HostedPoints*>(user);
    size_t& at = *static_cast<size_t*>(iterator);
    if (at == self.points.size()) return TRIBUTARY_END;
    if (at == self.points.size() / 2 && self.half_way) self.half_way();
    const uint32_t size = example->struct_size;
    *example = self.points[at++].Given(true);
    EXPECT_EQ(size, example->struct_size);
    if (self.wrong_shape) --example->tensor_count;
    return TRIBUTARY_OK;
  }
  static void Close(void* user, void*) { ++static_cast<HostedPoints*>(user)->closed; }

  int Host(Application& app, uint32_t ndim = 1) {
    static constexpr int64_t kTwo[] = {2};
    const tributary_field fields[] = {{"x", TRIBUTARY_FP32, ndim, kTwo}, {"y", TRIBUTARY_FP32, 0, nullptr}};
    tributary_source source{};
    source.struct_size = sizeof(source);
    source.field_count = 2;
    source.collection = "points";
    source.fields = fields;
    source.open = Open;
    source.next = Next;
    source.close = Close;
    source.user = this;
    return tributary_host(app.get(), &source, app.error());
  }
};

TEST_F(RunningTest, HostedExamplesGiveTheSameBitsAsStoredOnesAndAfterARestart) {
  LineSite line;
  Application app;
  Open(app, "device-1", line);
  HostedPoints hosted(kPoints);
  ASSERT_EQ(hosted.Host(app), TRIBUTARY_OK) << app.message();
  // The first time, the program stops the device while it is asked for examples.
  std::atomic<bool> stopped = false;
  hosted.half_way = [&] {
    uint64_t count = 0;
    EXPECT_EQ(tributary_count(app.get(), "points", &count, nullptr), TRIBUTARY_NOT_FOUND) << "it is hosted";
    EXPECT_EQ(tributary_close(app.get(), nullptr), TRIBUTARY_CONFLICT);
    EXPECT_EQ(tributary_host_changed(app.get(), "points", nullptr), TRIBUTARY_OK);
    if (!stopped.exchange(true)) {
      EXPECT_EQ(tributary_stop(app.get(), nullptr), TRIBUTARY_OK);
    }
  };
  line.StartRounds(1);
  ASSERT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_OK) << app.message();
  ASSERT_TRUE(line.site().Eventually([&] { return stopped.load(); })) << line.site().Logs();
  ASSERT_EQ(tributary_stop(app.get(), app.error()), TRIBUTARY_OK);
  EXPECT_EQ(hosted.opened, hosted.closed);
  EXPECT_FALSE(app.HasCome(TRIBUTARY_DELIVERED));
  ASSERT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_OK) << app.message();
  ASSERT_TRUE(app.Await(TRIBUTARY_VERSION_ARRIVED, 2)) << line.site().Logs();
  ASSERT_EQ(tributary_stop(app.get(), app.error()), TRIBUTARY_OK);
  EXPECT_EQ(hosted.opened, hosted.closed);
  EXPECT_GE(hosted.opened, 2);
  EXPECT_EQ(line.Digests().at(0), Expected());
}

TEST_F(RunningTest, WhatGoesWrongInAHostedIteratorIsSaidAndTheDeviceGoesOn) {
  LineSite line;
  Application app;
  Open(app, "device-1", line);
  HostedPoints hosted(kPoints);
  EXPECT_EQ(hosted.Host(app, 99), TRIBUTARY_INVALID_ARGUMENT) << app.message();
  EXPECT_EQ(tributary_host_erased(app.get(), "points", app.error()), TRIBUTARY_NOT_FOUND);
  ASSERT_EQ(app.CreatePoints(), TRIBUTARY_OK);
  EXPECT_EQ(hosted.Host(app), TRIBUTARY_ALREADY_EXISTS) << app.message();
  ASSERT_EQ(tributary_drop(app.get(), "points", nullptr, app.error()), TRIBUTARY_OK);
  ASSERT_EQ(hosted.Host(app), TRIBUTARY_OK) << app.message();
  EXPECT_EQ(app.CreatePoints(), TRIBUTARY_CONFLICT) << app.message();

  hosted.wrong_shape = true;
  line.StartRounds(1);
  ASSERT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_OK) << app.message();
  EXPECT_EQ(hosted.Host(app), TRIBUTARY_CONFLICT) << "it runs";
  ASSERT_TRUE(app.AwaitCode(TRIBUTARY_MISSING_FIELD)) << line.site().Logs();
  EXPECT_TRUE(app.HasSaid("'y'"));
  EXPECT_EQ(hosted.opened, hosted.closed);

  hosted.wrong_shape = false;
  ASSERT_EQ(tributary_host_changed(app.get(), "points", app.error()), TRIBUTARY_OK);
  ASSERT_TRUE(app.Await(TRIBUTARY_VERSION_ARRIVED, 2)) << line.site().Logs();
  EXPECT_EQ(hosted.opened, hosted.closed);
  EXPECT_EQ(line.Digests().at(0), Expected());
  // Deleted examples leave nothing behind that was made from them.
  EXPECT_EQ(tributary_host_erased(app.get(), "points", app.error()), TRIBUTARY_OK) << app.message();
}

TEST_F(RunningTest, ALogCallbackMayCallTheLibraryToo) {
  LineSite line;
  Application app;
  OpenWithPoints(app, "device-1", line);
  std::atomic<int> lines = 0;
  struct Log {
    Application& app;
    std::atomic<int>& lines;
  } log{app, lines};
  const auto take = [](void* user, int, const char*) {
    auto& [application, count] = *static_cast<Log*>(user);
    char* json = nullptr;
    EXPECT_EQ(tributary_status(application.get(), &json, nullptr), TRIBUTARY_OK);
    tributary_free(json);
    EXPECT_EQ(application.AddPoints(0, 1), TRIBUTARY_OK);
    EXPECT_EQ(tributary_close(application.get(), nullptr), TRIBUTARY_CONFLICT);
    EXPECT_EQ(tributary_set_log(nullptr, nullptr, TRIBUTARY_LOG_ERROR, nullptr), TRIBUTARY_CONFLICT);
    if (++count == 3) {
      EXPECT_EQ(tributary_stop(application.get(), nullptr), TRIBUTARY_OK);
    }
  };
  ASSERT_EQ(tributary_set_log(take, &log, TRIBUTARY_LOG_INFO, app.error()), TRIBUTARY_OK);
  EXPECT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_OK) << app.message();
  EXPECT_TRUE(line.site().Eventually([&] { return lines >= 3; }));
  EXPECT_EQ(tributary_stop(app.get(), app.error()), TRIBUTARY_OK);
  EXPECT_EQ(tributary_set_log(nullptr, nullptr, TRIBUTARY_LOG_ERROR, app.error()), TRIBUTARY_OK);
}

TEST_F(RunningTest, PredictionsAreThoseOfTheDeviceItself) {
  LineSite line;
  Application app;
  OpenWithPoints(app, "device-1", line);
  const std::vector<float> x = {0.25f, 0.5f, 1, -1, 3, 7};
  const int64_t three[] = {3, 2}, one[] = {1, 2}, wide[] = {2, 3};
  tributary_tensor input = {"x", TRIBUTARY_FP32, 2, three, x.data(), x.size() * sizeof(float)};
  tributary_prediction* prediction = nullptr;
  const auto predict = [&](const char* task) {
    return tributary_predict(app.get(), task, &input, 1, &prediction, app.error());
  };
  EXPECT_EQ(predict("line"), TRIBUTARY_NOT_FOUND) << app.message();
  EXPECT_EQ(prediction, nullptr);
  // In a callback too, and while the device learns.
  std::atomic<int> inside = -1;
  app.also = [&](const Application::Event& event) {
    if (event.kind != TRIBUTARY_VERSION_ARRIVED || event.version != 2) return;
    tributary_prediction* made = nullptr;
    inside = tributary_predict(app.get(), "line", &input, 1, &made, nullptr);
    tributary_free(made);
  };
  line.StartRounds(1);
  ASSERT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_OK) << app.message();
  ASSERT_TRUE(app.Await(TRIBUTARY_VERSION_ARRIVED, 2)) << line.site().Logs();
  EXPECT_EQ(inside, TRIBUTARY_OK);
  ASSERT_EQ(tributary_stop(app.get(), app.error()), TRIBUTARY_OK);

  ASSERT_EQ(predict("line"), TRIBUTARY_OK) << app.message();
  EXPECT_EQ(prediction->version, 2u);
  EXPECT_EQ(prediction->personal, 0u);
  ASSERT_EQ(prediction->output_count, 1u);
  const tributary_tensor& output = prediction->outputs[0];
  EXPECT_STREQ(output.name, "output");
  ASSERT_EQ(output.bytes, 3 * sizeof(float));

  SystemClock clock;
  ProcessLearner learner(LineSite::Learner());
  FixedExamples none{{}};
  const Path folder = line.site().folder() / "device-1";
  const Identity identity = Must(LoadIdentity(folder / "identity", clock.Now()));
  Predictions own({RealFileSystem(), clock, learner, none}, folder / "data", identity.anchor, identity.subject.id);
  ExampleSet request{.columns = {{.field = {"x", DType::kFp32, {2}}, .values = ToBytes(AsBytes(std::span(x)))}},
                     .count = 3};
  const Prediction expected = Must(own.Predict(TestTask("line"), request));
  EXPECT_EQ(std::memcmp(expected.outputs.at(0).values.data(), output.data, output.bytes), 0);
  tributary_free(prediction);

  EXPECT_EQ(predict("other"), TRIBUTARY_UNKNOWN_TASK) << app.message();
  EXPECT_EQ(predict("no task"), TRIBUTARY_INVALID_ARGUMENT) << app.message();
  input.shape = wide;
  EXPECT_EQ(predict("line"), TRIBUTARY_BAD_EXAMPLE) << app.message();
  input.ndim = 0;
  input.bytes = sizeof(float);
  EXPECT_EQ(predict("line"), TRIBUTARY_BAD_EXAMPLE) << app.message();
  input = {"z", TRIBUTARY_FP32, 2, one, x.data(), 2 * sizeof(float)};
  EXPECT_EQ(predict("line"), TRIBUTARY_MISSING_FIELD) << app.message();
  EXPECT_EQ(prediction, nullptr);
  // A thread that asks may end: the model stays.
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const tributary_tensor good = {"x", TRIBUTARY_FP32, 2, one, x.data(), 2 * sizeof(float)};
      tributary_prediction* made = nullptr;
      EXPECT_EQ(tributary_predict(app.get(), "line", &good, 1, &made, nullptr), TRIBUTARY_OK);
      tributary_free(made);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(RunningTest, ItEnrolsWithAnInvitationAndGoesOnAfterATimeout) {
  LineSite line;
  Application app;
  const std::string folder = line.site().folder() / "app";
  const std::string invitation = line.Invitation("board-7");
  // Nobody listens there: it waits, and is told to stop.
  app.Open(folder, "tcp://127.0.0.1:9", line.server_key());
  EXPECT_EQ(tributary_enrol(app.get(), invitation.c_str(), "board-7", 50, app.error()), TRIBUTARY_TIMEOUT);
  EXPECT_THAT(app.message(), HasSubstr("enrol again"));
  std::thread applicant([&] {
    EXPECT_EQ(tributary_enrol(app.get(), invitation.c_str(), "board-7", 0, nullptr), TRIBUTARY_SHUTTING_DOWN);
  });
  const auto set = [&] { return tributary_set_conditions(app.get(), nullptr, nullptr, app.error()); };
  EXPECT_TRUE(line.site().Eventually([&] { return set() == TRIBUTARY_CONFLICT; }));
  EXPECT_EQ(tributary_start(app.get(), app.error()), TRIBUTARY_CONFLICT) << app.message();
  EXPECT_EQ(tributary_stop(app.get(), app.error()), TRIBUTARY_OK);
  applicant.join();
  app.Close();
  app.Open(folder, line.endpoint(), line.server_key(), LineSite::Learner());
  ASSERT_EQ(tributary_enrol(app.get(), invitation.c_str(), "board-7", 0, app.error()), TRIBUTARY_OK) << app.message();
  EXPECT_EQ(tributary_enrol(app.get(), invitation.c_str(), "board-7", 0, app.error()), TRIBUTARY_ALREADY_EXISTS);
  EXPECT_THAT(StatusOf(app), HasSubstr(R"("id":"board-7")"));
}

}  // namespace
}  // namespace tributary::running_test
