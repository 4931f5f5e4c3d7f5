#include <cmath>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/codec/eden.h"
#include "protocol/payload/codec/linear.h"
#include "protocol/payload/codec/rotation.h"
#include "protocol/payload/update_codec.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"

// EDEN and the linear codec, against the known answers of tests/vectors/codecs.json.
namespace tributary::rotation_codec_test {
namespace {

const nlohmann::json& Vectors() {
  static const nlohmann::json all = [] {
    std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/vectors/codecs.json");
    return nlohmann::json::parse(file);
  }();
  return all;
}

std::vector<float> Normal(size_t count, uint64_t seed) {
  SeededRandom random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += UniformUnit(random);
    value = static_cast<float>(sum);
  }
  return values;
}

double Squares(std::span<const float> values) {
  double squares = 0;
  for (const float value : values) squares += double{value} * double{value};
  return squares;
}

// |x - y|^2 / |x|^2.
double Error(std::span<const float> x, std::span<const float> y) {
  double squares = 0;
  for (size_t i = 0; i < x.size(); ++i) squares += std::pow(double{x[i]} - double{y[i]}, 2);
  return squares / Squares(x);
}

std::vector<float> ThereAndBack(const UpdateFormat& format, const std::vector<float>& values, Random& random) {
  const Bytes update = Must(EncodeUpdate(format, {.weight = 1, .parameter_count = values.size()}, values, &random));
  return Must(DecodeUpdate(format, update));
}

UpdateFormat LinearFormat(int bits, double norm, uint64_t count, std::vector<ValueRange> exact = {}) {
  const LinearForm form(count, exact);
  UpdateFormat format(LinearCodec(bits), std::move(exact));
  format.linear = {LinearSeed(Must(TaskId::Parse("digits")), ModelVersion{1}),
                   LinearStep(norm, form.coordinates(), bits, 60), 1e6, 1e6};
  return format;
}

TEST(RotationTest, HadamardHasTheKnownAnswers) {
  const auto known = Vectors()["hadamard"];
  for (const auto& one : known) {
    const auto input = one["x"].get<std::vector<float>>(), signs = one["signs"].get<std::vector<float>>();
    std::vector<float> z(input);
    for (size_t i = 0; i < z.size(); ++i) z[i] *= signs[i];
    Hadamard(std::span(z));
    const auto expected = one["z"].get<std::vector<float>>();
    for (size_t i = 0; i < z.size(); ++i) EXPECT_NEAR(z[i], expected[i], 1e-6) << i;
    EXPECT_NEAR(std::sqrt(Squares(z)), std::sqrt(Squares(input)), 1e-6);
    Hadamard(std::span(z));
    for (size_t i = 0; i < z.size(); ++i) EXPECT_NEAR(z[i] * signs[i], input[i], 1e-6) << i;
  }
}

// The signs of AES-256 in counter mode under the zero key: dc 95 … (key_stream_test).
TEST(RotationTest, SignsAreTheBitsOfTheStream) {
  KeyStream stream(Bytes(KeyStream::kSeedBytes));
  std::vector<float> values(16, 1);
  FlipSigns(std::span(values), stream);
  EXPECT_EQ(values, (std::vector<float>{1, 1, -1, -1, -1, 1, -1, -1, -1, 1, -1, 1, -1, 1, 1, -1}));
}

TEST(EdenTest, LevelsAreThoseOfLloydAndMaxAndTheErrorIsThatOfTheirDistortion) {
  for (const auto& known : Vectors()["eden"]) {
    const int bits = known["bits"].get<int>();
    const auto levels = known["levels"].get<std::vector<float>>();
    ASSERT_TRUE(std::ranges::equal(EdenLevels(bits), levels)) << bits;
    // The distortion of a half-normal variable, by Simpson's rule.
    double distortion = 0;
    constexpr int kSteps = 200'000;
    for (int i = 0; i <= kSteps; ++i) {
      const double x = 12.0 * i / kSteps;
      double nearest = 1e9;
      for (const float level : levels) nearest = std::min(nearest, std::abs(x - double{level}));
      const double weight = i == 0 || i == kSteps ? 1 : i % 2 == 1 ? 4 : 2;
      distortion += weight * nearest * nearest * std::exp(-x * x / 2);
    }
    distortion *= 12.0 / kSteps / 3 * std::sqrt(2 / std::acos(-1.0));
    EXPECT_NEAR(distortion, known["distortion"].get<double>(), 1e-6) << bits;
    EXPECT_NEAR(1 / (1 - distortion) - 1, known["vnmse"].get<double>(), 1e-6) << bits;
    SeededRandom random(bits);
    const auto codec = Must(FirstKnown(std::vector<std::string>{fmt::format("eden{}", bits)}));
    const std::vector<float> values = Normal(50 * 4096, 7);
    EXPECT_NEAR(Error(values, ThereAndBack(codec, values, random)) / known["vnmse"].get<double>(), 1, 0.02) << bits;
  }
}

TEST(EdenTest, TheScaleIsUnbiased) {
  const auto known = Vectors()["drive"];
  const auto x = known["x"].get<std::vector<float>>(), q = known["q"].get<std::vector<float>>();
  EXPECT_NEAR(UnbiasedScale(x, q), known["unbiased_scale"].get<double>(), 1e-12);
  EXPECT_EQ(UnbiasedScale(std::vector<float>(3), q), 0);
}

// Over rotations: the mean of n estimates has n times less error, which a bias would not let it have. A third of the
// squared norm is in one value.
TEST(EdenTest, IsUnbiasedOverRotations) {
  std::vector<float> values = Normal(3000, 3);
  values[17] = 40;
  constexpr int kTimes = 400;
  for (const Codec codec : {Codec::kEden1, Codec::kEden2, Codec::kEden4}) {
    SeededRandom random(11);
    std::vector<double> sum(values.size());
    double single = 0;
    for (int i = 0; i < kTimes; ++i) {
      const auto back = ThereAndBack(codec, values, random);
      single += Error(values, back) / kTimes;
      for (size_t j = 0; j < back.size(); ++j) sum[j] += double{back[j]} / kTimes;
    }
    const std::vector<float> mean(sum.begin(), sum.end());
    EXPECT_LT(Error(values, mean), 1.2 * single / kTimes) << CodecName(codec);
  }
}

TEST(EdenTest, ASmallBlockComesBackAndBadScalesDoNot) {
  for (const Codec codec : {Codec::kEden1, Codec::kEden2, Codec::kEden4}) {
    SeededRandom random(2);
    EXPECT_NEAR(ThereAndBack(codec, {3}, random).at(0), 3, 1e-6) << "one value is its own norm";
    EXPECT_EQ(ThereAndBack(codec, {0, 0, 0}, random), std::vector<float>(3));
    const auto decoder = MakeBlockDecoder(codec);
    decoder->ReadHead(Bytes(KeyStream::kSeedBytes));
    std::vector<float> one(1);
    EXPECT_EQ(decoder->Decode(Must(FromHex("0000c07f00")), one).error().code, Code::kNotFinite);
    EXPECT_EQ(decoder->Decode(Must(FromHex("0000807f00")), one).error().code, Code::kNotFinite);
    EXPECT_EQ(decoder->Decode(Must(FromHex("000080bf00")), one).error().code, Code::kNotFinite);
    EXPECT_EQ(decoder->Decode(Must(FromHex("0000803f80")), one).error().code, Code::kMalformed);
    EXPECT_TRUE(decoder->Decode(Must(FromHex("0000803f01")), one));
  }
}

TEST(LinearTest, TheErrorIsThatOfTheTable) {
  for (const auto& known : Vectors()["linear"]) {
    const int bits = known["bits"].get<int>();
    constexpr uint64_t kCount = 16 * 4096;
    std::vector<float> values = Normal(kCount, 5);
    // The norm at which the step that the table means is a power of two.
    const double step = 0x1p-12;
    const double norm = LinearReach(step, kCount, bits);
    ASSERT_EQ(LinearStep(norm * (1 - 1e-9), kCount, bits, 60), step) << bits;
    const double factor = norm / std::sqrt(Squares(values));
    for (float& value : values) value = static_cast<float>(value * factor * (1 - 1e-6));
    const UpdateFormat format = LinearFormat(bits, norm * (1 - 1e-9), kCount);
    SeededRandom random(bits);
    const auto coordinates = ThereAndBack(format, values, random);
    const std::vector<double> vector(coordinates.begin(), coordinates.end());
    const auto back = LinearForm(kCount, {}).RotateBack(vector, format.linear->seed);
    const double error = Error(values, std::vector<float>(back.begin(), back.end()));
    EXPECT_NEAR(error / known["nmse"].get<double>(), 1, 0.03) << bits;
  }
}

TEST(LinearTest, EveryLevelIsAWholeMultipleOfTheStepAndTheSumOfAllIsTheSumOfThese) {
  const std::vector<ValueRange> exact = {{10, 5}, {6000, 1}};
  const uint64_t count = 9'000;
  const UpdateFormat format = LinearFormat(24, 100, count, exact);
  const LinearForm form(count, exact);
  ASSERT_EQ(form.size(), 6 + 3 * 4096u);
  std::vector<double> sum(form.size());
  std::vector<double> expected(count);
  SeededRandom random(4);
  for (uint64_t device = 1; device <= 5; ++device) {
    const auto values = Normal(count, device);
    const auto vector = ThereAndBack(format, values, random);
    for (size_t i = 0; i < vector.size(); ++i) {
      ASSERT_TRUE(i < 6 || std::fmod(double{vector[i]}, format.linear->step) == 0) << i;
      sum[i] += static_cast<double>(device) * double{vector[i]};
    }
    for (size_t i = 0; i < count; ++i) expected[i] += static_cast<double>(device) * double{values[i]};
  }
  const auto back = form.RotateBack(sum, format.linear->seed);
  for (size_t i = 0; i < count; ++i) ASSERT_NEAR(back[i], expected[i], 2e-4) << i;
  EXPECT_EQ(back[12], expected[12]) << "an exact value";
}

TEST(LinearTest, IsUnbiasedWithinItsReachAndShrinksWhatIsLarger) {
  const auto values = Normal(500, 6);
  const double norm = std::sqrt(Squares(values));
  const UpdateFormat format = LinearFormat(8, norm, values.size());
  const LinearForm form(values.size(), {});
  SeededRandom random(9);
  std::vector<double> sum(form.size());
  constexpr int kTimes = 500;
  double single = 0;
  const auto rotated = form.Rotate(values, format.linear->seed, 1e9);
  for (int i = 0; i < kTimes; ++i) {
    const auto vector = ThereAndBack(format, values, random);
    single += Error(rotated, vector) / kTimes;
    for (size_t j = 0; j < vector.size(); ++j) sum[j] += double{vector[j]} / kTimes;
  }
  EXPECT_LT(Error(rotated, std::vector<float>(sum.begin(), sum.end())), 1.5 * single / kTimes);
  std::vector<float> large(values);
  for (float& value : large) value *= 100;
  const double reach = LinearReach(format.linear->step, form.coordinates(), 8);
  EXPECT_NEAR(std::sqrt(Squares(ThereAndBack(format, large, random))), reach, 0.05 * reach);
}

TEST(LinearTest, ABlocksBytesAreCheckedAndTheCodecStandsAlone) {
  const LinearRound round{{}, 0.5, 100, 100};
  std::vector<float> values(2);
  EXPECT_EQ(MakeBlockDecoder(LinearCodec(6), &round)->Decode(Must(FromHex("e00f")), values).error().code,
            Code::kMalformed)
      << "-32";
  ASSERT_TRUE(MakeBlockDecoder(LinearCodec(6), &round)->Decode(Must(FromHex("c10f")), values));
  EXPECT_EQ(values, (std::vector<float>{0.5, -0.5}));
  EXPECT_EQ(MakeBlockDecoder(LinearCodec(6), &round)->Decode(Must(FromHex("c11f")), values).error().code,
            Code::kMalformed)
      << "behind the last";
  EXPECT_EQ(EncodeUpdate(LinearCodec(8), {.weight = 1, .parameter_count = 1}, std::vector<float>(1)).error().code,
            Code::kInvalidArgument)
      << "no step";
  EXPECT_EQ(CheckCodecs(std::vector<std::string>{"linear8", "float32"}).error().message,
            "plan.update_codec has linear8 beside others; a linear codec stands alone");
  EXPECT_TRUE(CheckCodecs(std::vector<std::string>{"linear24"}));
  EXPECT_FALSE(CheckCodecs(std::vector<std::string>{"linear3"}));
  EXPECT_EQ(CodecName(LinearCodec(12)), "linear12");
}

}  // namespace
}  // namespace tributary::rotation_codec_test
