// Claim: the memory of an aggregator does not grow with the rounds that it has run: after 5,000 of them it is at most 1.2
// times what it was after 500. Each round is the whole way: a sealed update opened, checked, summed, checkpointed, its custody
// taken, averaged, published as the next version, with old versions pruned. Takes minutes, most of them in syncs of the disk.

#include "aggregator/round/core.h"
#include "bench/claim.h"
#include "bench/core_bench.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"
#include "protocol/spool/spooled_upload.h"
#include "tests/support/derived_key.h"

namespace tributary::bench {
namespace {

constexpr uint64_t kParameters = 1'000;
constexpr uint64_t kFirst = 500;
constexpr uint64_t kLast = 5'000;

int Run() {
  const ScratchFolder folder;
  const SystemClock clock;
  const HpkeKeyPair key = Must(DeriveHpkeKeyPair(Bytes(32, 7)));
  PublicationFolder repository = MakeRepository(folder / "publication", clock.Now());
  NoListener listener;
  const auto core = Must(Core::Open({.folder = folder / "aggregator",
                                     .files = RealFileSystem(),
                                     .clock = clock,
                                     .repository = repository,
                                     .sealing_key = key},
                                    listener));
  const TaskId task = CreateTask(*core, kParameters, {});
  Must(core->rounds().Start(task, kLast));
  double after_first = 0;
  for (uint64_t round = 1; round <= kLast; ++round) {
    const SealedUpload upload =
        Must(SealUpdateForBench(kParameters, round, key.public_key, ModelVersion{round}));
    const Verdict verdict = core->judge().Contribute(upload.header, Role::kDevice,
                                                     [&](uint32_t index) -> Result<Bytes> { return upload.chunks.at(index); });
    TRIBUTARY_CHECK(verdict.is_take()) << "round " << round;
    core->Tick();
    if (round == kFirst) after_first = ProcessMemory("VmRSS:");
  }
  TRIBUTARY_CHECK(Must(core->rounds().Get(task, kLast)).state == RoundState::kCompleted);
  Print({"resident memory after 5,000 rounds, of that after 500", ProcessMemory("VmRSS:") / 1e6, "MB", after_first / 1e6, 1.2,
         Wanted::kAtMost});
  return 0;
}

}  // namespace
}  // namespace tributary::bench

int main() { return tributary::bench::Run(); }
