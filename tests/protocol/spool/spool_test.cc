#include "protocol/spool/spool.h"

#include "protocol/base/sql/database.h"
#include "tests/protocol/spool/spool_fixture.h"
#include "tests/support/must.h"

namespace tributary::spool_test {
namespace {

Code CodeOf(const auto& result) { return result ? Code{} : result.error().code; }

TEST(Spool, KeepsWhatItTookAndGivesItBack) {
  SpoolFixture f;
  for (const size_t size : {kSmall, kLarge}) {
    const TestUpload upload = MakeUpload(size, size);
    ASSERT_EQ(*f.Offer(upload), (OfferAnswer{.next_chunk = 0}));
    const auto last = f.Put(upload);
    ASSERT_TRUE(last) << last.error().ToString();
    EXPECT_TRUE(last->complete);
    EXPECT_EQ(f.ReadAll(upload), upload.payload);
    EXPECT_EQ(*f.spool->ReadEnvelope(upload.id()), upload.envelope);
    EXPECT_TRUE(f.Offer(upload)->already);
    EXPECT_EQ(CodeOf(f.spool->ReadChunk(upload.id(), 99)), Code::kInvalidArgument);
  }
  EXPECT_EQ(f.PayloadFileCount(), 1u);
  EXPECT_EQ(f.spool->Pending(10)->size(), 2u);
  EXPECT_EQ(f.Updates().spooled, 2u);
  EXPECT_EQ(f.Updates().duplicate, 2u);
}

TEST(Spool, PendingGoesByPriorityThenArrival) {
  SpoolFixture f;
  const TestUpload telemetry = MakeUpload(1, kSmall, UploadKind::kDeviceState);
  const TestUpload first = MakeUpload(2, kLarge);
  const TestUpload second = MakeUpload(3, kSmall);
  for (const auto* upload : {&telemetry, &first, &second}) ASSERT_TRUE(f.Put(*upload));
  const auto pending = f.spool->Pending(10);
  ASSERT_EQ(pending->size(), 3u);
  EXPECT_EQ((*pending)[0].id, first.id());
  EXPECT_EQ((*pending)[1].id, second.id());
  EXPECT_EQ((*pending)[2].id, telemetry.id());
  EXPECT_EQ(f.spool->Pending(1)->size(), 1u);
}

TEST(Spool, ManyCompletionsShareOneBarrier) {
  SpoolFixture f;
  constexpr int kUploads = 8;
  std::vector<TestUpload> uploads;
  for (int i = 0; i < kUploads; ++i) {
    uploads.push_back(MakeUpload(100 + i, kLarge));
    ASSERT_TRUE(f.Offer(uploads.back()));
  }
  const uint64_t barriers = f.spool->Account().barriers;
  const int folder_syncs = f.disk.folder_syncs;
  int custody = 0;
  for (const auto& upload : uploads) {
    for (uint32_t chunk = 0; chunk < upload.header.subject.chunk_count; ++chunk) {
      f.spool->Append(upload.id(), chunk, upload.Chunk(chunk), [&](Result<AppendAnswer> answer) {
        ASSERT_TRUE(answer) << answer.error().ToString();
        if (!answer->complete) return;
        // Nothing is said before everything is synced.
        EXPECT_EQ(f.disk.syncs, kUploads);
        ++custody;
      });
    }
  }
  EXPECT_EQ(custody, 0);
  f.worker.Run();
  EXPECT_EQ(custody, kUploads);
  EXPECT_EQ(f.disk.syncs, kUploads);
  EXPECT_EQ(f.disk.folder_syncs, folder_syncs + 1);
  EXPECT_EQ(f.spool->Account().barriers, barriers + 1);
}

TEST(Spool, StagingSyncsNothing) {
  SpoolFixture f({.mode = SpoolMode::kStaging});
  const TestUpload upload = MakeUpload(1, kLarge);
  const uint64_t barriers = f.spool->Account().barriers;
  ASSERT_TRUE(f.Put(upload)->complete);
  EXPECT_EQ(f.disk.syncs, 0);
  EXPECT_EQ(f.spool->Account().barriers, barriers);
  // Custody is not taken yet: the sender is told that all is here, and nobody else's copy is deleted.
  EXPECT_EQ(*f.Offer(upload), (OfferAnswer{.next_chunk = upload.header.subject.chunk_count}));
  TestUpload again = MakeUpload(2, kLarge);
  again.header.subject.device = upload.header.subject.device;
  EXPECT_EQ(CodeOf(f.Offer(again)), Code::kBusy);
  ASSERT_TRUE(f.Delivered(upload.id()));
  EXPECT_TRUE(f.Offer(again)->already);
}

TEST(Spool, StagedFilesAreComparedAgainAfterARestart) {
  SpoolFixture f({.mode = SpoolMode::kStaging});
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(f.Put(upload));
  f.Open();
  EXPECT_EQ(*f.Offer(upload), (OfferAnswer{.next_chunk = upload.header.subject.chunk_count - 1}));
  ASSERT_TRUE(f.Put(upload)->complete);
  EXPECT_EQ(f.ReadAll(upload), upload.payload);
}

TEST(Spool, ResumesAfterEveryChunk) {
  for (uint32_t stop = 0; stop < 5; ++stop) {
    SpoolFixture f;
    const TestUpload upload = MakeUpload(7, kLarge);
    ASSERT_TRUE(f.Offer(upload));
    for (uint32_t chunk = 0; chunk < stop; ++chunk) ASSERT_EQ(f.Append(upload, chunk)->next_chunk, chunk + 1);
    f.Open();
    EXPECT_EQ(f.Offer(upload)->next_chunk, stop);
    ASSERT_TRUE(f.Put(upload)) << "stopped at " << stop;
    EXPECT_EQ(f.ReadAll(upload), upload.payload);
    EXPECT_EQ(f.Updates().offered, 1u);
  }
}

// A part that lies in the index may be damaged as well as one in a file: the upload starts again, alone.
TEST(Spool, AStoredPartThatIsGoneIsSentAgain) {
  for (const size_t size : {size_t{9'000}, kLarge}) {
    SpoolFixture f;
    const TestUpload upload = MakeUpload(1, size);
    ASSERT_TRUE(f.Offer(upload));
    ASSERT_TRUE(f.Append(upload, 0));
    f.Open();
    ASSERT_EQ(f.Offer(upload)->next_chunk, 1u);
    ASSERT_TRUE(Must(Database::Open(f.options.folder / "index.sqlite"))->Execute("DELETE FROM chunks"));
    for (const auto& file : std::filesystem::directory_iterator(f.options.folder / "payloads"))
      std::filesystem::remove(file.path());
    EXPECT_EQ(CodeOf(f.Append(upload, 1)), Code::kBusy);
    EXPECT_EQ(f.Offer(upload)->next_chunk, 0u);
    ASSERT_TRUE(f.Put(upload)->complete);
    EXPECT_EQ(f.ReadAll(upload), upload.payload);
    EXPECT_EQ(f.Updates().offered, 1u);
  }
}

TEST(Spool, WrongOrderAndSizeLeaveTheUploadAsItWas) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  EXPECT_EQ(CodeOf(f.Append(upload, 0)), Code::kUnknownUpload);
  ASSERT_TRUE(f.Offer(upload));
  EXPECT_EQ(CodeOf(f.Append(upload, 1)), Code::kChunkOutOfOrder);
  EXPECT_EQ(CodeOf(f.Append(upload, 4)), Code::kChunkOutOfOrder);
  Bytes chunk = upload.Chunk(0);
  chunk.push_back(0);
  EXPECT_EQ(CodeOf(f.Append(upload.id(), 0, chunk)), Code::kTooLarge);
  chunk.resize(chunk.size() - 2);
  EXPECT_EQ(CodeOf(f.Append(upload.id(), 0, chunk)), Code::kMalformed);
  ASSERT_TRUE(f.Put(upload)->complete);
  EXPECT_EQ(f.ReadAll(upload), upload.payload);
  EXPECT_TRUE(f.Append(upload, 4)->complete);  // said again, not stored again
}

TEST(Spool, DigestMismatchStartsAgain) {
  for (const size_t size : {kSmall, kLarge}) {
    SpoolFixture f;
    const TestUpload upload = MakeUpload(1, size);
    const uint32_t last = upload.header.subject.chunk_count - 1;
    ASSERT_TRUE(f.Offer(upload));
    for (uint32_t chunk = 0; chunk < last; ++chunk) ASSERT_TRUE(f.Append(upload, chunk));
    Bytes altered = upload.Chunk(last);
    altered.back() ^= 1;
    EXPECT_EQ(CodeOf(f.Append(upload.id(), last, altered)), Code::kDigestMismatch);
    EXPECT_EQ(f.PayloadFileCount(), 0u);
    EXPECT_EQ(CodeOf(f.spool->ReadChunk(upload.id(), 0)), Code::kUnknownUpload);
    EXPECT_EQ(f.Offer(upload)->next_chunk, 0u);
    ASSERT_TRUE(f.Put(upload)->complete);
    EXPECT_EQ(f.ReadAll(upload), upload.payload);
  }
}

TEST(Spool, MismatchAndRepetitionInOneFlushKeepTheFile) {
  SpoolFixture f;
  TestUpload upload = MakeUpload(1, limits::kMinChunkBytes);
  upload.header.subject.chunk_size = 64 * limits::kKiB;  // one chunk, too long for the index
  upload.payload = SeededRandom(2).TakeBytes(30'000);
  upload.header.ciphertext_size = upload.payload.size();
  upload.header.ciphertext_digest = Sha256(upload.payload);
  ASSERT_TRUE(f.Offer(upload));
  Bytes altered = upload.payload;
  altered[5] ^= 1;
  std::vector<Code> codes;
  for (const Bytes& bytes : {altered, upload.payload}) {
    f.spool->Append(upload.id(), 0, bytes, [&](Result<AppendAnswer> answer) { codes.push_back(CodeOf(answer)); });
  }
  f.worker.Run();
  EXPECT_EQ(codes, (std::vector{Code::kDigestMismatch, Code{}}));
  EXPECT_EQ(f.ReadAll(upload), upload.payload);
}

TEST(Spool, AContributionCountsOnce) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  TestUpload again = MakeUpload(2, kLarge);
  again.header.subject.device = upload.header.subject.device;
  ASSERT_TRUE(f.Offer(again));
  ASSERT_TRUE(f.Put(upload));  // the unfinished one gives way
  EXPECT_EQ(CodeOf(f.Append(again, 0)), Code::kUnknownUpload);
  EXPECT_TRUE(f.Offer(again)->already);
  ASSERT_TRUE(f.Delivered(upload.id()));
  EXPECT_EQ(f.PayloadFileCount(), 0u);
  f.Open();
  EXPECT_TRUE(f.Offer(again)->already);
  EXPECT_TRUE(f.Offer(upload)->already);
  const KindAccount account = f.Updates();
  EXPECT_EQ(account.delivered, 1u);
  EXPECT_EQ(account.duplicate, 3u);
  EXPECT_EQ(account.dropped.at(Code::kDuplicate), 1u);
  again.header.subject.base_version = ModelVersion{4};
  EXPECT_FALSE(f.Offer(again)->already);
}

TEST(Spool, OtherKindsAreRememberedById) {
  SpoolFixture f;
  const TestUpload first = MakeUpload(1, kSmall, UploadKind::kEvaluation);
  TestUpload second = MakeUpload(2, kSmall, UploadKind::kEvaluation);
  second.header.subject.device = first.header.subject.device;
  ASSERT_TRUE(f.Put(first));
  ASSERT_TRUE(f.Delivered(first.id()));
  EXPECT_TRUE(f.Offer(first)->already);
  EXPECT_TRUE(f.Put(second)->complete);
}

TEST(Spool, AnotherDeviceCannotTakeAnUploadId) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  TestUpload stolen = MakeUpload(2, kLarge);
  stolen.header.subject.id = upload.id();
  ASSERT_TRUE(f.Offer(upload));
  EXPECT_EQ(CodeOf(f.Offer(stolen)), Code::kWrongIdentity);
  EXPECT_TRUE(f.Put(upload)->complete);
}

TEST(Spool, SealedAnewUnderTheSameIdStartsAgain) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kLarge);
  ASSERT_TRUE(f.Offer(upload));
  ASSERT_TRUE(f.Append(upload, 0));
  TestUpload anew = upload;
  anew.payload = SeededRandom(9).TakeBytes(anew.payload.size());
  anew.header.ciphertext_digest = Sha256(anew.payload);
  EXPECT_EQ(f.Offer(anew)->next_chunk, 0u);
  ASSERT_TRUE(f.Put(anew));
  EXPECT_EQ(f.ReadAll(anew), anew.payload);
}

TEST(Spool, QuotaCountsAnUploadInFullWhenItIsOffered) {
  SpoolFixture f({.max_bytes = 2 * MakeUpload(1, kLarge).payload.size(), .reserve_bytes = 0});
  const TestUpload uploads[] = {MakeUpload(1, kLarge), MakeUpload(2, kLarge), MakeUpload(3, kLarge)};
  ASSERT_TRUE(f.Put(uploads[0]));
  ASSERT_TRUE(f.Offer(uploads[1]));
  EXPECT_EQ(CodeOf(f.Offer(uploads[2])), Code::kQuotaExceeded);
  ASSERT_TRUE(f.Delivered(uploads[0].id()));
  EXPECT_TRUE(f.Put(uploads[2]));
  EXPECT_EQ(f.Updates().offered, 3u);
  EXPECT_TRUE(f.Updates().refused.empty());
}

// The sender keeps such an upload and offers it again, perhaps many times: it counts when it is taken or given up.
TEST(Spool, PassingRefusalsAreNotInTheAccount) {
  SpoolFixture f({.max_bytes = 2 * MakeUpload(1, kLarge).payload.size(), .reserve_bytes = 0});
  ASSERT_TRUE(f.Put(MakeUpload(1, kLarge)));
  ASSERT_TRUE(f.Put(MakeUpload(2, kLarge)));
  const KindAccount before = f.Updates();
  for (int again = 0; again < 3; ++again) EXPECT_EQ(CodeOf(f.Offer(MakeUpload(3, kLarge))), Code::kQuotaExceeded);
  f.spool->CountRefused(UploadKind::kUpdate, Code::kBusy);
  f.worker.Run();
  EXPECT_EQ(f.Updates(), before);
  ASSERT_TRUE(f.Delivered(MakeUpload(1, kLarge).id()));
  ASSERT_TRUE(f.Put(MakeUpload(3, kLarge)));
  EXPECT_EQ(f.Updates().offered, 3u);
  // Refused for good: this offer does not come again.
  f.spool->CountRefused(UploadKind::kUpdate, Code::kBadSignature);
  f.worker.Run();
  EXPECT_EQ(f.Updates().offered, 4u);
  EXPECT_EQ(f.Updates().refused, (std::map<Code, uint64_t>{{Code::kBadSignature, 1}}));
}

TEST(Spool, DroppedUploadsBecomeDeadLetters) {
  SpoolFixture f;
  const TestUpload refused = MakeUpload(1, kLarge);
  const TestUpload evicted = MakeUpload(2, kSmall);
  for (const auto* upload : {&refused, &evicted}) ASSERT_TRUE(f.Put(*upload));
  ASSERT_TRUE(f.Drop(refused.id(), Code::kNotFinite));
  ASSERT_TRUE(f.Drop(evicted.id(), Code::kBusy));
  EXPECT_EQ(CodeOf(f.Drop(refused.id(), Code::kNotFinite)), Code::kUnknownUpload);
  EXPECT_EQ(f.PayloadFileCount(), 1u);  // kept until its room is needed
  f.Open();
  const auto letters = f.spool->DeadLetters(10);
  ASSERT_EQ(letters->size(), 2u);
  EXPECT_EQ((*letters)[1].id, refused.id());
  EXPECT_EQ((*letters)[1].reason, Code::kNotFinite);
  EXPECT_EQ((*letters)[1].bytes, refused.payload.size());
  EXPECT_EQ(CodeOf(f.Offer(refused)), Code::kNotFinite);  // for good
  EXPECT_TRUE(f.Put(evicted));                            // for a passing reason
  EXPECT_EQ(f.Updates().dropped.at(Code::kNotFinite), 1u);
}

TEST(Spool, StaleUpdatesGoAndAreForgotten) {
  SpoolFixture f;
  std::vector<TestUpload> uploads;
  for (uint64_t version = 1; version <= 5; ++version) {
    uploads.push_back(MakeUpload(version, kLarge));
    uploads.back().header.subject.base_version = ModelVersion{version};
    ASSERT_TRUE(f.Put(uploads.back()));
  }
  const TestUpload evaluation = MakeUpload(9, kSmall, UploadKind::kEvaluation);
  ASSERT_TRUE(f.Put(evaluation));
  ASSERT_TRUE(f.Delivered(uploads[0].id()));
  // 1 was delivered, 2 is stale, 3 and 4 count, 5 is newer than the publication this side has.
  EXPECT_EQ(f.DropStale({ModelVersion{3}, ModelVersion{4}}).value(), 1u);
  EXPECT_EQ(f.spool->Pending(10)->size(), 4u);
  EXPECT_EQ(f.Updates().dropped.at(Code::kStaleVersion), 1u);
  EXPECT_EQ(f.DropStale({}).value(), 3u);
  EXPECT_EQ(f.spool->Pending(10)->at(0).id, evaluation.id());
}

// A sender that was away when its update was delivered offers it again when its version is over.
TEST(Spool, WhatWasDeliveredIsKnownForEightVersionsMore) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kSmall);  // of version 3
  TestUpload again = MakeUpload(2, kSmall);         // the same work, sealed once more
  again.header.subject.device = upload.header.subject.device;
  const TestUpload late = MakeUpload(3, kSmall);
  const Status stale = Fail(Code::kStaleVersion, "version 3 is not accepted any more");
  ASSERT_TRUE(f.Put(upload));
  EXPECT_TRUE(f.Offer(upload, stale)->already);  // in custody
  EXPECT_TRUE(f.Offer(again, stale)->already);
  ASSERT_TRUE(f.Delivered(upload.id()));
  EXPECT_EQ(f.DropStale({ModelVersion{11}}).value(), 0u);
  f.Open();
  EXPECT_TRUE(f.Offer(upload, stale)->already);
  EXPECT_TRUE(f.Offer(again, stale)->already);
  EXPECT_EQ(CodeOf(f.Offer(late, stale)), Code::kStaleVersion);
  EXPECT_EQ(f.Updates().refused.at(Code::kStaleVersion), 1u);
  EXPECT_EQ(f.DropStale({ModelVersion{12}}).value(), 0u);
  EXPECT_EQ(CodeOf(f.Offer(upload, stale)), Code::kStaleVersion);
}

// A refused upload leaves what is here as it is.
TEST(Spool, ARefusedOfferDropsNoRival) {
  SpoolFixture f;
  const TestUpload partial = MakeUpload(1, kLarge);
  TestUpload again = MakeUpload(2, kLarge);
  again.header.subject.device = partial.header.subject.device;
  ASSERT_TRUE(f.Offer(partial));
  const Status over = Fail(Code::kUnknownKey, "the key is over");
  EXPECT_EQ(CodeOf(f.Offer(again, over)), Code::kUnknownKey);
  EXPECT_EQ(CodeOf(f.Offer(partial, over)), Code::kUnknownKey);
  EXPECT_EQ(f.Updates().in_flight, 1u);
  EXPECT_TRUE(f.Append(partial, 0));
}

TEST(Spool, ExpiredAndAbandonedUploadsGo) {
  SpoolFixture f;
  TestUpload expiring = MakeUpload(1, kSmall, UploadKind::kDeviceState);
  expiring.header.subject.expires = f.clock.Now() + std::chrono::minutes(30);
  const TestUpload lasting = MakeUpload(2, kSmall);
  const TestUpload abandoned = MakeUpload(3, kLarge);
  ASSERT_TRUE(f.Put(expiring));
  ASSERT_TRUE(f.Put(lasting));
  ASSERT_TRUE(f.Offer(abandoned));
  const auto drop = [&] {
    uint64_t dropped = 99;
    f.spool->DropExpired([&](Result<uint64_t> answer) { dropped = answer.value(); });
    f.worker.Run();
    return dropped;
  };
  EXPECT_EQ(drop(), 0u);
  f.clock.Advance(std::chrono::minutes(31));
  EXPECT_EQ(drop(), 1u);
  f.clock.Advance(f.options.abandon_after);
  EXPECT_EQ(drop(), 1u);
  EXPECT_EQ(f.spool->Pending(10)->size(), 1u);
  EXPECT_TRUE(f.spool->Account().Balances());
}

TEST(Spool, TheDestructorDrains) {
  SpoolFixture f;
  const TestUpload upload = MakeUpload(1, kSmall);
  bool complete = false;
  f.spool->Offer(upload.header, upload.envelope, nullptr);
  f.spool->Append(upload.id(), 0, upload.Chunk(0),
                  [&](Result<AppendAnswer> answer) { complete = answer && answer->complete; });
  f.spool.reset();
  EXPECT_TRUE(complete);
  f.worker.Run();  // the posted flush finds nobody
  f.Open();
  EXPECT_EQ(f.ReadAll(upload), upload.payload);
}

// The device's update for a version was lost above, and it is asked again.
TEST(Spool, AContributionThatWasDeliveredIsTakenAgainWhenItsDeviceWasAskedAgain) {
  const auto asked = [](uint64_t name, uint32_t ask) {
    TestUpload upload = MakeUpload(7, kSmall);
    upload.header.subject.id = SeededRandom(name).TakeUploadId();
    upload.header.subject.ask = ask;
    return upload;
  };
  SpoolFixture f;
  const TestUpload first = asked(1, 0), second = asked(2, 1);
  ASSERT_TRUE(f.Put(first));
  EXPECT_TRUE(f.Offer(second)->already) << "the first one is here, and goes up";
  ASSERT_TRUE(f.Delivered(first.id()));
  EXPECT_TRUE(f.Offer(asked(3, 0))->already);
  ASSERT_TRUE(f.Put(second));
  EXPECT_EQ(f.spool->Pending(10)->front().ask, 1u);
  ASSERT_TRUE(f.Delivered(second.id()));
  f.Open();
  for (const uint32_t ask : {0u, 1u}) EXPECT_TRUE(f.Offer(asked(4, ask))->already) << ask;
  EXPECT_FALSE(f.Offer(asked(5, 2))->already);
}

}  // namespace
}  // namespace tributary::spool_test
