// Claim: taking 50 updates of 10 million parameters (opened, checked, summed, checkpointed, averaged) needs at most 600
// MB at the peak, in a process of its own: memory is O(model), not O(devices).

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "aggregator/aggregate/checkpoint.h"
#include "aggregator/aggregate/server_optimizer.h"
#include "aggregator/intake/open_update.h"
#include "bench/claim.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"

namespace tributary::bench {
namespace {

constexpr uint64_t kParameters = 10'000'000;
constexpr int kUpdates = 50;
constexpr uint64_t kMaxWeight = 1 << 22;
// As often as the aggregator does: once per as many bytes taken in (4 per parameter) as the sum is long (8).
constexpr int kUpdatesPerCheckpoint = 2;

HpkeKeyPair Key() { return Must(DeriveHpkeKeyPair(Bytes(32, 7))); }

// What lies in the spool: the envelope and the ciphertext.
void WriteUpload(const ScratchFolder& folder) {
  const SealedUpload upload = Must(SealUpdateForBench(kParameters, 1, Key().public_key));
  Must(WriteFileAtomically(RealFileSystem(), folder / "envelope", upload.envelope));
  const auto payload = Must(RealFileSystem().OpenForWrite(folder / "payload"));
  for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
    Must(payload->WriteAt(upload.header.ciphertext_chunk_offset(i), upload.chunks[i]));
  }
}

// VmHWM of this process, in bytes.
double PeakMemory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::atof(line.c_str() + 6) * 1024;
  }
  return 0;
}

// The whole round, in the child.
void TakeUpdates(const ScratchFolder& folder) {
  const HpkeKeyPair key = Key();
  const Bytes envelope = Must(ReadFile(RealFileSystem(), folder / "envelope", limits::kEnvelopeBytes));
  const UploadHeader header = Must(ParseEnvelope(envelope)).header;
  const UpdateBounds bounds{kParameters, 1, kParameters, kMaxWeight};
  const std::vector<float> present(kParameters, 0.5F);
  WeightedSum sum(kParameters, Must(FixedPointScale::For(1, kMaxWeight)), 1, kMaxWeight);
  UpdateReader reader;
  for (int i = 1; i <= kUpdates; ++i) {
    const OpenedUpdate update = Must(reader.Read(header, key, bounds, [&](uint32_t index) {
      return RealFileSystem().ReadAt(folder / "payload", header.ciphertext_chunk_offset(index),
                                     header.ciphertext_chunk_size(index));
    }));
    Must(sum.Accumulate(reader.values(), update.meta.weight));
    if (i % kUpdatesPerCheckpoint == 0) Must(WriteCheckpoint(RealFileSystem(), folder / "sum", sum));
  }
  const std::vector<double> mean = Must(sum.Report());
  Must(FedAvgStep(present, mean));
  Print({"peak memory of 50 updates of 10,000,000 parameters, of 600 MB", PeakMemory() / 1e6, "MB", 600, 1,
         Wanted::kAtMost});
}

// The parent makes the upload in a child of its own, and forks the one that is measured from a process that has not
// grown.
int Run() {
  const ScratchFolder folder;
  for (const auto& work : {WriteUpload, TakeUpdates}) {
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
