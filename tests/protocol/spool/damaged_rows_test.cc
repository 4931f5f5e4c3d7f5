#include <set>

#include "protocol/spool/spool.h"
#include "protocol/spool/spool_reader.h"
#include "tests/protocol/spool/spool_fixture.h"
#include "tests/support/damaged_database.h"
#include "tests/support/sanitized.h"

// With any value in a row of the spool's index: it opens or says why not, and every call is answered. Nothing ends the
// process.
namespace tributary::damaged_rows_test {
namespace {

class DamagedRows : public ::testing::Test, protected SpoolFixture {
 protected:
  DamagedRows() : waiting_(MakeUpload(1, 5'000)), large_(MakeUpload(2, 50'000)), part_(MakeUpload(3, 20'000)) {
    for (const TestUpload* upload : {&waiting_, &large_}) EXPECT_TRUE(Put(*upload));
    EXPECT_TRUE(Offer(part_));
    EXPECT_TRUE(Append(part_, 0));
    for (const uint64_t seed : {4, 5, 6, 7}) {
      const TestUpload other = MakeUpload(seed, 5'000, seed % 2 == 0 ? UploadKind::kUpdate : UploadKind::kDeviceState);
      EXPECT_TRUE(Put(other));
      EXPECT_TRUE(seed < 6 ? Delivered(other.id()) : Drop(other.id(), Code::kBadWeight));
    }
    spool.reset();
  }

  template <class Answer>
  void Note(const Answer& answer, const std::string& what) {
    if (answer) return;
    EXPECT_NE(answer.error().message, "") << what;
    told_.insert(what);
  }
  template <class T, class Call>
  void Ask(const std::string& what, Call call) {
    call([this, what](const Result<T>& result) { Note(result, what); });
    worker.Run();
  }

  void AskReader(const std::string& what) {
    const auto reader = SpoolReader::Open(options.folder, disk);
    Note(reader, what);
    if (!reader) return;
    Note((*reader)->PendingAfter(std::nullopt, 100), what);
    Note((*reader)->DeadLetters(100), what);
    Note((*reader)->FindDeadLetter(MakeUpload(6, 5'000).id()), what);
    Note((*reader)->Account(), what);
    Note((*reader)->OldestSpooled(), what);
    Note((*reader)->CheckIndex(), what);
    Note((*reader)->Orphans(), what);
  }

  void AskSpool(const std::string& what) {
    Note(spool->Pending(100), what);
    for (const TestUpload* upload : {&waiting_, &large_, &part_}) {
      Note(spool->ReadEnvelope(upload->id()), what);
      Note(spool->ReadChunk(upload->id(), 0), what);
    }
    (void)spool->Account().Balances();
    const TestUpload fresh = MakeUpload(9, 5'000);
    Ask<OfferAnswer>(what, [&](auto done) { spool->Offer(fresh.header, fresh.envelope, done); });
    Ask<OfferAnswer>(what, [&](auto done) { spool->Offer(part_.header, part_.envelope, done); });
    for (const uint32_t chunk : {0, 1})
      Ask<AppendAnswer>(what, [&](auto done) { spool->Append(part_.id(), chunk, part_.Chunk(chunk), done); });
    Ask<void>(what, [&](auto done) { spool->Delivered(waiting_.id(), done); });
    Ask<void>(what, [&](auto done) { spool->Drop(large_.id(), Code::kExpired, done); });
    Ask<void>(what, [&](auto done) { spool->Requeue(MakeUpload(6, 5'000).id(), done); });
    Ask<uint64_t>(what, [&](auto done) { spool->DropStale(*TaskId::Parse("digits"), {ModelVersion{9}}, done); });
    Ask<uint64_t>(what, [&](auto done) { spool->DropExpired(done); });
    Ask<uint64_t>(what, [&](auto done) { spool->Purge(std::nullopt, done); });
    Ask<void>(what, [&](auto done) { spool->Probe(done); });
  }

  const TestUpload waiting_, large_, part_;
  std::set<std::string> told_;
};

TEST_F(DamagedRows, NoValueInAnyColumnEndsTheGateway) {
  size_t damages = 0, opened = 0;
  ForEachDamage(options.folder, options.folder / "index.sqlite", [&](const std::string& what) {
    SCOPED_TRACE(what);
    ++damages;
    AskReader(what);
    auto open = Spool::Open(options, disk, clock, worker);
    Note(open, what);
    if (!open) return;
    ++opened;
    spool = std::move(*open);
    AskSpool(what);
    spool.reset();
  });
  EXPECT_GT(damages, kSanitized ? 30u : 150u);
  EXPECT_GT(opened, damages / (kSanitized ? 8 : 4));
  EXPECT_GT(told_.size(), kSanitized ? 6u : 60u) << "or nothing was damaged";
}

}  // namespace
}  // namespace tributary::damaged_rows_test
