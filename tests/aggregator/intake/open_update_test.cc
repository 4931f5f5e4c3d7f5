#include "aggregator/intake/open_update.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include "aggregator/records/sum_form.h"
#include "protocol/base/limits.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/payload/codec/codec_list.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_fleet.h"

namespace tributary::open_update_test {
namespace {

constexpr uint64_t kParameters = 5000;
constexpr uint64_t kStatistics = 10;  // of each kind, at the end
constexpr uint64_t kMostWeight = 3000;

// A layer and its normalisation, with bounds but for those of a round.
TaskRecord Task() {
  TaskRecord task;
  const uint64_t means = kParameters - 2 * kStatistics;
  task.table.tensors = {{"a.weight", {static_cast<int64_t>(means / 2), 2}, 0, means},
                        {"b.running_mean", {kStatistics}, means, kStatistics},
                        {"b.running_var", {kStatistics}, means + kStatistics, kStatistics}};
  task.norm_bound = 50;
  task.max_weight = 1000;
  return task;
}

WeightedSum EmptySum() { return WeightedSum(kParameters, FixedPointScale{40}, 1, kMostWeight); }

class UpdateReaderTest : public ::testing::Test {
 protected:
  UpdateReaderTest() : values_(kParameters) {
    SeededRandom random(1);
    for (float& value : values_) value = static_cast<float>(UniformUnit(random) * 2 - 1);
  }

  // The upload of `values_`, sealed as a device does it.
  SealedUpload Seal() { return SealBytes(*EncodeUpdate(Format(), Meta(), values_, &random_)); }
  UpdateFormat Format() const { return FormatOf(task_, codec_, ModelVersion{1}, round_); }
  SealedUpload SealBytes(ByteView plaintext) {
    UploadSubject subject;
    subject.id = random_.TakeUploadId();
    subject.task = TestTask("fashion");
    subject.base_version = ModelVersion{1};
    subject.device = TestDevice("device-1");
    subject.created = kTestStart;
    subject.codec = codec_;
    auto sealed = SealUpload(subject, plaintext, chunk_bytes_, {kDefaultAead, fleet_.sealing_key().public_key},
                             device_.key, device_.chain);
    TRIBUTARY_CHECK(sealed.has_value()) << sealed.error().ToString();
    return *std::move(sealed);
  }
  UpdateMeta Meta() const { return {.weight = weight_, .parameter_count = values_.size()}; }

  Result<TakenUpdate> Read(const SealedUpload& upload) { return Read(upload, fleet_.sealing_key()); }
  Result<TakenUpdate> Read(const SealedUpload& upload, const HpkeKeyPair& key) {
    return reader_.AddTo(sum_, upload.header, key, {task_, layout_, round_},
                         [&](uint32_t index) -> Result<Bytes> { return upload.chunks.at(index); });
  }
  // The update as the aggregator will read it.
  std::vector<float> Decoded(const SealedUpload& upload) {
    UploadOpener opener = Must(UploadOpener::Begin(upload.header, fleet_.sealing_key()));
    Bytes plaintext, room(upload.header.subject.chunk_size);
    for (const Bytes& chunk : upload.chunks) {
      const size_t size = Must(opener.OpenChunk(chunk, room));
      Append(plaintext, ByteView(room).first(size));
    }
    return Must(DecodeUpdate(Format(), plaintext));
  }
  // Of an update that leaves every bit of the sum as it was.
  Code Refusal(const SealedUpload& upload) { return Refusal(upload, fleet_.sealing_key()); }
  Code Refusal(const SealedUpload& upload, const HpkeKeyPair& key) {
    const Bytes before = sum_.Serialize();
    const auto opened = Read(upload, key);
    EXPECT_FALSE(opened);
    EXPECT_EQ(sum_.Serialize(), before);
    if (!opened) refusal_ = opened.error().message;
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
  Codec codec_ = Codec::kFloat32Dense;
  const TaskRecord task_ = Task();
  const UpdateLayout layout_{SharedTensors(task_), std::vector<float>(kParameters, 2)};
  UpdateSize round_;
  WeightedSum sum_ = EmptySum();
  UpdateReader reader_;
  std::string refusal_;
};

TEST_F(UpdateReaderTest, OpensWhatADeviceSealed) {
  const auto opened = Read(Seal());
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(opened->size.weight, weight_);
  EXPECT_FALSE(opened->scaled || opened->capped);
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

// In the last chunk.
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

// Taking an update out decodes it again, in parts that split values and blocks. The values must be the same.
TEST_F(UpdateReaderTest, TakesOutWhatWasAddedInEveryCodec) {
  for (float& value : values_) value /= 4;  // a codec may make it larger
  for (const Codec codec : {Codec::kFloat16, Codec::kBlock4, Codec::kEden1, Codec::kTop5}) {
    for (uint32_t chunk_bytes : {4096u, 4097u, 4099u}) {
      SCOPED_TRACE(fmt::format("{}, chunks of {}", CodecName(codec), chunk_bytes));
      codec_ = codec;
      chunk_bytes_ = chunk_bytes;
      const float good = std::exchange(values_.back(), 1.0001F);  // a variance, which travels as it is
      EXPECT_EQ(Refusal(Seal()), Code::kNormExceeded);
      values_.back() = good;
      const SealedUpload upload = Seal();
      const std::vector<float> decoded = Decoded(upload);
      // The norm is known at the end only; a bound of the round shrinks the update instead.
      SquareLanes squares{};
      for (size_t i = 0; i < decoded.size() - 2 * kStatistics; ++i)
        squares[i % kSquareLanes] += double{decoded[i]} * double{decoded[i]};
      round_ = {.norm = Norm(squares) / 2, .statistics = 1000, .weight = kMostWeight};
      sum_ = EmptySum();
      const auto taken = Read(upload);
      ASSERT_TRUE(taken) << taken.error().ToString();
      EXPECT_TRUE(taken->scaled);
      std::vector<float> scaled = decoded;
      for (size_t i = 0; i < scaled.size() - 2 * kStatistics; ++i)
        scaled[i] = static_cast<float>(double{scaled[i]} * (round_.norm / taken->size.norm));
      WeightedSum expected = EmptySum();
      ASSERT_TRUE(Accumulate(expected, scaled, weight_));
      EXPECT_EQ(sum_.Serialize(), expected.Serialize());
      round_ = {};
    }
  }
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
  weight_ = task_.max_weight + 1;
  EXPECT_EQ(Refusal(Seal()), Code::kBadWeight);
  weight_ = task_.max_weight;
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
  const auto opened = reader_.AddTo(sum_, upload.header, fleet_.sealing_key(), {task_, layout_, round_},
                                    [&](uint32_t index) -> Result<Bytes> {
                                      if (index == 3) return Fail(Code::kIo, "bad sector");
                                      return upload.chunks.at(index);
                                    });
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kIo);
  EXPECT_TRUE(Holds(0));
}

TEST_F(UpdateReaderTest, WithBoundsOfTheRoundAWeightCountsLessAndIsNotRefused) {
  round_.weight = 70;
  for (const uint64_t claimed : {uint64_t{71}, uint64_t{1'000'001}, ~uint64_t{0}}) {
    weight_ = claimed;
    const auto taken = Read(Seal());
    ASSERT_TRUE(taken) << taken.error().ToString();
    EXPECT_EQ(taken->size.weight, std::min<uint64_t>(claimed, 1000)) << "the median is of what devices say";
    EXPECT_TRUE(taken->capped);
  }
  weight_ = 70;
  EXPECT_TRUE(Holds(3));
  EXPECT_FALSE(Read(Seal())->capped);
  weight_ = 0;
  EXPECT_EQ(Refusal(Seal()), Code::kBadWeight);
}

TEST_F(UpdateReaderTest, AnUpdateOverTheRoundsNormIsScaledDownAndItsStatisticsAreNotPartOfIt) {
  std::ranges::fill(values_, 0);
  values_[0] = 0.6F;
  values_[4000] = 0.8F;
  values_[kParameters - 2 * kStatistics] = 0.75F;  // a mean
  values_[kParameters - 1] = 1;                    // a variance
  round_ = {.norm = 0.5, .statistics = 0.25, .weight = 1000};
  for (uint32_t chunk_bytes : {4096u, 4099u}) {
    chunk_bytes_ = chunk_bytes;
    sum_ = EmptySum();
    const auto taken = Read(Seal());
    ASSERT_TRUE(taken) << taken.error().ToString();
    EXPECT_FLOAT_EQ(static_cast<float>(taken->size.norm), 1);
    EXPECT_EQ(taken->size.statistics, 1.25);
    EXPECT_TRUE(taken->scaled);
    const auto mean = *sum_.Report();
    EXPECT_FLOAT_EQ(static_cast<float>(mean[0]), 0.3F);
    EXPECT_FLOAT_EQ(static_cast<float>(mean[4000]), 0.4F);
    EXPECT_FLOAT_EQ(static_cast<float>(mean[kParameters - 2 * kStatistics]), 0.15F);
    EXPECT_FLOAT_EQ(static_cast<float>(mean[kParameters - 1]), 0.2F);
  }
  // The task's own bound is for what is trained.
  std::fill(values_.end() - 2 * kStatistics, values_.end(), 1);
  round_.norm = task_.norm_bound;
  EXPECT_TRUE(Read(Seal()));
}

TEST_F(UpdateReaderTest, ARefusalNamesTheTensorAndTheValue) {
  values_[5] = 1.5F;
  EXPECT_EQ(Refusal(Seal()), Code::kNormExceeded);
  EXPECT_EQ(refusal_, "a.weight[2,1] is 1.5, the bound is 1");
  values_[5] = 0;
  values_[kParameters - 2 * kStatistics + 3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Refusal(Seal()), Code::kNotFinite);
  EXPECT_EQ(refusal_, "b.running_mean[3] is nan");
}

TEST_F(UpdateReaderTest, AVarianceNeverBecomesNegative) {
  sum_ = WeightedSum(kParameters, FixedPointScale{20}, 4, kMostWeight);
  std::ranges::fill(values_, 0);
  values_.back() = -2.5F;
  for (uint32_t chunk_bytes : {4096u, 4097u}) {
    chunk_bytes_ = chunk_bytes;
    EXPECT_EQ(Refusal(Seal()), Code::kNormExceeded);
    EXPECT_EQ(refusal_, "b.running_var[9] would become -0.5; a variance is never negative");
  }
  // Rounding may take it a little below; a mean may become what it wants.
  values_.back() = std::nextafter(-2.0F, -3.0F);
  values_[kParameters - 2 * kStatistics] = -3;
  EXPECT_TRUE(Read(Seal()));
}

// FedPer keeps head.weight, which lies before the variances in the version and is not in the update.
TEST(UpdateLayoutTest, ItKnowsValuesByTheirPlaceInTheUpdateAndVariancesByThatInTheVersion) {
  TaskRecord task;
  task.plan.strategy = StrategyName::kFedPer;
  task.table.tensors = {{"a.weight", {4}, 0, 4}, {"head.weight", {3}, 4, 3}, {"a.running_var", {2}, 7, 2}};
  const std::vector<float> weights = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  const UpdateLayout plain(SharedTensors(task), weights), rotated(SharedTensors(task), weights, /*rotated=*/true);
  EXPECT_EQ(plain.parameter_count(), 6u);
  EXPECT_EQ(plain.Place(5), "a.running_var[1]");
  EXPECT_EQ(rotated.Place(1), "a.running_var[1]");
  for (const auto& [layout, first] : {std::pair(&plain, 4u), std::pair(&rotated, 0u)}) {
    ASSERT_EQ(layout->statistics().size(), 1u);
    EXPECT_EQ(layout->statistics()[0], (ValueRange{first, 2}));
    EXPECT_TRUE(layout->CheckVariances(first, std::vector<float>{-7, -8}));
    EXPECT_FALSE(layout->CheckVariances(first, std::vector<float>{-7.1F, -8}));
    EXPECT_FALSE(layout->CheckVariances(first + 1, std::vector<float>{-8.1F}));
  }
}

}  // namespace
}  // namespace tributary::open_update_test
