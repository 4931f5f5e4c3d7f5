#include <bit>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "aggregator/optimise/next_weights.h"
#include "aggregator/records/sum_form.h"
#include "protocol/payload/version_codec.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

// Rounds whose plan asks for another codec than float32.
namespace tributary::codec_round_test {
namespace {

constexpr ModelVersion kV1{1}, kV2{2};

struct CodecRound : RoundFixture {
  void Start(std::vector<std::string> codecs, double first_norm = 10, double norm_bound = 10,
             StrategyName strategy = StrategyName::kFedAvg) {
    TaskRecord task = NewTask({.report_goal = 3, .minimum = 3});
    task.plan.strategy = strategy;
    task.first_norm = first_norm;
    task.norm_bound = norm_bound;
    task.plan.update_codec = std::move(codecs);
    Must(core().tasks().Create(task, PutInitialWeights()));
    Must(core().rounds().Start(task_id, 2));
  }
  std::vector<float> Weights(ModelVersion version) {
    return Must(ReadWeights(core().tasks().blobs(),
                            Must(core().tasks().Versions(task_id)).at(Number(version) - 1).weights, kTestParameters));
  }
};

TEST(CodecRoundTest, ARoundOfEachCodecMakesNearlyTheVersionOfFloat32) {
  std::vector<float> expected;
  for (const auto& [codec, name, most] :
       {std::tuple(Codec::kFloat32Dense, "float32", 0.0), std::tuple(Codec::kFloat16, "float16", 1e-5),
        std::tuple(Codec::kBfloat16, "bfloat16", 1e-4), std::tuple(Codec::kBlock8, "block8", 1e-4),
        std::tuple(Codec::kBlock4, "block4", 2e-3), std::tuple(Codec::kEden4, "eden4", 2e-3),
        std::tuple(Codec::kEden2, "eden2", 5e-3), std::tuple(Codec::kEden1, "eden1", 0.02),
        std::tuple(LinearCodec(24), "linear24", 1e-5), std::tuple(LinearCodec(12), "linear12", 5e-3)}) {
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

// FedPer keeps the tensor b, the last 100 values of a version: no update has them, under no codec.
TEST(CodecRoundTest, AKeptTensorDoesNotComeAndItsPlaceStaysBitForBit) {
  constexpr uint64_t kShared = 200;
  std::vector<float> expected;
  for (const auto& [codec, name, most] :
       {std::tuple(Codec::kFloat32Dense, "float32", 0.0), std::tuple(Codec::kFloat16, "float16", 1e-5),
        std::tuple(Codec::kBfloat16, "bfloat16", 1e-4), std::tuple(Codec::kBlock8, "block8", 1e-4),
        std::tuple(Codec::kBlock4, "block4", 2e-3), std::tuple(Codec::kEden1, "eden1", 0.02),
        std::tuple(Codec::kTop5, "top5", 0.02), std::tuple(LinearCodec(24), "linear24", 1e-5),
        std::tuple(LinearCodec(4), "linear4", 1.0)}) {
    SCOPED_TRACE(name);
    CodecRound round;
    round.Start({name}, 10, 10, StrategyName::kFedPer);
    EXPECT_EQ(round.CodeOf(round.Give(round.Update(1, kV1, {.codec = codec}))), Code::kWrongTensorCount);
    for (int device = 1; device <= 3; ++device)
      Must(round.Give(round.Update(device, kV1, {.parameters = kShared, .codec = codec})));
    const auto before = round.Weights(kV1), after = round.Weights(kV2);
    EXPECT_EQ(std::memcmp(&before[kShared], &after[kShared], (kTestParameters - kShared) * sizeof(float)), 0);
    if (expected.empty()) expected = after;
    double largest = 0;
    for (size_t i = 0; i < kShared; ++i) largest = std::max(largest, std::abs(double{after[i]} - double{expected[i]}));
    EXPECT_LE(largest, most);
    EXPECT_NE(std::memcmp(before.data(), after.data(), kShared * sizeof(float)), 0);
    round.CheckAccounts();
  }
}

TEST(CodecRoundTest, ATaskOfWhichDevicesKeepEverythingIsRefused) {
  CodecRound round;
  TaskRecord task = round.NewTask({.report_goal = 3, .minimum = 3});
  task.plan.strategy = StrategyName::kFedPer;
  task.plan.head = "*";
  const auto created = round.core().tasks().Create(task, round.PutInitialWeights());
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, Code::kInvalidArgument);
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

// The version is that of the whole numbers, added here one by one: with all devices in, nothing but the rounding of
// each device's own levels is lost, and no checkpoint changes a bit.
void CheckExactSum(StrategyName strategy, uint64_t shared) {
  CodecRound round;
  round.Start({"linear24"}, 10, 10, strategy);
  const TaskRecord task = Must(round.core().tasks().Get(round.task_id));
  const UpdateFormat format = FormatOf(task, LinearCodec(24), kV1, round.LastRound().bounds);
  const LinearForm form = *LinearFormOf(task);
  EXPECT_EQ(form.size(), std::bit_ceil(shared));
  std::vector<int64_t> sum(form.size());
  for (const uint64_t device : {1u, 2u, 3u}) {
    const RoundFixture::UpdateOptions options{.weight = 10 * device, .parameters = shared, .codec = LinearCodec(24)};
    const auto levels = Must(DecodeUpdate(format, round.Plaintext(static_cast<int>(device), kV1, options)));
    for (size_t i = 0; i < sum.size(); ++i)
      sum[i] += static_cast<int64_t>(10 * device) * std::llrint(double{levels[i]} / format.linear->step);
    const Status given = round.Give(round.Update(static_cast<int>(device), kV1, options));
    ASSERT_TRUE(given) << given.error().ToString();
    Must(round.core().Flush());
    round.Reopen();
  }
  std::vector<double> mean(sum.size());
  for (size_t i = 0; i < sum.size(); ++i) mean[i] = static_cast<double>(sum[i]) * format.linear->step / 60;
  const auto move = form.RotateBack(mean, format.linear->seed);
  auto expected = round.Weights(kV1);
  for (size_t i = 0; i < move.size(); ++i)
    expected[i] = static_cast<float>(double{expected[i]} + double{static_cast<float>(move[i])});
  EXPECT_EQ(move.size(), shared);
  EXPECT_EQ(round.Weights(kV2), expected);
}

TEST(CodecRoundTest, ALinearRoundIsTheExactSumOfWholeNumbers) {
  CheckExactSum(StrategyName::kFedAvg, kTestParameters);
  CheckExactSum(StrategyName::kFedPer, 200);
}

// A rotated update has the norm of the update, so the round's bound holds for it.
TEST(CodecRoundTest, AnUpdateOverTheRoundsNormIsScaledDownInALinearRoundToo) {
  CodecRound round;
  round.Start({"linear16"}, /*first_norm=*/1, /*norm_bound=*/1000);
  ASSERT_TRUE(round.Give(round.Update(1, kV1, {.codec = LinearCodec(16)})));
  EXPECT_EQ(round.LastRound().scaled, 0u);
  // The device shrinks it to the levels' reach, which is up to twice the bound.
  ASSERT_TRUE(round.Give(round.Update(2, kV1, {.codec = LinearCodec(16), .scale = 3})));
  EXPECT_EQ(round.LastRound().scaled, 1u);
  EXPECT_EQ(round.CodeOf(round.Give(round.Update(3, kV1, {.codec = LinearCodec(12)}))), Code::kUnknownCodec);
  ASSERT_TRUE(round.Give(round.Update(3, kV1, {.codec = LinearCodec(16)})));
  const auto before = round.Weights(kV1), after = round.Weights(kV2);
  double squares = 0;
  for (size_t i = 0; i < before.size(); ++i) squares += std::pow(double{after[i]} - double{before[i]}, 2);
  EXPECT_LT(std::sqrt(squares), 0.45) << "a third of the bound, and two small ones";
}

TEST(CodecRoundTest, TheBoundsHoldForWhatWasDecoded) {
  CodecRound round;
  round.Start({"block8"});
  EXPECT_EQ(round.CodeOf(round.Give(round.Update(1, kV1, {.codec = Codec::kBlock8, .poison = 17}))),
            Code::kNormExceeded);
  EXPECT_EQ(round.CodeOf(round.Give(round.Update(1, kV1, {.codec = Codec::kBlock8, .scale = 4}))), Code::kNormExceeded);
  EXPECT_TRUE(round.Give(round.Update(1, kV1, {.codec = Codec::kBlock8})));
}

// The aggregator averages on the same weights that devices have.
TEST(CodecRoundTest, AVersionIsWhatItsCompactWeightsSayAndComesOutTheSameAfterACrash) {
  for (const VersionCodec codec : {VersionCodec::kFloat16, VersionCodec::kBlock8}) {
    std::vector<Digest> digests;
    for (const bool crashed : {false, true}) {
      CodecRound round;
      TaskRecord task = round.NewTask({.report_goal = 2, .minimum = 2, .version_codec = codec});
      Must(round.core().tasks().Create(task, round.PutInitialWeights()));
      Must(round.core().rounds().Start(round.task_id, 3));
      for (const ModelVersion base : {kV1, kV2}) {
        for (int device = 1; device <= 2; ++device) ASSERT_TRUE(round.Give(round.Update(device, base)));
        if (crashed) round.Reopen();
      }
      const VersionRecord last = Must(round.core().tasks().Versions(round.task_id)).back();
      ASSERT_EQ(Number(last.version), 3u);
      ASSERT_TRUE(last.compact);
      EXPECT_EQ(last.compact->codec, codec);
      PublishedTask published;
      published.id = task.id;
      published.table = task.table;
      published.weights = last.weights;
      published.compact = last.compact;
      published.latest = last.version;
      const TemporaryFolder elsewhere;
      BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), elsewhere.path()));
      Must(blobs.Put(Must(round.core().tasks().blobs().ReadAll(last.compact->blob.digest))));
      Must(blobs.Put(AsBytes(std::span<const float>(round.Weights(kV2)))));
      Must(UnpackVersion(published, blobs));
      EXPECT_EQ(Must(blobs.ReadAll(last.weights.digest)),
                Must(round.core().tasks().blobs().ReadAll(last.weights.digest)));
      digests.push_back(last.weights.digest);
      const VersionRecord back = Must(round.core().rounds().RollBack(round.task_id, kV2, "as it was"));
      EXPECT_FALSE(back.compact) << "a difference from another version";
    }
    EXPECT_EQ(digests[0], digests[1]);
  }
}

TEST(CodecRoundTest, ATaskThatListsACodecOfNobodyIsNotMade) {
  CodecRound round;
  TaskRecord task = round.NewTask({});
  task.plan.update_codec = {"block8", "gzip"};
  EXPECT_EQ(round.core().tasks().Create(task, round.PutInitialWeights()).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::codec_round_test
