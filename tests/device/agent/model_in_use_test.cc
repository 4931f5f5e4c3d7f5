#include "device/agent/model_in_use.h"

#include <gmock/gmock.h>

#include "tests/device/agent/agent_fixture.h"
#include "tests/support/flipped_byte.h"
#include "tests/support/must.h"

namespace tributary::model_in_use_test {
namespace {

// Notes what it is to load; answers with the version's first weight.
class LoadingLearner final : public Learner {
 public:
  struct Given {
    ModelVersion version{};
    Bytes module;
    std::vector<float> weights;
    std::optional<PersonalModel> personal;
    size_t scaled_by = 0;
  };
  std::vector<Given> given;

  Result<Learned> Learn(const LearnOrder&, const TaskExamples&, const LearnHooks&) override {
    return Fail(Code::kNotSupported, "it only predicts");
  }
  Result<std::vector<EvaluationResult>> Evaluate(const LearnOrder&, const TaskExamples&, const LearnHooks&) override {
    return Fail(Code::kNotSupported, "it only predicts");
  }
  Result<std::unique_ptr<LoadedModel>> Load(const LearnOrder& order, const Examples& scaled_by) override {
    given.push_back({order.task.latest,
                     ToBytes(order.module),
                     {order.weights.begin(), order.weights.end()},
                     order.personal ? std::optional(*order.personal) : std::nullopt,
                     scaled_by.size()});
    class First final : public LoadedModel {
     public:
      explicit First(ModelVersion version) : version_(version) {}
      Result<Prediction> Predict(const ExampleSet&) override { return Prediction{.version = version_, .outputs = {}}; }

     private:
      ModelVersion version_;
    };
    return std::make_unique<First>(order.task.latest);
  }
};

struct PredictingDevice : AgentFixture {
  PredictingDevice() {
    learner.keeps = true;
    personal_tensors = {"head"};
  }
  Result<Prediction> Predict() { return predictions.Predict(TestTask("digits"), ExampleSet()); }

  LoadingLearner loads;
  Predictions predictions{
      {RealFileSystem(), world.clock, loads, examples}, folder, world.fleet.anchor(), TestDevice("device-1")};
};

TEST(ModelInUseTest, PredictionsFollowTheVersionAndThePersonalModel) {
  PredictingDevice device;
  const auto none = device.Predict();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kNotFound);
  EXPECT_THAT(none.error().message, testing::HasSubstr("no version of a model is here yet"));
  device.Start();
  EXPECT_EQ(device.Predict().error().code, Code::kNotFound);

  device.Publish(1, 1, /*with_round=*/false);
  ASSERT_TRUE(device.RunUntil([&] { return device.Predict().has_value(); }));
  ASSERT_EQ(device.loads.given.size(), 1u);
  EXPECT_EQ(device.loads.given[0].version, ModelVersion{1});
  EXPECT_EQ(device.loads.given[0].weights.size(), 9u);
  EXPECT_FALSE(device.loads.given[0].module.empty());
  EXPECT_EQ(device.loads.given[0].personal, std::nullopt);
  EXPECT_EQ(device.predictions.Predict(TestTask("other"), {}).error().code, Code::kUnknownTask);

  device.Publish(2, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_EQ(Must(device.Predict()).version, ModelVersion{1});
  EXPECT_EQ(device.loads.given.back().personal, device.Personal());
  const size_t before = device.loads.given.size();
  for (int i = 0; i < 100; ++i) Must(device.Predict());
  EXPECT_EQ(device.loads.given.size(), before) << "it stays loaded";

  // The personal model of the former version stands on the new one, until the agent has looked whether it is still better.
  device.Publish(3, 2, /*with_round=*/false);
  ASSERT_TRUE(device.RunUntil([&] { return Must(device.Predict()).version == ModelVersion{2}; }));
  EXPECT_EQ(device.loads.given.back().personal->base, ModelVersion{1});
  ASSERT_TRUE(device.RunUntil([&] { return device.Personal()->base == ModelVersion{2}; }));
  Must(device.Predict());
  EXPECT_EQ(device.loads.given.back().personal->base, ModelVersion{2});

  device.learner.own_accuracy = 1;
  device.examples.own.held_out.indices = {0};
  device.Publish(4, 3, /*with_round=*/false);
  ASSERT_TRUE(device.RunUntil([&] { return device.Personal()->base == ModelVersion{3}; }));
  Must(device.Predict());
  EXPECT_EQ(device.loads.given.back().personal, std::nullopt) << "the version is better";
}

TEST(ModelInUseTest, ADamagedModelIsNotUsed) {
  PredictingDevice device;
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 2; }));
  device.Kill();
  const ModelInUse models(RealFileSystem(), device.folder, device.world.fleet.anchor());
  const ModelToUse use = Must(models.Read(TestTask("digits"), TestDevice("device-1")));
  ASSERT_TRUE(use.personal);
  FlipAByte(device.folder / "personal/digits.1.model");
  EXPECT_EQ(Must(models.Read(TestTask("digits"), TestDevice("device-1"))).personal, std::nullopt);
  FlipAByte(device.folder / "blobs" / use.task.weights.digest.hex());
  EXPECT_EQ(models.Read(TestTask("digits"), TestDevice("device-1")).error().code, Code::kDamagedBlob);
  FlipAByte(device.folder / "publication.bin");
  EXPECT_FALSE(models.Read(TestTask("digits"), TestDevice("device-1")));
  EXPECT_TRUE(std::filesystem::exists(device.folder / "publication.bin")) << "it is the agent's to set aside";
}

TEST(ModelInUseTest, AnExpiredPublicationGoesOnPredicting) {
  PredictingDevice device;
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 2; }));
  device.world.clock.Advance(kTestLifetime);
  EXPECT_TRUE(device.Predict());
}

}  // namespace
}  // namespace tributary::model_in_use_test
