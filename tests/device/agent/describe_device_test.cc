#include <gmock/gmock.h>

#include "device/agent/agent_state.h"
#include "tests/device/agent/agent_fixture.h"

namespace tributary::describe_device_test {
namespace {

using testing::HasSubstr;

TEST(DescribeDeviceTest, TellsWhatWaitsWhileTheDaemonRuns) {
  AgentFixture device;
  const auto describe = [&] { return DescribeDevice(RealFileSystem(), device.folder, device.world.clock.Now()); };
  const auto before = describe();
  ASSERT_FALSE(before);
  EXPECT_EQ(before.error().code, Code::kNotFound);

  device.server.sink.judge = [](const SignedEnvelope&) { return Fail(Code::kBusy, "later"); };
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->account().Spooled() == 2; }));
  device.world.clock.Advance(Millis(7'000));
  const auto waiting = describe();
  ASSERT_TRUE(waiting) << waiting.error().ToString();
  EXPECT_THAT(*waiting, HasSubstr("2 uploads wait"));
  EXPECT_THAT(*waiting, HasSubstr("the oldest for 7 s"));
  EXPECT_THAT(*waiting, HasSubstr("digits: "));

  device.server.sink.judge = [](const SignedEnvelope&) { return Fail(Code::kNormExceeded, "too long"); };
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.quiet(); }));
  const auto given_up = describe();
  ASSERT_TRUE(given_up) << given_up.error().ToString();
  EXPECT_THAT(*given_up, HasSubstr("given up"));
  EXPECT_THAT(*given_up, HasSubstr(std::string(Describe(Code::kNormExceeded).remedy)));
  EXPECT_THAT(*given_up, HasSubstr("norm-exceeded 1"));
  EXPECT_THAT(*given_up, HasSubstr("handed_over"));

  device.examples.failure = Error{Code::kMissingField, "the task's input window needs the field 'window'"};
  device.Publish(2, 2);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.agent->failures().empty(); }));
  const auto failing = describe();
  ASSERT_TRUE(failing) << failing.error().ToString();
  EXPECT_THAT(*failing, HasSubstr("digits: version 2, 1 times, last missing-field: the task's input window needs"));
  EXPECT_THAT(*failing, HasSubstr(std::string(Describe(Code::kMissingField).remedy)));
}

}  // namespace
}  // namespace tributary::describe_device_test
