// Claim: an aggregator that takes 50 updates of 10 million parameters needs at most 3.5 times the model at the peak, in a
// process of its own: memory is O(model), not O(devices), and the sum has its only copy in memory. The updates are 50 devices' sealed uploads, read chunk by chunk from
// files as from the staging spool, and go through the whole core: opened, checked, summed, checkpointed, custody
// taken, averaged, published as the next version; and the next round is opened.

#include <sys/wait.h>
#include <unistd.h>


#include "aggregator/round/core.h"
#include "bench/claim.h"
#include "bench/core_bench.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"
#include "protocol/spool/spooled_upload.h"
#include "tests/support/derived_key.h"

namespace tributary::bench {
namespace {

constexpr uint64_t kParameters = 10'000'000;
constexpr uint64_t kUpdates = 50;

HpkeKeyPair Key() { return Must(DeriveHpkeKeyPair(Bytes(32, 7))); }

Path EnvelopeOf(const ScratchFolder& folder, uint64_t number) {
  return folder / (std::to_string(number) + ".envelope");
}
Path PayloadOf(const ScratchFolder& folder, uint64_t number) { return folder / (std::to_string(number) + ".payload"); }

// What lies in the staging spool: envelopes and ciphertext.
void WriteUploads(const ScratchFolder& folder) {
  for (uint64_t number = 1; number <= kUpdates; ++number) {
    const SealedUpload upload = Must(SealUpdateForBench(kParameters, number, Key().public_key));
    Must(WriteFileAtomically(RealFileSystem(), EnvelopeOf(folder, number), upload.envelope));
    const auto payload = Must(RealFileSystem().OpenForWrite(PayloadOf(folder, number)));
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
      Must(payload->WriteAt(FactsOf(upload.header).ChunkOffset(i), upload.chunks[i]));
    }
  }
}

class CustodyCounter final : public Core::Listener {
 public:
  void OnPublication(const Bytes&, uint64_t, uint64_t) override {}
  void OnCustody(const std::vector<UploadId>& uploads) override { taken += uploads.size(); }
  void OnEvent(const CoreEvent&) override {}
  uint64_t taken = 0;
};

// The whole round, in the child.
void TakeUpdates(const ScratchFolder& folder) {
  const SystemClock clock;
  const HpkeKeyPair key = Key();
  PublicationFolder repository = MakeRepository(folder / "publication", clock.Now());
  CustodyCounter custody;
  SystemRandom random;
  const auto core = Must(Core::Open({.folder = folder / "aggregator",
                                     .files = RealFileSystem(),
                                     .clock = clock,
                                     .random = random,
                                     .repository = repository,
                                     .sealing_key = key},
                                    custody));
  const TaskId task = CreateTask(*core, kParameters, {.report_goal = kUpdates, .minimum = kUpdates});
  Must(core->rounds().Start(task, 2));
  for (uint64_t number = 1; number <= kUpdates; ++number) {
    const Bytes envelope = Must(ReadFile(RealFileSystem(), EnvelopeOf(folder, number), limits::kEnvelopeBytes));
    const UploadHeader header = Must(ParseEnvelope(envelope)).header;
    const Verdict verdict = core->judge().Contribute(header, Role::kDevice, [&](uint32_t index) {
      return RealFileSystem().ReadAt(PayloadOf(folder, number), FactsOf(header).ChunkOffset(index),
                                     header.ciphertext_chunk_size(index));
    });
    TRIBUTARY_CHECK(verdict.is_take()) << "update " << number;
    core->Tick();
  }
  TRIBUTARY_CHECK(Must(core->rounds().Get(task, 1)).state == RoundState::kCompleted);
  TRIBUTARY_CHECK(custody.taken == kUpdates) << custody.taken;
  Print({"peak memory of 50 updates of 10,000,000 parameters, of the model's 40 MB", ProcessMemory("VmHWM:") / 1e6, "MB",
         kParameters * sizeof(float) / 1e6, 3.5, Wanted::kAtMost});
}

// Each in a child of its own: the one that is measured is forked from a process that has not grown.
int Run() {
  const ScratchFolder folder;
  for (const auto& work : {WriteUploads, TakeUpdates}) {
    const pid_t child = fork();
    if (child == 0) {
      work(folder);
      std::_Exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tributary::bench

int main() { return tributary::bench::Run(); }
