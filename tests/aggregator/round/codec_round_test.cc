#include <cmath>

#include <gtest/gtest.h>

#include "aggregator/optimise/server_optimizer.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

// Rounds whose plan asks for another codec than float32.
namespace tributary::codec_round_test {
namespace {

constexpr ModelVersion kV1{1}, kV2{2};

struct CodecRound : RoundFixture {
  void Start(std::vector<std::string> codecs) {
    TaskRecord task = NewTask({.report_goal = 3, .minimum = 3});
    task.plan.update_codec = std::move(codecs);
    Must(core().tasks().Create(task, PutInitialWeights()));
    Must(core().rounds().Start(task_id, 2));
  }
  std::vector<float> Weights(ModelVersion version) {
    return Must(ReadWeights(core().tasks().blobs(), Must(core().tasks().Versions(task_id)).at(Number(version) - 1).weights,
                            kTestParameters));
  }
};

TEST(CodecRoundTest, ARoundOfEachCodecMakesNearlyTheVersionOfFloat32) {
  std::vector<float> expected;
  for (const auto& [codec, name, most] :
       {std::tuple(Codec::kFloat32Dense, "float32", 0.0), std::tuple(Codec::kFloat16, "float16", 1e-5),
        std::tuple(Codec::kBfloat16, "bfloat16", 1e-4), std::tuple(Codec::kBlock8, "block8", 1e-4),
        std::tuple(Codec::kBlock4, "block4", 2e-3)}) {
    CodecRound round;
    round.Start({name});
    for (int device = 1; device <= 3; ++device) {
      const Status given = round.Give(round.Update(device, kV1, {.codec = codec}));
      ASSERT_TRUE(given) << name << ": " << given.error().ToString();
    }
    ASSERT_EQ(Number(round.LastRound().base), 2u) << name;
    const auto weights = round.Weights(kV2);
    if (expected.empty()) expected = weights;
    double largest = 0;
    for (size_t i = 0; i < weights.size(); ++i)
      largest = std::max(largest, std::abs(double{weights[i]} - double{expected[i]}));
    EXPECT_LE(largest, most) << name;
    EXPECT_EQ(largest > 0, codec != Codec::kFloat32Dense) << name << " was not in use";
    round.CheckAccounts();
  }
}

TEST(CodecRoundTest, WhatThePlanDoesNotListIsRefusedForGood) {
  CodecRound round;
  round.Start({"block8", "float16"});
  EXPECT_EQ(round.CodeOf(round.Give(round.Update(1, kV1))), Code::kUnknownCodec);
  EXPECT_EQ(round.CodeOf(round.Give(round.Update(1, kV1, {.codec = Codec::kBlock4}))), Code::kUnknownCodec);
  EXPECT_TRUE(round.Give(round.Update(1, kV1, {.codec = Codec::kFloat16})));
  EXPECT_TRUE(round.Give(round.Update(2, kV1, {.codec = Codec::kBlock8})));
  round.CheckAccounts();
}

TEST(CodecRoundTest, TheBoundsHoldForWhatWasDecoded) {
  CodecRound round;
  round.Start({"block8"});
  EXPECT_EQ(round.CodeOf(round.Give(round.Update(1, kV1, {.codec = Codec::kBlock8, .poison = 17}))), Code::kNormExceeded);
  EXPECT_EQ(round.CodeOf(round.Give(round.Update(1, kV1, {.codec = Codec::kBlock8, .scale = 4}))), Code::kNormExceeded);
  EXPECT_TRUE(round.Give(round.Update(1, kV1, {.codec = Codec::kBlock8})));
}

TEST(CodecRoundTest, ATaskThatListsACodecOfNobodyIsNotMade) {
  CodecRound round;
  TaskRecord task = round.NewTask({});
  task.plan.update_codec = {"block8", "gzip"};
  EXPECT_EQ(round.core().tasks().Create(task, round.PutInitialWeights()).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::codec_round_test
