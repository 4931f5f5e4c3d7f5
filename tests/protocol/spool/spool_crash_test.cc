#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::spool_crash_test {
namespace {

TestUpload Numbered(uint64_t number) { return MakeUpload(1'000 + number, number % 3 == 0 ? kSmall : kLarge); }

// Ingests for ever and tells the parent the number of each upload it has custody of.
[[noreturn]] void IngestUntilKilled(const Path& folder, uint64_t first, int pipe) {
  const ManualClock clock;
  QueueExecutor worker;
  auto spool = Spool::Open({.folder = folder, .inline_limit = 10'000}, RealFileSystem(), clock, worker);
  if (!spool) _exit(1);
  for (uint64_t number = first;; ++number) {
    const TestUpload upload = Numbered(number);
    uint32_t next = upload.header.subject.chunk_count;
    (*spool)->Offer(upload.header, upload.envelope, [&](Result<OfferAnswer> offer) {
      if (!offer) _exit(2);
      if (!offer->already) next = offer->next_chunk;
    });
    worker.Run();
    for (; next < upload.header.subject.chunk_count; ++next) {
      (*spool)->Append(upload.id(), next, upload.Chunk(next), [&](Result<AppendAnswer> answer) {
        if (!answer) _exit(3);
        if (answer->complete && write(pipe, &number, sizeof(number)) != sizeof(number)) _exit(4);
      });
      worker.Run();
    }
  }
}

TEST(SpoolCrash, NothingAcknowledgedIsLostByKills) {
  const TemporaryFolder folder;
  SeededRandom random(5);
  std::vector<uint64_t> acknowledged;
  for (int kill_number = 0; kill_number < 6; ++kill_number) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) IngestUntilKilled(folder / "spool", acknowledged.size(), ends[1]);
    close(ends[1]);
    // The kill comes at a random number of acknowledgements, in the middle of whatever is then under way.
    const uint64_t until = acknowledged.size() + 1 + random.Below(12);
    uint64_t number = 0;
    while (acknowledged.size() < until && read(ends[0], &number, sizeof(number)) == sizeof(number)) {
      acknowledged.push_back(number);
    }
    kill(child, SIGKILL);
    while (read(ends[0], &number, sizeof(number)) == sizeof(number)) acknowledged.push_back(number);
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);

    const ManualClock clock;
    QueueExecutor worker;
    auto spool = Spool::Open({.folder = folder / "spool", .inline_limit = 10'000}, RealFileSystem(), clock, worker);
    ASSERT_TRUE(spool) << spool.error().ToString();
    for (const uint64_t each : acknowledged) {
      const TestUpload upload = Numbered(each);
      Bytes all;
      for (uint32_t chunk = 0; chunk < upload.header.subject.chunk_count; ++chunk) {
        const auto bytes = (*spool)->ReadChunk(upload.id(), chunk);
        ASSERT_TRUE(bytes) << "upload " << each << ": " << bytes.error().ToString();
        Append(all, *bytes);
      }
      EXPECT_EQ(all, upload.payload);
      EXPECT_EQ((*spool)->ReadEnvelope(upload.id()).value(), upload.envelope);
    }
    const SpoolAccount account = (*spool)->Account();
    EXPECT_TRUE(account.Balances());
    EXPECT_GE(account.Spooled(), acknowledged.size());
    // One more may have been stored whose acknowledgement was cut off: go on after it.
    for (uint64_t next = acknowledged.size(); (*spool)->ReadChunk(Numbered(next).id(), 0); ++next)
      acknowledged.push_back(next);
  }
}

}  // namespace
}  // namespace tributary::spool_crash_test
