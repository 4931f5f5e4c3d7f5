#include "protocol/payload/update_codec.h"

#include <rapidcheck.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"

namespace tributary::update_codec_test {
namespace {

// Keeps what it was handed, and checks that it comes in order.
class Collector final : public UpdateDecoder::Sink {
 public:
  Status OnMeta(const UpdateMeta& given) override {
    EXPECT_FALSE(meta.has_value());
    meta = given;
    return meta_status;
  }
  Status OnValues(uint64_t first, std::span<const float> given) override {
    EXPECT_TRUE(meta.has_value());
    EXPECT_EQ(first, values.size());
    EXPECT_FALSE(given.empty());
    values.insert(values.end(), given.begin(), given.end());
    starts.push_back(given.data());
    return values_status;
  }

  std::optional<UpdateMeta> meta;
  std::vector<float> values;
  std::vector<const float*> starts;
  Status meta_status;
  Status values_status;
};

UpdateMeta MetaFor(size_t count) { return {12, count, 0.5, 1500, 7'000'000}; }

std::vector<float> Ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = 0.25f * static_cast<float>(i) - 3.0f;
  return values;
}

Bytes Encoded(const std::vector<float>& values) {
  return EncodeUpdate(Codec::kFloat32Dense, MetaFor(values.size()), values).value();
}

// Decodes in parts of the given sizes, then the rest at once.
Status Decode(ByteView update, std::span<const size_t> parts, Collector& into) {
  auto decoder = MakeUpdateDecoder(Codec::kFloat32Dense, into).value();
  for (const size_t part : parts) {
    const size_t count = std::min(part, update.size());
    // A copy of exact length, so that a read past the part's end is seen by the address sanitizer.
    const Bytes copy = ToBytes(update.first(count));
    RETURN_IF_ERROR(decoder->Feed(copy));
    update = update.subspan(count);
  }
  RETURN_IF_ERROR(decoder->Feed(update));
  return decoder->Finish();
}

Code CodeOf(ByteView update) {
  Collector collector;
  const Status status = Decode(update, {}, collector);
  return status ? Code{} : status.error().code;
}

TEST(UpdateCodecTest, HasTheDocumentedBytes) {
  const std::vector<float> values = {1.0f, -2.0f, 0.5f};
  const Bytes update = Encoded(values);
  ASSERT_EQ(update.size(), 76u);
  EXPECT_EQ(ToHex(update),
            "30000000"
            "0000000005000000"  // root: a struct of five data words
            "0c00000000000000"  // weight
            "0300000000000000"  // parameter count
            "000000000000e03f"  // training loss
            "dc05000000000000"  // training time
            "c0cf6a0000000000"  // peak memory
            "000000000000000000000000"
            "0000803f000000c00000003f");
}

TEST(UpdateCodecTest, AnySplitGivesTheSameValues) {
  EXPECT_TRUE(rc::check("decode(encode(x)) == x however it is fed", [] {
    const std::vector<float> values = Ramp(*rc::gen::inRange<size_t>(0, 3000));
    const auto parts = *rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(0, 900));
    Collector collector;
    RC_ASSERT(Decode(Encoded(values), parts, collector).has_value());
    RC_ASSERT(*collector.meta == MetaFor(values.size()));
    RC_ASSERT(collector.values == values);
  }));
}

TEST(UpdateCodecTest, ByteByByte) {
  const std::vector<float> values = Ramp(33);
  Collector collector;
  const std::vector<size_t> ones(Encoded(values).size(), 1);
  ASSERT_TRUE(Decode(Encoded(values), ones, collector));
  EXPECT_EQ(collector.values, values);
}

TEST(UpdateCodecTest, AlignedValuesAreHandedOnWhereTheyLie) {
  const Bytes update = Encoded(Ramp(1000));
  Collector collector;
  ASSERT_TRUE(Decode(update, {}, collector));
  ASSERT_EQ(collector.starts.size(), 1u);
  EXPECT_EQ(static_cast<const void*>(collector.starts[0]), static_cast<const void*>(update.data() + 64));
}

TEST(UpdateCodecTest, PartsAtAnOddAddressGiveTheSameValues) {
  const std::vector<float> values = Ramp(5000);
  Bytes shifted(1);
  Append(shifted, Encoded(values));
  Collector collector;
  ASSERT_TRUE(Decode(ByteView(shifted).subspan(1), {}, collector));
  EXPECT_EQ(collector.values, values);
}

TEST(UpdateCodecTest, NonFiniteValuesPass) {
  const std::vector<float> values = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  Collector collector;
  ASSERT_TRUE(Decode(Encoded(values), {}, collector));
  EXPECT_TRUE(std::isnan(collector.values[0]));
  EXPECT_TRUE(std::isinf(collector.values[1]));
}

TEST(UpdateCodecTest, TruncationAtEveryLengthIsRefused) {
  const Bytes update = Encoded(Ramp(5));
  for (size_t length = 0; length < update.size(); ++length) {
    const bool whole_value = length >= 64 && length % 4 == 0;
    EXPECT_EQ(CodeOf(ByteView(update).first(length)), whole_value ? Code::kWrongTensorCount : Code::kMalformed)
        << length;
  }
}

TEST(UpdateCodecTest, MoreValuesThanAnnouncedAreRefusedBeforeTheSinkSeesThem) {
  Bytes update = Encoded(Ramp(5));
  Append(update, AsBytes(std::span<const float>(Ramp(1))));
  Collector collector;
  const Status status = Decode(update, {}, collector);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kWrongTensorCount);
  EXPECT_TRUE(collector.values.empty());
}

TEST(UpdateCodecTest, AFlippedBitInTheHeadNeverChangesTheLengthInSilence) {
  const std::vector<float> values = Ramp(5);
  const Bytes update = Encoded(values);
  for (size_t bit = 0; bit < 64 * 8; ++bit) {
    Bytes bent = update;
    bent[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    Collector collector;
    const Status status = Decode(bent, {}, collector);
    if (status) {
      EXPECT_EQ(collector.values, values) << bit;  // another weight, loss or time: what the signature is for
      EXPECT_NE(*collector.meta, MetaFor(5)) << bit;
    } else {
      const Code code = status.error().code;
      EXPECT_TRUE(code == Code::kMalformed || code == Code::kTooLarge || code == Code::kWrongTensorCount) << bit;
    }
  }
}

TEST(UpdateCodecTest, TooManyParametersAreRefusedInTheHead) {
  Bytes update = Encoded(Ramp(1));
  const uint64_t count = limits::kParameters + 1;
  std::memcpy(update.data() + 20, &count, sizeof(count));
  EXPECT_EQ(CodeOf(update), Code::kTooLarge);
}

TEST(UpdateCodecTest, TheSinksErrorEndsTheDecoding) {
  const Bytes update = Encoded(Ramp(5));
  Collector collector;
  collector.meta_status = Fail(Code::kBadWeight, "no");
  auto decoder = MakeUpdateDecoder(Codec::kFloat32Dense, collector).value();
  EXPECT_EQ(decoder->Feed(update).error().code, Code::kBadWeight);
  EXPECT_EQ(decoder->Feed(update).error().code, Code::kBadWeight);
  EXPECT_EQ(decoder->Finish().error().code, Code::kBadWeight);
  EXPECT_TRUE(collector.values.empty());

  Collector second;
  second.values_status = Fail(Code::kNotFinite, "no");
  EXPECT_EQ(Decode(update, {}, second).error().code, Code::kNotFinite);
}

TEST(UpdateCodecTest, RefusesOtherCodecsAndWrongCounts) {
  Collector collector;
  EXPECT_EQ(MakeUpdateDecoder(Codec::kRecord, collector).error().code, Code::kUnknownCodec);
  EXPECT_EQ(EncodeUpdate(Codec::kRecord, MetaFor(1), Ramp(1)).error().code, Code::kUnknownCodec);
  EXPECT_EQ(EncodeUpdate(Codec::kFloat32Dense, MetaFor(2), Ramp(1)).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::update_codec_test
