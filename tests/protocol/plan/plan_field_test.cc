#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "protocol/base/process/config.h"
#include "protocol/catalogue/task_wire.h"
#include "protocol/plan/field_json.h"
#include "protocol/plan/training_plan.h"
#include "protocol/schema/canonical.h"

// A field that is added to a plan is one member and one line of its table; JSON (and with it SQL and the API), TOML,
// --help, wire and check take it from there. The plan of these tests has two fields more than the product's.
namespace tributary::plan_field_test {
namespace {

using testing::HasSubstr;

constexpr std::string_view kSchedules[] = {"constant", "cosine"};

struct WiderPlan : TrainingPlan {
  enum class Schedule : uint8_t { kConstant, kCosine };
  double patience = 2.5;
  Schedule schedule = Schedule::kConstant;
};

std::vector<Field> FieldsOf(WiderPlan& plan) {
  return Joined(
      FieldsOf(static_cast<TrainingPlan&>(plan)),
      {{.name = "patience",
        .place = &plan.patience,
        .help = "passes without progress that end a fit",
        .bounds = AboveUpTo(0, 100),
        .unit = "epochs",
        .ignorable = true},
       {.name = "schedule", .place = ChoiceIn(plan.schedule), .help = "of the learning rate", .names = kSchedules}});
}

Bytes Encoded(WiderPlan plan) {
  WiderPlan defaults;
  return wire::EncodeCanonical<schema::TrainingPlan>(
      [&](schema::TrainingPlan::Builder to) { WritePlan(FieldsOf(plan), FieldsOf(defaults), to); });
}

template <class Plan>
Result<Plan> Decoded(const Bytes& bytes) {
  return wire::DecodeCanonical<schema::TrainingPlan>(bytes, "plan",
                                                     [](schema::TrainingPlan::Reader from) -> Result<Plan> {
                                                       Plan plan;
                                                       RETURN_IF_ERROR(ReadPlan(from, FieldsOf(plan)));
                                                       return plan;
                                                     });
}

WiderPlan Changed() {
  WiderPlan plan;
  plan.epochs = 3;
  plan.patience = 7.25;
  plan.schedule = WiderPlan::Schedule::kCosine;
  return plan;
}

TEST(PlanFieldTest, JsonTakesIt) {
  WiderPlan sent = Changed(), back;
  const std::string text = FieldsToText(FieldsOf(sent));
  EXPECT_THAT(text, HasSubstr("\"patience\":7.25,\"schedule\":\"cosine\""));
  ASSERT_TRUE(FieldsFromText(text, "plan", FieldsOf(back)));
  EXPECT_EQ(back.epochs, 3u);
  EXPECT_EQ(back.patience, 7.25);
  EXPECT_EQ(back.schedule, WiderPlan::Schedule::kCosine);
  // A row of a database that was written before the field was there.
  TrainingPlan older;
  WiderPlan read;
  ASSERT_TRUE(FieldsFromText(FieldsToText(tributary::FieldsOf(older)), "plan", FieldsOf(read)));
  EXPECT_EQ(read.patience, 2.5);
  EXPECT_EQ(FieldsFromText(R"({"patience": 0})", "plan", FieldsOf(back)).error().message,
            "plan.patience must be above 0 and at most 100, not 0");
  EXPECT_EQ(FieldsFromText(R"({"patience": 1})", "plan", tributary::FieldsOf(older)).error().message,
            "plan.patience is not a field that is known here");
}

TEST(PlanFieldTest, RealNumbersComeBackWithTheSameBits) {
  for (const double value : {0.1 + 0.2, 1e-300, 5e-324, 0.1, 3.0, 99.99999999999999}) {
    WiderPlan sent, back;
    sent.patience = value;
    ASSERT_TRUE(FieldsFromText(FieldsToText(FieldsOf(sent)), "plan", FieldsOf(back)));
    EXPECT_EQ(back.patience, value);
  }
}

TEST(PlanFieldTest, TomlTakesIt) {
  WiderPlan plan;
  auto reader = ConfigReader::Parse("[training]\npatience = 4\nschedule = 'cosine'\n", "plan.toml");
  ASSERT_TRUE(reader);
  reader->Read(FieldsOf(plan), "training");
  ASSERT_TRUE(reader->Finish());
  EXPECT_EQ(plan.patience, 4);
  EXPECT_EQ(plan.schedule, WiderPlan::Schedule::kCosine);
  auto wrong = ConfigReader::Parse("[training]\n\npatience = 101\n", "plan.toml");
  wrong->Read(FieldsOf(plan), "training");
  EXPECT_EQ(wrong->Finish().error().message,
            "plan.toml:3: 'training.patience' must be above 0 and at most 100, not 101");
}

TEST(PlanFieldTest, HelpTakesIt) {
  WiderPlan plan;
  EXPECT_THAT(
      FieldsManual(FieldsOf(plan), "training"),
      HasSubstr("  training.patience           passes without progress that end a fit [2.5 epochs; above 0 and at "
                "most 100]\n"));
}

TEST(PlanFieldTest, TheCheckTakesIt) {
  WiderPlan plan;
  EXPECT_TRUE(CheckFields(FieldsOf(plan)));
  plan.patience = 0;
  EXPECT_EQ(CheckFields(FieldsOf(plan), "plan").error().message,
            "plan.patience must be above 0 and at most 100, not 0");
}

TEST(PlanFieldTest, TheWireTakesIt) {
  const auto back = Decoded<WiderPlan>(Encoded(Changed()));
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->epochs, 3u);
  EXPECT_EQ(back->patience, 7.25);
  EXPECT_EQ(back->schedule, WiderPlan::Schedule::kCosine);
  WiderPlan listed;
  listed.update_codec = {"of-tomorrow", "block8"};
  EXPECT_EQ(Decoded<WiderPlan>(Encoded(listed))->update_codec, listed.update_codec);
  WiderPlan bad;
  bad.patience = 200;
  EXPECT_EQ(Decoded<WiderPlan>(Encoded(bad)).error().code, Code::kMalformed);
}

TEST(PlanFieldTest, APlanWithoutNewerFieldsHasTheBytesThatItHadIn010) {
  const std::string of_defaults =
      "000000000600000000000000200000009a9999999999a93fcdccccccccccec3f00000000000000000100000000000000010000000000000"
      "0";
  EXPECT_EQ(ToHex(Encoded({})), of_defaults);
  WiderPlan plan;
  static_cast<TrainingPlan&>(plan) = {.loss = Loss::kMeanSquaredError,
                                      .optimizer = Optimizer::kAdamW,
                                      .learning_rate = 0.125,
                                      .momentum = 0.5,
                                      .weight_decay = 0.25,
                                      .batch_size = 7,
                                      .epochs = 3,
                                      .max_steps = 11,
                                      .seed = ~uint64_t{0}};
  const std::string bytes =
      "00000000060000000101000007000000000000000000c03f000000000000e03f000000000000d03f030000000b000000fffffffffffffff"
      "f";
  EXPECT_EQ(ToHex(Encoded(plan)), bytes);
  EXPECT_EQ(Decoded<TrainingPlan>(*FromHex(bytes)), static_cast<TrainingPlan&>(plan));
}

TEST(PlanFieldTest, AnOlderDeviceRefusesWhatItMayNotIgnore) {
  WiderPlan patient;
  patient.patience = 7;
  EXPECT_EQ(Decoded<TrainingPlan>(Encoded(patient)), TrainingPlan()) << "it may ignore this one";
  const auto refused = Decoded<TrainingPlan>(Encoded(Changed()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kVersionUnsupported);
  EXPECT_EQ(refused.error().message, "this plan needs a newer device: field 'schedule' is not known here");
}

TEST(PlanFieldTest, AFieldStandsInOnePlaceOnly) {
  const Bytes twice = wire::EncodeCanonical<schema::TrainingPlan>([](schema::TrainingPlan::Builder to) {
    WiderPlan plan;
    WritePlan(FieldsOf(plan), FieldsOf(plan), to);
    auto entry = to.initMore(1)[0];
    entry.setName("epochs");
    entry.getValue().setNatural(3);
  });
  EXPECT_EQ(Decoded<TrainingPlan>(twice).error().code, Code::kMalformed);
}

}  // namespace
}  // namespace tributary::plan_field_test
