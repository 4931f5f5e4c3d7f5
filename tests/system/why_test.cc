#include <cmath>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "aggregator/api/json_tasks.h"
#include "protocol/payload/device_state.h"
#include "tests/support/must.h"
#include "tests/support/synthetic_device.h"
#include "tests/support/small_module.h"

// Devices that cannot train say why, and an operator of real processes reads it; the round that they make impossible ends
// long before its deadline.
namespace tributary::why_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr uint64_t kParameters = 1'000;
constexpr uint32_t kMinimum = 3;
constexpr int kDevices = 4;

class WhySite : public testing::Test {
 protected:
  WhySite() {
    site_.AddAggregator();
    site_.AddGateway("gateway-1");
    site_.Start("aggregator");
    site_.Start("gateway-1");
    TaskRequest request;
    request.task.id = TestTask("forecast");
    request.task.table.tensors = {{.name = "w", .shape = {kParameters}, .offset = 0, .size = kParameters}};
    // The certificates of a test are made by hand, so a round waits a tenth of its time for devices of which nobody has
    // heard: twenty seconds.
    request.task.policy = {.report_goal = kMinimum, .minimum = kMinimum, .deadline_seconds = 200, .inclusion = 1.0};
    request.task.module = Must(site_.api().PutBlob(SmallModule()));
    const std::vector<float> weights(kParameters, 0.5f);
    request.weights = Must(site_.api().PutBlob(AsBytes(std::span<const float>(weights)))).digest;
    Must(site_.api().CreateTask(request));
    Must(site_.api().StartRounds("forecast", 1));
    for (int i = 0; i < kDevices; ++i) {
      const std::string id = "d" + std::to_string(i);
      devices_.push_back(std::make_unique<SyntheticDevice>(
          thread_, site_.fleet().Issue(Role::kDevice, id),
          SyntheticDevice::Options{site_.AddressOf("gateway-1"), site_.folder() / "devices" / id}));
      EXPECT_TRUE(devices_.back()->AwaitVersion(1)) << site_.Logs();
    }
  }

  // The device seals what it says of itself as the agent does.
  void Say(size_t device, uint64_t sequence, std::optional<DeviceState::Failure> failure) {
    SyntheticDevice& from = *devices_.at(device);
    DeviceState state;
    state.sequence = sequence;
    state.boots = 1;
    if (failure) state.failures[TestTask("forecast")] = std::move(*failure);
    const Publication publication = from.publication();
    UploadSubject subject = SubjectFor(publication, from.identity());
    subject.kind = UploadKind::kDeviceState;
    subject.priority = Priority::kDeviceState;
    subject.codec = Codec::kRecord;
    from.Give(
        Must(SealUpload(subject, EncodeDeviceState(state), limits::kMinChunkBytes,
                        {publication.aead, publication.sealing_key}, from.identity().key, from.identity().chain)));
  }
  static DeviceState::Failure NoField() {
    return {Code::kMissingField,
            "the task's input window needs the field 'window'; the examples have: image, label",
            1,
            ModelVersion{1},
            SystemClock().Now(),
            true};
  }
  std::string Tributary(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"--url", "http://127.0.0.1:" + std::to_string(site_.HttpPortOf("aggregator")),
                                    "--token", site_.token()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return site_.Run("tributary", all).output;
  }
  Json Round() { return Must(site_.api().Round("forecast", 1)); }

  TestSite site_{TRIBUTARY_BIN_DIR};
  DeviceThread thread_;
  std::vector<std::unique_ptr<SyntheticDevice>> devices_;
};

TEST_F(WhySite, AnOperatorReadsWhyDevicesCannotTrainAndTheRoundEndsEarly) {
  devices_[0]->GiveUpdate();
  Say(0, 1, std::nullopt);
  Say(1, 1, NoField());
  ASSERT_TRUE(site_.Eventually([&] { return !Round().at("device_failures").empty(); })) << site_.Logs();
  EXPECT_EQ(Round().at("state"), "collecting") << "two others may still come";

  // The failures that were said are kept over the end of the process that heard it.
  site_.Kill("aggregator");
  site_.Start("aggregator");
  EXPECT_EQ(Round().at("device_failures"), (Json{{"missing-field", 1}}));
  EXPECT_THAT(Tributary({"devices", "show", "d1"}),
              AllOf(HasSubstr("task forecast fails on version 1: missing-field, 1 times"),
                    HasSubstr("needs the field 'window'"), HasSubstr("import it, or name another in the task")));
  EXPECT_THAT(Tributary({"devices", "list"}), HasSubstr("forecast missing-field"));

  Say(2, 1, NoField());
  ASSERT_TRUE(site_.Eventually([&] { return Round().at("state") == "failed"; }, Millis(60'000)))
      << Round().dump() << site_.Logs();
  const Json round = Round();
  EXPECT_LT(round.at("closed").get<std::string>(), round.at("deadline").get<std::string>());
  EXPECT_THAT(round.at("shortfall").get<std::string>(),
              AllOf(HasSubstr("devices cannot train version 1: 2 missing-field"), HasSubstr("3 are needed")));
  EXPECT_THAT(Tributary({"rounds", "show", "forecast", "1"}),
              AllOf(HasSubstr("2 missing-field"), HasSubstr("2 of the devices say missing-field"),
                    HasSubstr("import it, or name another in the task")));
  EXPECT_TRUE(site_.Eventually([&] {
    return site_.MetricOf("aggregator",
                          "tributary_aggregator_device_failures{code=\"missing-field\",task=\"forecast\"}") == 2;
  })) << site_.PageOf("aggregator", "/metrics");

  Say(1, 2, std::nullopt);
  EXPECT_TRUE(site_.Eventually([&] { return Round().at("device_failures") == Json{{"missing-field", 1}}; }));
  EXPECT_THAT(Tributary({"devices", "show", "d1"}), testing::Not(HasSubstr("fails on version")));
}

}  // namespace
}  // namespace tributary::why_test
