#include <gmock/gmock.h>

#include "protocol/envelope/open_upload.h"
#include "tests/device/agent/agent_fixture.h"
#include "tests/support/must.h"

// What an application hears of its device, and what it may say.
namespace tributary::agent_events_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

struct ListeningDevice : AgentFixture {
  explicit ListeningDevice(Role role = Role::kDevice) : AgentFixture(role) {
    on_event = [this](const DeviceEvent& event) {
      events.push_back(event);
      std::string word = std::string(DeviceEventName(event.kind));
      if (Number(event.version) > 0) word += " " + std::to_string(Number(event.version));
      if (event.kind == DeviceEventKind::kModelChanged || event.kind == DeviceEventKind::kDelivered)
        word += " " + event.text;
      words.push_back(word);
    };
  }
  const DeviceEvent* Find(DeviceEventKind kind) const {
    const auto found = std::ranges::find(events, kind, &DeviceEvent::kind);
    return found == events.end() ? nullptr : &*found;
  }
  bool AwaitWord(const std::string& word) {
    return RunUntilWithTime([&] { return std::ranges::find(words, word) != words.end(); });
  }

  // Of the uploads, as the aggregator would open them.
  std::map<UploadKind, Bytes> Plaintexts() const {
    std::map<UploadKind, Bytes> opened;
    for (const auto& [id, stored] : server.sink.complete) {
      auto opener = Must(UploadOpener::Begin(stored.header, world.fleet.sealing_key()));
      for (const Bytes& chunk : stored.chunks) {
        Bytes part(limits::kMinChunkBytes);
        part.resize(Must(opener.OpenChunk(chunk, part)));
        Append(opened[stored.header.subject.kind], part);
      }
    }
    return opened;
  }

  std::vector<DeviceEvent> events;
  std::vector<std::string> words;
};

TEST(AgentEventsTest, ARoundIsToldInOrder) {
  ListeningDevice device;
  device.learner.keeps = true;
  device.personal_tensors = {"head"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 2 && device.quiet(); }));
  ASSERT_TRUE(device.AwaitWord("delivered 1 update"));
  // Which model is in use is looked up beside the work.
  std::erase_if(device.words, [](const std::string& word) { return word.starts_with("model-changed"); });
  EXPECT_THAT(device.words, ElementsAre("connected", "waiting", "version-arrived 1", "training-started 1", "trained 1",
                                        "waiting", "delivered 1 evaluation", "delivered 1 update"));
  for (const DeviceEvent& event : device.events) {
    EXPECT_EQ(event.task, event.version == ModelVersion{} ? TaskId() : TestTask("digits"));
  }
  EXPECT_EQ(device.Find(DeviceEventKind::kTrained)->text,
            "loss 0 over 10 examples; global accuracy 0.6, loss 0.5; personal accuracy 0.8, loss 0.4");
  EXPECT_EQ(device.Find(DeviceEventKind::kWaiting)->text, "no publication has come yet");
}

TEST(AgentEventsTest, AModelThatIsInUseIsToldOnce) {
  ListeningDevice device;
  device.learner.keeps = true;
  device.personal_tensors = {"head"};
  device.Start();
  device.Publish(1, 1);
  device.examples.own.held_out.indices = {0};
  ASSERT_TRUE(device.AwaitWord("model-changed 1 personal"));
  device.Publish(2, 2);
  ASSERT_TRUE(device.AwaitWord("model-changed 2 personal"));
  std::erase_if(device.words, [](const std::string& word) { return !word.starts_with("model-changed"); });
  EXPECT_THAT(device.words,
              ElementsAre("model-changed 1 global", "model-changed 1 personal", "model-changed 2 personal"));
  device.learner.own_accuracy = 1;  // no better than the version
  device.Publish(3, 3, /*with_round=*/false);
  ASSERT_TRUE(device.AwaitWord("model-changed 3 personal"));
  ASSERT_TRUE(device.AwaitWord("model-changed 3 global"));
}

TEST(AgentEventsTest, WhyNothingIsTrainedIsToldOnceForEachReason) {
  ListeningDevice device;
  device.examples.failure = Error{Code::kMissingField, "the task needs 'image'"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntilWithTime([&] {
    return std::ranges::any_of(device.events,
                               [](const DeviceEvent& event) { return event.code == Code::kMissingField; });
  }));
  for (int i = 0; i < 4'000; ++i) {
    device.Step();
    device.world.clock.Advance(Millis(10));
  }
  const auto told =
      std::ranges::count_if(device.events, [](const DeviceEvent& event) { return event.code == Code::kMissingField; });
  EXPECT_EQ(told, 1);
  EXPECT_EQ(device.Find(DeviceEventKind::kFailed), nullptr);
  device.examples.failure.reset();
  device.examples.stamp = "another";
  EXPECT_TRUE(device.AwaitWord("trained 1"));
}

TEST(AgentEventsTest, AFailureIsTold) {
  ListeningDevice device;
  device.learner.failure = Error{Code::kNotFinite, "the loss"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.AwaitWord("failed 1"));
  EXPECT_EQ(device.Find(DeviceEventKind::kFailed)->code, Code::kNotFinite);
  EXPECT_EQ(device.Find(DeviceEventKind::kFailed)->text, "the loss");
  EXPECT_THAT(device.words, Not(Contains("trained 1")));
}

TEST(AgentEventsTest, ASessionThatEndsIsTold) {
  ListeningDevice device;
  device.Start();
  ASSERT_TRUE(device.AwaitWord("connected"));
  device.server.Stop();
  ASSERT_TRUE(device.AwaitWord("disconnected"));
  EXPECT_NE(device.Find(DeviceEventKind::kDisconnected)->text, "");
  device.words.clear();
  device.server.Start();
  EXPECT_TRUE(device.AwaitWord("connected"));
}

TEST(AgentEventsTest, WhatWasThereBeforeTheStartHasNotArrivedButIsDelivered) {
  ListeningDevice device;
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().fits == 1; }));
  device.server.Stop();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->account().Spooled() == 2; }));
  device.Kill();
  device.words.clear();
  device.server.Start();
  device.Start();
  EXPECT_TRUE(device.AwaitWord("delivered 1 update"));
  EXPECT_THAT(device.words, Not(Contains("version-arrived 1")));
  EXPECT_THAT(device.words, Contains("model-changed 1 global"));
}

TEST(AgentEventsTest, TheApplicationSaysWhenToTrain) {
  ListeningDevice device;
  bool charging = false;
  int asked = 0;
  device.may_train = [&] { return ++asked, charging; };
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntilWithTime([&] {
    return !device.events.empty() && device.events.back().text == "the application does not let the device train now";
  }));
  const Millis start = device.world.clock.Monotonic();
  asked = 0;
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.world.clock.Monotonic() - start > Millis(20'000); }));
  EXPECT_EQ(device.learner.fits, 0);
  EXPECT_NEAR(asked, 20, 2) << "every second";
  EXPECT_EQ(std::ranges::count(device.words, "waiting"), 2) << "for a publication, and once for this";
  EXPECT_EQ(device.StateText(), "") << "nothing was begun";
  charging = true;
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_TRUE(device.agent->failures().empty());
}

TEST(AgentEventsTest, AFitThatIsStoppedBeginsAgainToTheSameBits) {
  const auto run = [](bool stops) {
    ListeningDevice device;
    bool charging = true;
    device.may_train = [&] { return charging; };
    device.learner.during = [&] {
      // A learner looks now and then; the second time the plug is out.
      if (stops && device.learner.fits <= 3) {
        charging = false;
        device.world.clock.Advance(Millis(300));
      }
    };
    device.Start();
    device.Publish(1, 1);
    for (int i = 1; stops && i <= 3; ++i) {
      EXPECT_TRUE(device.RunUntilWithTime([&] { return device.learner.fits == i && device.work.idle(); }));
      const int fits = device.learner.fits;
      EXPECT_TRUE(device.RunUntilWithTime([&] { return device.StateText().find("waiting 1 1") != std::string::npos; }));
      EXPECT_EQ(device.learner.fits, fits);
      charging = true;
    }
    EXPECT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }));
    EXPECT_EQ(device.learner.fits, stops ? 4 : 1);
    EXPECT_TRUE(device.agent->failures().empty()) << "to be stopped is no failure";
    EXPECT_EQ(device.agent->counts().fits_failed, 0u);
    EXPECT_EQ(device.Find(DeviceEventKind::kFailed), nullptr);
    return device.Plaintexts();
  };
  EXPECT_EQ(run(true), run(false));
}

TEST(AgentEventsTest, AModelIsPutOnANewVersionWhenTheApplicationLetsIt) {
  ListeningDevice device;
  device.learner.keeps = true;
  device.personal_tensors = {"head"};
  bool charging = true;
  device.may_train = [&] { return charging; };
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }));
  charging = false;
  device.world.clock.Advance(Millis(1'000));
  device.Publish(2, 2, /*with_round=*/false);
  ASSERT_TRUE(device.AwaitWord("model-changed 2 personal"));
  for (int i = 0; i < 500; ++i) {
    device.Step();
    device.world.clock.Advance(Millis(10));
  }
  EXPECT_EQ(device.Personal()->base, ModelVersion{1});
  charging = true;
  EXPECT_TRUE(device.RunUntilWithTime([&] { return device.Personal()->base == ModelVersion{2}; }));
}

}  // namespace
}  // namespace tributary::agent_events_test
