#include <gtest/gtest.h>

#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::sealed_to_test {
namespace {

const KeyId kOver({1, 1, 1, 1, 1, 1, 1, 1});
const KeyId kInForce({2, 2, 2, 2, 2, 2, 2, 2});

// With an envelope that can be read, unlike MakeUpload's.
TestUpload Sealed(uint64_t seed, size_t size, const KeyId& key, UploadKind kind = UploadKind::kUpdate) {
  static const SigningKey signer = SigningKey::Generate();
  TestUpload upload = MakeUpload(seed, size, kind);
  UploadHeader& header = upload.header;
  header.subject.key_id = key;
  header.subject.codec = kind == UploadKind::kUpdate ? Codec::kFloat32Dense : Codec::kRecord;
  header.encapsulated_key = SeededRandom(seed).TakeBytes(32);
  upload.envelope = SignEnvelope(header, signer, std::vector<Bytes>{Bytes(100)});
  return upload;
}

uint64_t DropSealedTo(SpoolFixture& f, std::vector<KeyId> keys) {
  uint64_t dropped = 99;
  f.spool->DropSealedTo(std::move(keys), [&](const Result<uint64_t>& answer) { dropped = answer.value(); });
  f.worker.Run();
  EXPECT_TRUE(f.spool->Account().Balances());
  return dropped;
}

TEST(SpoolSealedTo, DropsWhatNobodyWillOpenOfEveryKindAndState) {
  SpoolFixture f;
  const TestUpload update = Sealed(1, kLarge, kOver);
  const TestUpload evaluation = Sealed(2, kSmall, kOver, UploadKind::kEvaluation);
  const TestUpload partial = Sealed(3, kLarge, kOver);
  const TestUpload good = Sealed(4, kSmall, kInForce);
  const TestUpload unreadable = MakeUpload(5, kSmall);
  for (const TestUpload* upload : {&update, &evaluation, &good, &unreadable}) ASSERT_TRUE(f.Put(*upload));
  ASSERT_TRUE(f.Offer(partial));

  EXPECT_EQ(DropSealedTo(f, {}), 0u);
  EXPECT_EQ(DropSealedTo(f, {kOver}), 3u);
  EXPECT_EQ(f.spool->Pending(10)->size(), 2u);
  EXPECT_EQ(f.Updates().dropped.at(Code::kUnknownKey), 2u);
  EXPECT_EQ(f.spool->Account().of(UploadKind::kEvaluation).dropped.at(Code::kUnknownKey), 1u);
  EXPECT_EQ(f.ReadAll(good), good.payload);
  EXPECT_EQ(f.PayloadFileCount(), 0u);
  EXPECT_EQ(DropSealedTo(f, {kOver}), 0u);
  // The contribution may be made again for another key.
  EXPECT_TRUE(f.Put(Sealed(1, kLarge, kInForce)));
}

TEST(SpoolSealedTo, WhatCameSinceTheLastTimeIsLookedAtToo) {
  SpoolFixture f;
  ASSERT_TRUE(f.Put(Sealed(1, kSmall, kInForce)));
  EXPECT_EQ(DropSealedTo(f, {kOver}), 0u);
  ASSERT_TRUE(f.Put(Sealed(2, kSmall, kOver)));
  f.Open();  // a restart forgets nothing of it
  EXPECT_EQ(DropSealedTo(f, {kOver, kInForce}), 2u);
}

TEST(SpoolSealedTo, MoreThanOnePageGoesInOneSweep) {
  SpoolFixture f;
  for (uint64_t seed = 1; seed <= 1'203; ++seed) {
    const TestUpload upload = Sealed(seed, 100, seed % 3 == 0 ? kInForce : kOver);
    f.spool->Offer(upload.header, upload.envelope, nullptr);
    f.spool->Append(upload.id(), 0, upload.Chunk(0), nullptr);
  }
  f.worker.Run();
  ASSERT_EQ(f.Updates().spooled, 1'203u);
  EXPECT_EQ(DropSealedTo(f, {kOver}), 802u);
  EXPECT_EQ(f.Updates().spooled, 401u);
}

TEST(SpoolSealedTo, ADeadLetterThatComesBackIsLookedAt) {
  SpoolFixture f;
  const TestUpload upload = Sealed(1, kSmall, kOver);
  ASSERT_TRUE(f.Put(upload));
  EXPECT_EQ(DropSealedTo(f, {kInForce}), 0u);
  ASSERT_TRUE(f.Drop(upload.id(), Code::kNotFinite));
  ASSERT_TRUE(f.Requeue(upload.id()));
  EXPECT_EQ(DropSealedTo(f, {kOver}), 1u);
}

}  // namespace
}  // namespace tributary::sealed_to_test
