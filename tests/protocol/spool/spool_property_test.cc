#include <rapidcheck.h>

#include "protocol/spool/spool.h"
#include "tests/protocol/spool/spool_fixture.h"

namespace tributary {
namespace {

constexpr int kUploads = 6;

TestUpload Numbered(int number) {
  return MakeUpload(number + 1, number % 2 == 0 ? kSmall : kLarge,
                    number % 3 == 0 ? UploadKind::kTelemetry : UploadKind::kUpdate);
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
    SpoolFixture f({.mode = *rc::gen::element(SpoolMode::kDurable, SpoolMode::kStaging), .max_bytes = 60'000});
    std::map<int, bool> custody;
    const auto steps = *rc::gen::resize(25, rc::gen::container<std::vector<std::pair<int, int>>>(
                                                rc::gen::pair(rc::gen::inRange(0, 10), rc::gen::inRange(0, kUploads))));
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
        case 8:
          f.spool->CountRefused(UploadKind::kSample, Code::kBadSignature);
          f.worker.Run();
          break;
        default:
          CopyAsFoundAfterKill(f, f.folder / "copy");
          if (f.options.mode == SpoolMode::kStaging) custody.clear();
          break;
      }
      RC_ASSERT(f.spool->Account().Balances());
      for (const auto& [each, taken] : custody) RC_ASSERT(f.ReadAll(Numbered(each)) == Numbered(each).payload);
    }
    const SpoolAccount before = f.spool->Account();
    CopyAsFoundAfterKill(f, f.folder / "copy");
    if (f.options.mode == SpoolMode::kDurable) RC_ASSERT(f.spool->Account().kinds == before.kinds);
    RC_ASSERT(f.spool->Account().bytes == before.bytes);
    RC_ASSERT(f.spool->Account().Balances());
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace tributary
