#include "protocol/payload/version_codec.h"

#include <cmath>

#include <gtest/gtest.h>

#include "protocol/trust/seal/digest.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::version_codec_test {
namespace {

TensorTable Table() {
  return {{{"a.weight", {50, 100}, 0, 5000},
           {"b.running_mean", {10}, 5000, 10},
           {"b.running_var", {10}, 5010, 10},
           {"c.weight", {30}, 5020, 30}}};
}

std::vector<float> Values(uint64_t seed, float scale) {
  SeededRandom random(seed);
  std::vector<float> values(Table().parameter_count());
  for (float& value : values) value = scale * static_cast<float>(UniformUnit(random) * 2 - 1);
  return values;
}

std::vector<float> Next(const std::vector<float>& base) {
  std::vector<float> next = Values(2, 0.01F);
  for (size_t i = 0; i < next.size(); ++i) next[i] += base[i];
  next[5012] = 1e-9F;  // a variance just above 0
  return next;
}

TEST(VersionCodecTest, WhoReadsTheBytesHasTheVersionBitForBit) {
  const auto base = Values(1, 0.5F), next = Next(base);
  for (const auto& [codec, most, bytes] :
       {std::tuple(VersionCodec::kFloat16, 6e-4, 0.52), std::tuple(VersionCodec::kBlock8, 2e-4, 0.28)}) {
    const CompactVersion made = Must(RoundVersion(codec, Table(), base, next, Sha256({})));
    EXPECT_EQ(Must(ReadCompact(codec, Table(), base, made.bytes)), made.weights);
    EXPECT_LE(static_cast<double>(made.bytes.size()), bytes * static_cast<double>(next.size()) * sizeof(float));
    for (size_t i = 0; i < next.size(); ++i) {
      const bool measured = i >= 5000 && i < 5020;
      ASSERT_LE(std::abs(double{made.weights[i]} - double{next[i]}), measured ? 0 : most) << i;
    }
    EXPECT_EQ(Must(RoundVersion(codec, Table(), base, next, Sha256({}))).bytes, made.bytes)
        << "made again after a crash";
    EXPECT_NE(Must(RoundVersion(codec, Table(), base, next, Sha256(Bytes(1)))).bytes, made.bytes);
  }
}

TEST(VersionCodecTest, OtherBytesAreRefused) {
  const auto base = Values(1, 0.5F), next = Next(base);
  const Bytes bytes = Must(RoundVersion(VersionCodec::kBlock8, Table(), base, next, Sha256({}))).bytes;
  for (size_t length = 0; length < bytes.size(); length += 97)
    EXPECT_FALSE(ReadCompact(VersionCodec::kBlock8, Table(), base, ByteView(bytes).first(length))) << length;
  EXPECT_FALSE(ReadCompact(VersionCodec::kFloat16, Table(), base, bytes)) << "in another codec";
  EXPECT_FALSE(ReadCompact(VersionCodec::kBlock8, Table(), std::span(base).first(9), bytes));
  TensorTable other = Table();
  other.tensors.pop_back();
  EXPECT_EQ(ReadCompact(VersionCodec::kFloat16, other, {},
                        Must(RoundVersion(VersionCodec::kFloat16, Table(), base, next, Sha256({}))).bytes)
                .error()
                .code,
            Code::kWrongTensorCount);
  std::vector<float> large(next);
  large[3] = 1e6F;
  EXPECT_EQ(RoundVersion(VersionCodec::kFloat16, Table(), base, large, Sha256({})).error().code, Code::kNormExceeded);
}

TEST(VersionCodecTest, NothingElseIsPutIntoTheStore) {
  const TemporaryFolder folder;
  BlobStore blobs = Must(BlobStore::Open(RealFileSystem(), folder.path()));
  const auto base = Values(1, 0.5F), next = Next(base);
  const CompactVersion made = Must(RoundVersion(VersionCodec::kBlock8, Table(), base, next, Sha256({})));
  PublishedTask task;
  task.id = TestTask("digits");
  task.table = Table();
  task.weights.digest = Sha256(AsBytes(std::span<const float>(made.weights)));
  task.compact = CompactWeights{VersionCodec::kBlock8,
                                Must(blobs.Put(AsBytes(std::span<const float>(base)))),
                                {Must(blobs.Put(made.bytes)), made.bytes.size()}};
  PublishedTask wrong = task;
  wrong.compact->base = Must(blobs.Put(AsBytes(std::span<const float>(next))));
  EXPECT_EQ(UnpackVersion(wrong, blobs).error().code, Code::kDigestMismatch);
  EXPECT_FALSE(blobs.Has(task.weights.digest));
  ASSERT_TRUE(UnpackVersion(task, blobs));
  EXPECT_TRUE(blobs.Has(task.weights.digest));
}

}  // namespace
}  // namespace tributary::version_codec_test
