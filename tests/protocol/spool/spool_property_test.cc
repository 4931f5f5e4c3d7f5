#include <rapidcheck.h>

#include <numeric>

#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary::spool_property_test {
namespace {

constexpr int kUploads = 6;

TestUpload Numbered(int number) {
  return MakeUpload(number + 1, number % 2 == 0 ? kSmall : kLarge,
                    number % 3 == 0 ? UploadKind::kDeviceState : UploadKind::kUpdate);
}

// SIGKILL between two flushes, seen from the files: what another process would find.
void CopyAsFoundAfterKill(SpoolFixture& f, const Path& to) {
  std::filesystem::copy(f.options.folder, to, std::filesystem::copy_options::recursive);
  f.spool.reset();
  std::filesystem::remove_all(f.options.folder);
  std::filesystem::copy(to, f.options.folder, std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(to);
  f.Open();
}

TEST(SpoolProperty, TheAccountBalancesWhateverHappens) {
  const bool held = rc::check([] {
    SpoolFixture f({.mode = *rc::gen::element(SpoolMode::kDurable, SpoolMode::kStaging),
                    .max_bytes = 60'000,
                    .max_dead_bytes = *rc::gen::element(0, 20'000, 60'000)});
    std::map<int, bool> custody;
    const auto steps = *rc::gen::resize(25, rc::gen::container<std::vector<std::pair<int, int>>>(
                                                rc::gen::pair(rc::gen::inRange(0, 14), rc::gen::inRange(0, kUploads))));
    for (const auto& [step, number] : steps) {
      const TestUpload upload = Numbered(number);
      f.disk.writes_left = 1'000;
      switch (step) {
        case 0:
          (void)f.Offer(upload);
          break;
        case 1:
          (void)f.Append(upload, 0);
          break;
        case 2:
          f.disk.writes_left = 1;
          [[fallthrough]];
        case 3:
        case 4:
          if (const auto put = f.Put(upload)) custody[number] = true;
          break;
        case 5:
          if (f.Delivered(upload.id())) custody.erase(number);
          break;
        case 6:
          if (f.Drop(upload.id(), Code::kQuotaExceeded)) custody.erase(number);
          break;
        case 7:
          (void)f.DropStale({ModelVersion{4}});
          std::erase_if(custody, [](const auto& each) {
            return Numbered(each.first).header.subject.kind == UploadKind::kUpdate;
          });
          break;
        case 9:
          if (f.Requeue(upload.id())) custody[number] = true;
          break;
        case 10:
          (void)f.Purge(upload.id());
          break;
        case 11:
          (void)f.Purge(std::nullopt);
          break;
        case 12:
          f.clock.Advance(std::chrono::seconds(2));
          (void)f.DropExpired();
          break;
        case 8:
          f.spool->CountRefused(UploadKind::kSample, Code::kBadSignature);
          f.worker.Run();
          break;
        default:
          CopyAsFoundAfterKill(f, f.folder / "copy");
          if (f.options.mode == SpoolMode::kStaging) custody.clear();
          break;
      }
      const SpoolAccount account = f.spool->Account();
      RC_ASSERT(account.Balances());
      RC_ASSERT(account.bytes + account.dead_bytes <= f.options.max_bytes);
      // Telemetry may have given way.
      std::erase_if(custody, [&](const auto& each) {
        return each.first % 3 == 0 && !f.spool->ReadChunk(Numbered(each.first).id(), 0);
      });
      for (const auto& [each, taken] : custody) RC_ASSERT(f.ReadAll(Numbered(each)) == Numbered(each).payload);
    }
    const SpoolAccount before = f.spool->Account();
    CopyAsFoundAfterKill(f, f.folder / "copy");
    if (f.options.mode == SpoolMode::kDurable) RC_ASSERT(f.spool->Account().kinds == before.kinds);
    const SpoolAccount after = f.spool->Account();
    RC_ASSERT(after.bytes == before.bytes);
    RC_ASSERT(after.kind_bytes == before.kind_bytes);
    RC_ASSERT(after.devices == before.devices);
    RC_ASSERT(after.dead_letters == before.dead_letters);
    RC_ASSERT(after.dead_bytes == before.dead_bytes);
    if (f.options.mode == SpoolMode::kDurable) RC_ASSERT(after.unwritten == before.unwritten);
    RC_ASSERT(after.Spooled() == std::accumulate(after.waiting.begin(), after.waiting.end(), uint64_t{0}));
    RC_ASSERT(f.spool->Account().Balances());
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace tributary::spool_property_test
