#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/payload/codec/half.h"
#include "protocol/payload/update_codec.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_fleet.h"

// Each codec writes what it should, is unbiased and small, and refuses other bytes.
namespace tributary::codec_test {
namespace {

constexpr Codec kRounded[] = {Codec::kFloat16, Codec::kBfloat16, Codec::kBlock8, Codec::kBlock4};
constexpr Codec kLossy[] = {Codec::kFloat16, Codec::kBfloat16, Codec::kBlock8, Codec::kBlock4, Codec::kEden1,
                            Codec::kEden2,   Codec::kEden4,    Codec::kTop1,   Codec::kTop5};

std::vector<float> Normal(size_t count, float deviation, uint64_t seed = 1) {
  SeededRandom random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += UniformUnit(random);
    value = deviation * static_cast<float>(sum);
  }
  return values;
}

Bytes BlockOf(Codec codec, const std::vector<float>& values, uint64_t seed = 1) {
  SeededRandom random(seed);
  const auto encoder = MakeBlockEncoder(codec, random);
  Bytes bytes(encoder->BytesFor(values.size()));
  Must(encoder->Encode(values, bytes));
  return bytes;
}

Bytes Update(const UpdateFormat& format, const std::vector<float>& values, uint64_t seed = 1) {
  SeededRandom random(seed);
  return Must(EncodeUpdate(format, {.weight = 3, .parameter_count = values.size()}, values, &random));
}

TEST(CodecTest, BlocksHaveTheDocumentedBytes) {
  EXPECT_EQ(ToHex(BlockOf(Codec::kFloat16, {1, -2.5F})), "003c00c1");
  EXPECT_EQ(ToHex(BlockOf(Codec::kBfloat16, {1, -2.5F})), "803f20c0");
  EXPECT_EQ(ToHex(BlockOf(Codec::kBlock8, {127, -64, 0})), "803f7fc000");
  EXPECT_EQ(ToHex(BlockOf(Codec::kBlock4, {7, -3, 0})), "803fd700");
  EXPECT_EQ(ToHex(BlockOf(Codec::kTop1, {0, -3, 1})), "010040c0");
}

TEST(CodecTest, EveryFloat16ComesBack) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = FromFloat16(static_cast<uint16_t>(half));
    if (!std::isfinite(value)) continue;
    const Bytes bytes = BlockOf(Codec::kFloat16, {value});
    EXPECT_EQ(bytes[0] | bytes[1] << 8, static_cast<int>(half));
  }
  EXPECT_EQ(FromFloat16(0x3555), 0.333251953125F);
  EXPECT_EQ(FromFloat16(0x0001), 0x1p-24F);
  EXPECT_EQ(FromFloat16(0x7bff), 65504.0F);
  EXPECT_TRUE(std::isinf(FromFloat16(0x7c00)) && std::isnan(FromFloat16(0x7e00)));
}

// The mean over many encodings is the value: within five deviations of a mean of so many, whose steps are at most
// `step`.
TEST(CodecTest, RoundingIsUnbiased) {
  const std::vector<float> values = {1, 0.3F, -0.7001F, 1e-3F, -3e-5F, 1e-4F, 0.99999F, 0};
  constexpr int kTimes = 20'000;
  for (const Codec codec : kRounded) {
    std::vector<double> sum(values.size());
    std::vector<double> squares(values.size());
    SeededRandom random(5);
    const auto encoder = MakeBlockEncoder(codec, random);
    const auto decoder = MakeBlockDecoder(codec);
    for (int i = 0; i < kTimes; ++i) {
      Bytes bytes(encoder->BytesFor(values.size()));
      Must(encoder->Encode(values, bytes));
      std::vector<float> back(values.size());
      Must(decoder->Decode(bytes, back));
      for (size_t j = 0; j < back.size(); ++j) {
        const double error = double{back[j]} - double{values[j]};
        sum[j] += error;
        squares[j] += error * error;
      }
    }
    for (size_t j = 0; j < values.size(); ++j) {
      EXPECT_LE(std::abs(sum[j]), 5 * std::sqrt(squares[j]) + 1e-30) << CodecName(codec) << ", " << values[j];
      EXPECT_TRUE(values[j] != 0 || squares[j] == 0) << CodecName(codec);
    }
    // Rounding to the nearest would pass the test above for values that can be written: here it must have rounded.
    EXPECT_GT(squares[1], 0) << CodecName(codec);
  }
}

TEST(CodecTest, TheErrorIsThatOfTheStep) {
  const std::vector<float> values = Normal(64'000, 0.01F);
  const auto error = [&](Codec codec) {
    const auto back = Must(DecodeUpdate(codec, Update(codec, values)));
    double squares = 0, all = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      squares += std::pow(double{back[i]} - double{values[i]}, 2);
      all += double{values[i]} * double{values[i]};
    }
    return squares / all;
  };
  EXPECT_LT(error(Codec::kFloat16), 1e-6);
  EXPECT_LT(error(Codec::kBfloat16), 2e-5);
  EXPECT_LT(error(Codec::kBlock8), 1e-4);
  EXPECT_LT(error(Codec::kBlock4), 0.03);
}

// Of a model of the demo's size, with header, signature, certificates and tags.
TEST(CodecTest, SizesWithAllOverhead) {
  const std::vector<float> values = Normal(215'370, 0.01F);
  const TestFleet fleet;
  const Identity device = fleet.Issue(Role::kDevice, "device-1");
  const auto size = [&](Codec codec) {
    UploadSubject subject;
    subject.task = TestTask("fashion");
    subject.base_version = ModelVersion{1};
    subject.device = TestDevice("device-1");
    subject.codec = codec;
    const SealedUpload sealed =
        Must(SealUpload(subject, Update(codec, values), limits::kDefaultChunkBytes,
                        {kDefaultAead, fleet.sealing_key().public_key}, device.key, device.chain));
    return static_cast<double>(sealed.envelope.size() + sealed.header.ciphertext_size);
  };
  const double whole = size(Codec::kFloat32Dense);
  EXPECT_LE(size(Codec::kFloat16) / whole, 0.501);
  EXPECT_LE(size(Codec::kBfloat16) / whole, 0.501);
  EXPECT_LE(size(Codec::kBlock8) / whole, 0.26);
  EXPECT_LE(size(Codec::kBlock4) / whole, 0.142);
  EXPECT_LE(size(Codec::kEden4) / whole, 0.129);
  EXPECT_LE(size(Codec::kEden2) / whole, 0.066);
  EXPECT_LE(size(Codec::kEden1) / whole, 0.035);
  EXPECT_LE(size(Codec::kTop5) / whole, 0.047);
  EXPECT_LE(size(Codec::kTop1) / whole, 0.012);
}

TEST(CodecTest, ExactValuesComeBackWhateverTheCodecAndTheParts) {
  const std::vector<float> values = Normal(9'001, 0.01F);
  const std::vector<ValueRange> exact = {{0, 3}, {700, 130}, {830, 1}, {9'000, 1}};
  for (const Codec codec : kLossy) {
    const UpdateFormat format(codec, exact);
    const Bytes update = Update(format, values);
    const auto back = Must(DecodeUpdate(format, update));
    ASSERT_EQ(back.size(), values.size());
    for (const ValueRange& range : exact) {
      for (uint64_t i = range.first; i < range.first + range.size; ++i) EXPECT_EQ(back[i], values[i]) << i;
    }
    // The same, byte by byte.
    struct Sink final : UpdateDecoder::Sink {
      Status OnMeta(const UpdateMeta&) override { return {}; }
      Status OnValues(uint64_t first, std::span<const float> part) override {
        EXPECT_EQ(first, got.size());
        got.insert(got.end(), part.begin(), part.end());
        return {};
      }
      std::vector<float> got;
    } sink;
    const auto decoder = Must(MakeUpdateDecoder(format, sink));
    for (const uint8_t& byte : update) Must(decoder->Feed({&byte, 1}));
    Must(decoder->Finish());
    EXPECT_EQ(sink.got, back) << CodecName(codec);
  }
}

TEST(CodecTest, AnUpdateThatEndsEarlyOrLateIsRefused) {
  const std::vector<float> values = Normal(131, 1);
  for (const Codec codec : kLossy) {
    const UpdateFormat format(codec, {{5, 2}});
    Bytes update = Update(format, values);
    for (size_t length = 0; length < update.size(); ++length) {
      const auto decoded = DecodeUpdate(format, ByteView(update).first(length));
      ASSERT_FALSE(decoded) << length;
      EXPECT_TRUE(decoded.error().code == Code::kMalformed || decoded.error().code == Code::kWrongTensorCount);
    }
    update.push_back(0);
    EXPECT_EQ(DecodeUpdate(format, update).error().code, Code::kWrongTensorCount);
  }
}

TEST(CodecTest, WhatNoEncoderWritesIsRefused) {
  const auto decoded = [](Codec codec, const std::string& hex, size_t count) {
    std::vector<float> values(count);
    const Status status = MakeBlockDecoder(codec)->Decode(Must(FromHex(hex)), values);
    return status ? Code{} : status.error().code;
  };
  EXPECT_EQ(decoded(Codec::kBlock8, "807f01", 1), Code::kNotFinite);  // infinite
  EXPECT_EQ(decoded(Codec::kBlock8, "c07f01", 1), Code::kNotFinite);  // no number
  EXPECT_EQ(decoded(Codec::kBlock8, "80bf01", 1), Code::kNotFinite);  // negative
  EXPECT_EQ(decoded(Codec::kBlock8, "803f80", 1), Code::kMalformed);
  EXPECT_EQ(decoded(Codec::kBlock8, "803f81", 1), Code{});
  EXPECT_EQ(decoded(Codec::kBlock4, "803f08", 1), Code::kMalformed);
  EXPECT_EQ(decoded(Codec::kBlock4, "803f17", 1), Code::kMalformed);  // behind the last
  EXPECT_EQ(decoded(Codec::kBlock4, "803f17", 2), Code{});
}

TEST(CodecTest, TopKKeepsTheLargestAndRefusesPositionsThatNobodyWrites) {
  std::vector<float> values = Normal(300, 1);
  values[7] = 50;
  values[299] = -40;
  values[100] = 30;
  const auto back = Must(DecodeUpdate(Codec::kTop1, Update(Codec::kTop1, values)));
  for (size_t i = 0; i < back.size(); ++i) EXPECT_EQ(back[i], std::abs(values[i]) > 20 ? values[i] : 0) << i;
  const auto decoded = [](const std::string& hex, size_t count) {
    std::vector<float> into(count);
    const Status status = MakeBlockDecoder(Codec::kTop1)->Decode(Must(FromHex(hex)), into);
    return status ? Code{} : status.error().code;
  };
  EXPECT_EQ(decoded("0000803f", 3), Code{});
  EXPECT_EQ(decoded("0300803f", 3), Code::kMalformed) << "beyond the last";
  EXPECT_EQ(decoded("0010803f", 3), Code::kMalformed) << "behind the position";
  EXPECT_EQ(decoded("012000803f0000", 101), Code{});
  EXPECT_EQ(decoded("0110000000803f", 101), Code::kMalformed) << "twice the same";
}

TEST(CodecTest, AValueThatIsTooLargeIsNotEncoded) {
  SeededRandom random(1);
  const std::vector<float> large = {70'000};
  const UpdateMeta meta{.weight = 1, .parameter_count = 1};
  EXPECT_EQ(EncodeUpdate(Codec::kFloat16, meta, large, &random).error().code, Code::kNormExceeded);
  EXPECT_TRUE(EncodeUpdate(Codec::kBfloat16, meta, large, &random));
  EXPECT_EQ(EncodeUpdate(Codec::kBfloat16, meta, large).error().code, Code::kInvalidArgument) << "no generator";
}

TEST(CodecTest, ScalesReachFromTheSmallestToTheLargest) {
  for (const float value : {1e-45F, 1e-38F, 1e-10F, 1e30F}) {
    for (const Codec codec : {Codec::kBlock8, Codec::kBlock4}) {
      const auto back = Must(DecodeUpdate(codec, Update(codec, {value, -value / 2})));
      EXPECT_TRUE(std::isfinite(back[0]) && back[0] >= 0) << value;
      EXPECT_TRUE(value < 1e-30F || std::abs(back[0] / value - 1) < 0.16F) << value;
    }
  }
}

TEST(CodecTest, ThePlansFirstKnownCodecIsTaken) {
  const std::vector<std::string> plan = {"of-tomorrow", "block8", "float32"};
  EXPECT_EQ(FirstKnown(plan), Codec::kBlock8);
  EXPECT_EQ(FirstKnown(std::span(plan).first(1)).error().code, Code::kUnknownCodec);
  EXPECT_TRUE(CheckListed(Codec::kFloat32Dense, plan));
  EXPECT_EQ(CheckListed(Codec::kBlock4, plan).error().code, Code::kUnknownCodec);
  EXPECT_EQ(CheckCodecs(plan).error().message,
            "plan.update_codec must be of float32, float16, bfloat16, block8, block4, eden1, eden2, eden4, top1, top5 "
            "and linear4 to "
            "linear24, not 'of-tomorrow'");
  EXPECT_FALSE(CheckCodecs({}));
  const std::vector<std::string> twice = {"block8", "block8"};
  EXPECT_EQ(CheckCodecs(twice).error().message, "plan.update_codec names block8 twice");
  EXPECT_TRUE(CheckCodecs(std::span(plan).subspan(1)));
  for (const Codec codec : kLossy) EXPECT_EQ(CodecNamed(CodecName(codec)), codec);
}

}  // namespace
}  // namespace tributary::codec_test
