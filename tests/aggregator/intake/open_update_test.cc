#include "aggregator/intake/open_update.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "protocol/envelope/seal_upload.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_fleet.h"

namespace tributary::open_update_test {
namespace {

constexpr UpdateBounds kBounds{.norm_bound = 50, .max_weight = 1000};
constexpr uint64_t kParameters = 5000;
constexpr uint64_t kMostWeight = 3000;

WeightedSum EmptySum() { return WeightedSum(kParameters, FixedPointScale{40}, 1, kMostWeight); }

class UpdateReaderTest : public ::testing::Test {
 protected:
  UpdateReaderTest() : values_(kParameters) {
    SeededRandom random(1);
    for (float& value : values_) value = static_cast<float>(UniformUnit(random) * 2 - 1);
  }

  // The upload of `values_`, sealed as a device does it.
  SealedUpload Seal() { return SealBytes(*EncodeUpdate(Codec::kFloat32Dense, Meta(), values_)); }
  SealedUpload SealBytes(ByteView plaintext) {
    UploadSubject subject;
    subject.id = random_.TakeUploadId();
    subject.task = TestTask("fashion");
    subject.base_version = ModelVersion{1};
    subject.device = TestDevice("device-1");
    subject.created = kTestStart;
    auto sealed = SealUpload(subject, plaintext, chunk_bytes_, {kDefaultAead, fleet_.sealing_key().public_key},
                             device_.key, device_.chain);
    TRIBUTARY_CHECK(sealed.has_value()) << sealed.error().ToString();
    return *std::move(sealed);
  }
  UpdateMeta Meta() const { return {.weight = weight_, .parameter_count = values_.size()}; }

  Result<UpdateMeta> Read(const SealedUpload& upload) { return Read(upload, fleet_.sealing_key()); }
  Result<UpdateMeta> Read(const SealedUpload& upload, const HpkeKeyPair& key) {
    return reader_.AddTo(sum_, upload.header, key, kBounds,
                         [&](uint32_t index) -> Result<Bytes> { return upload.chunks.at(index); });
  }
  // Of an update that leaves every bit of the sum as it was.
  Code Refusal(const SealedUpload& upload) { return Refusal(upload, fleet_.sealing_key()); }
  Code Refusal(const SealedUpload& upload, const HpkeKeyPair& key) {
    const Bytes before = sum_.Serialize();
    const auto opened = Read(upload, key);
    EXPECT_FALSE(opened);
    EXPECT_EQ(sum_.Serialize(), before);
    return opened ? Code::kConflict : opened.error().code;
  }
  // Whether the sum is `count` times the values.
  bool Holds(int count) {
    WeightedSum expected = EmptySum();
    for (int i = 0; i < count; ++i) EXPECT_TRUE(Accumulate(expected, values_, weight_));
    return sum_.Serialize() == expected.Serialize();
  }

  TestFleet fleet_;
  Identity device_ = fleet_.Issue(Role::kDevice, "device-1");
  SeededRandom random_{7};
  std::vector<float> values_;
  uint64_t weight_ = 600;
  uint32_t chunk_bytes_ = limits::kMinChunkBytes;
  WeightedSum sum_ = EmptySum();
  UpdateReader reader_;
};

TEST_F(UpdateReaderTest, OpensWhatADeviceSealed) {
  const auto opened = Read(Seal());
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(*opened, Meta());
  EXPECT_TRUE(Holds(1));
}

TEST_F(UpdateReaderTest, ReadsChunksThatSplitValues) {
  for (uint32_t chunk_bytes : {4097u, 4098u, 4099u, 4100u, 5000u}) {
    chunk_bytes_ = chunk_bytes;
    sum_ = EmptySum();
    ASSERT_TRUE(Read(Seal())) << chunk_bytes;
    EXPECT_TRUE(Holds(1)) << chunk_bytes;
    ASSERT_TRUE(Read(Seal()));  // into buffers that were used before
    EXPECT_TRUE(Holds(2)) << chunk_bytes;
  }
}

TEST_F(UpdateReaderTest, RefusesAPlaintextFarLargerThanTheTasksUpdate) {
  EXPECT_EQ(Refusal(SealBytes(Bytes(kParameters * 4 + 5000))), Code::kTooLarge);
}

TEST_F(UpdateReaderTest, GoesOnAfterARefusal) {
  values_[4321] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Refusal(Seal()), Code::kNotFinite);
  values_[4321] = 0.5F;
  ASSERT_TRUE(Read(Seal()));
  EXPECT_TRUE(Holds(1));
}

// In the last chunk, after values that were in place and values that were copied.
TEST_F(UpdateReaderTest, TakesOutWhatWasAddedBeforeARefusal) {
  ASSERT_TRUE(Read(Seal()));
  for (uint32_t chunk_bytes : {4096u, 4097u, 4098u, 5000u}) {
    chunk_bytes_ = chunk_bytes;
    SealedUpload altered = Seal();
    altered.chunks.back()[0] ^= 1;
    EXPECT_EQ(Refusal(altered), Code::kSealBroken) << chunk_bytes;
    const float good = std::exchange(values_.back(), 1.0001F);
    EXPECT_EQ(Refusal(Seal()), Code::kNormExceeded) << chunk_bytes;
    values_.back() = good;
  }
  EXPECT_TRUE(Holds(1));
}

TEST_F(UpdateReaderTest, RefusesInfinity) {
  values_[0] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(Refusal(Seal()), Code::kNotFinite);
}

TEST_F(UpdateReaderTest, RefusesAValueOverTheBound) {
  values_.back() = 1.0001F;
  EXPECT_EQ(Refusal(Seal()), Code::kNormExceeded);
}

TEST_F(UpdateReaderTest, RefusesANormOverTheBound) {
  std::ranges::fill(values_, 0.8F);  // 0.8 * sqrt(5000) = 56.6
  EXPECT_EQ(Refusal(Seal()), Code::kNormExceeded);
}

TEST_F(UpdateReaderTest, RefusesAnotherTensorCount) {
  values_.pop_back();
  EXPECT_EQ(Refusal(Seal()), Code::kWrongTensorCount);
  values_.resize(kParameters + 1);
  EXPECT_EQ(Refusal(Seal()), Code::kWrongTensorCount);
}

TEST_F(UpdateReaderTest, RefusesFewerOrMoreValuesThanAnnounced) {
  Bytes plaintext = *EncodeUpdate(Codec::kFloat32Dense, Meta(), values_);
  plaintext.resize(plaintext.size() - 4);
  EXPECT_EQ(Refusal(SealBytes(plaintext)), Code::kWrongTensorCount);
  plaintext.resize(plaintext.size() + 8);
  EXPECT_EQ(Refusal(SealBytes(plaintext)), Code::kWrongTensorCount);
}

TEST_F(UpdateReaderTest, RefusesAnUpdateThatEndsWithinAValueOrItsHead) {
  Bytes plaintext = *EncodeUpdate(Codec::kFloat32Dense, Meta(), values_);
  plaintext.resize(plaintext.size() - 1);
  EXPECT_EQ(Refusal(SealBytes(plaintext)), Code::kMalformed);
  plaintext.resize(6);
  EXPECT_EQ(Refusal(SealBytes(plaintext)), Code::kMalformed);
}

TEST_F(UpdateReaderTest, RefusesGarbageInsideAGoodSeal) {
  EXPECT_EQ(Refusal(SealBytes(random_.TakeBytes(20'000))), Code::kMalformed);
}

TEST_F(UpdateReaderTest, RefusesWeightsOutOfBounds) {
  weight_ = 0;
  EXPECT_EQ(Refusal(Seal()), Code::kBadWeight);
  weight_ = kBounds.max_weight + 1;
  EXPECT_EQ(Refusal(Seal()), Code::kBadWeight);
  weight_ = kBounds.max_weight;
  for (uint64_t total = weight_; total <= kMostWeight; total += weight_) EXPECT_TRUE(Read(Seal()));
  EXPECT_EQ(Refusal(Seal()), Code::kBadWeight);  // the sum's total
}

TEST_F(UpdateReaderTest, RefusesAnUploadSealedToAnotherKey) {
  EXPECT_EQ(Refusal(Seal(), GenerateHpkeKeyPair()), Code::kUnknownKey);
}

TEST_F(UpdateReaderTest, RefusesASecretThatDoesNotFitThePublicKey) {
  HpkeKeyPair other = GenerateHpkeKeyPair();
  other.public_key = fleet_.sealing_key().public_key;
  EXPECT_EQ(Refusal(Seal(), other), Code::kSealBroken);
}

TEST_F(UpdateReaderTest, RefusesSwappedChunks) {
  SealedUpload upload = Seal();
  ASSERT_GE(upload.chunks.size(), 4u);
  std::swap(upload.chunks[1], upload.chunks[2]);
  EXPECT_EQ(Refusal(upload), Code::kSealBroken);
}

TEST_F(UpdateReaderTest, RefusesAChunkOfAnotherUpload) {
  SealedUpload upload = Seal();
  upload.chunks[1] = Seal().chunks[1];
  EXPECT_EQ(Refusal(upload), Code::kSealBroken);
}

TEST_F(UpdateReaderTest, RefusesAnAlteredChunk) {
  SealedUpload upload = Seal();
  upload.chunks.back().back() ^= 1;
  EXPECT_EQ(Refusal(upload), Code::kSealBroken);
}

TEST_F(UpdateReaderTest, RefusesATruncatedChunk) {
  SealedUpload upload = Seal();
  upload.chunks.back().pop_back();
  EXPECT_EQ(Refusal(upload), Code::kChunkOutOfOrder);
}

TEST_F(UpdateReaderTest, RefusesAnAlteredSubject) {
  SealedUpload upload = Seal();
  upload.header.subject.base_version = ModelVersion{2};
  EXPECT_EQ(Refusal(upload), Code::kSealBroken);
}

TEST_F(UpdateReaderTest, RefusesACodecThatCarriesNoUpdates) {
  SealedUpload upload = Seal();
  upload.header.subject.codec = Codec::kRecord;
  EXPECT_EQ(Refusal(upload), Code::kUnknownCodec);
}

TEST_F(UpdateReaderTest, HandsOnWhatReadingAChunkGives) {
  const SealedUpload upload = Seal();
  const auto opened =
      reader_.AddTo(sum_, upload.header, fleet_.sealing_key(), kBounds, [&](uint32_t index) -> Result<Bytes> {
        if (index == 3) return Fail(Code::kIo, "bad sector");
        return upload.chunks.at(index);
      });
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kIo);
  EXPECT_TRUE(Holds(0));
}

}  // namespace
}  // namespace tributary::open_update_test
