// Claim: an aggregator that takes 50 updates of 10 million parameters needs at most 3.5 times the model at the peak, in
// a process of its own: memory is O(model), not O(devices), and the sum has its only copy in memory. The updates are 50
// devices' sealed uploads, read chunk by chunk from files as from the staging spool, and go through the whole core:
// opened, checked, summed, checkpointed, custody taken, averaged, published as the next version; and the next round is
// opened. The same of a few updates in a linear codec, and of versions that travel small.

#include <sys/wait.h>
#include <unistd.h>

#include "aggregator/records/sum_form.h"
#include "aggregator/round/core.h"
#include "bench/claim.h"
#include "bench/core_bench.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"
#include "protocol/payload/codec/codec_list.h"
#include "protocol/spool/spooled_upload.h"
#include "tests/support/derived_key.h"

namespace tributary::bench {
namespace {

constexpr uint64_t kParameters = 10'000'000;

// A task whose rounds are measured.
struct Variant {
  std::string name;
  uint64_t updates;
  std::string update_codec = "float32";
  VersionCodec version_codec = VersionCodec::kFloat32;
};

HpkeKeyPair Key() { return Must(DeriveHpkeKeyPair(Bytes(32, 7))); }

Path EnvelopeOf(const ScratchFolder& folder, uint64_t number) {
  return folder / (std::to_string(number) + ".envelope");
}
Path PayloadOf(const ScratchFolder& folder, uint64_t number) { return folder / (std::to_string(number) + ".payload"); }

class CustodyCounter final : public Core::Listener {
 public:
  void OnPublication(const Bytes&, uint64_t, uint64_t) override {}
  void OnCustody(const std::vector<UploadId>& uploads) override { taken += uploads.size(); }
  void OnEvent(const CoreEvent&) override {}
  uint64_t taken = 0;
};

// A core with the variant's task and its first round, in a folder of its own.
class CoreOf {
 public:
  CoreOf(const Path& folder, const Variant& variant)
      : repository_(MakeRepository(folder / "publication", clock_.Now())),
        core_(Must(Core::Open({.folder = folder / "aggregator",
                               .files = RealFileSystem(),
                               .clock = clock_,
                               .repository = repository_,
                               .sealing_key = key_},
                              custody_))),
        task_(CreateTask(*core_, kParameters,
                         {.report_goal = static_cast<uint32_t>(variant.updates),
                          .minimum = static_cast<uint32_t>(variant.updates),
                          .version_codec = variant.version_codec},
                         variant.update_codec)) {
    Must(core_->rounds().Start(task_, 2));
  }
  Core& core() { return *core_; }
  const TaskId& task() const { return task_; }
  uint64_t custody() const { return custody_.taken; }

 private:
  const SystemClock clock_;
  const HpkeKeyPair key_ = Key();
  CustodyCounter custody_;
  PublicationFolder repository_;
  std::unique_ptr<Core> core_;
  TaskId task_;
};

// The uploads that lie in the staging spool: envelopes and ciphertext.
void WriteUploads(const ScratchFolder& folder, const Variant& variant) {
  CoreOf surroundings(folder / ("uploads-" + variant.name), variant);
  const TaskRecord task = Must(surroundings.core().tasks().Get(surroundings.task()));
  const UpdateSize bounds = Must(surroundings.core().rounds().Get(surroundings.task(), 1)).bounds;
  const Codec codec = CodecNamed(variant.update_codec).value();
  const UpdateFormat format = FormatOf(task, codec, ModelVersion{1}, bounds);
  SystemRandom random;
  for (uint64_t number = 1; number <= variant.updates; ++number) {
    const Bytes plaintext = Must(EncodeUpdate(format, {.weight = 600, .parameter_count = kParameters},
                                              SomeUpdate(kParameters, number), &random));
    const SealedUpload upload = Must(SealForBench(plaintext, number, Key().public_key, ModelVersion{1}, codec));
    Must(WriteFileAtomically(RealFileSystem(), EnvelopeOf(folder, number), upload.envelope));
    Must(RealFileSystem().Remove(PayloadOf(folder, number)));
    const auto payload = Must(RealFileSystem().OpenForWrite(PayloadOf(folder, number)));
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
      Must(payload->WriteAt(FactsOf(upload.header).ChunkOffset(i), upload.chunks[i]));
    }
  }
}

// The whole round, in the child.
void TakeUpdates(const ScratchFolder& folder, const Variant& variant) {
  CoreOf surroundings(folder / variant.name, variant);
  Core& core = surroundings.core();
  for (uint64_t number = 1; number <= variant.updates; ++number) {
    const Bytes envelope = Must(ReadFile(RealFileSystem(), EnvelopeOf(folder, number), limits::kEnvelopeBytes));
    const UploadHeader header = Must(ParseEnvelope(envelope)).header;
    const Verdict verdict = core.judge().Contribute(header, Role::kDevice, [&](uint32_t index) {
      return RealFileSystem().ReadAt(PayloadOf(folder, number), FactsOf(header).ChunkOffset(index),
                                     header.ciphertext_chunk_size(index));
    });
    TRIBUTARY_CHECK(verdict.is_take()) << "update " << number;
    core.Tick();
  }
  const RoundRecord round = Must(core.rounds().Get(surroundings.task(), 1));
  TRIBUTARY_CHECK(round.state == RoundState::kCompleted);
  TRIBUTARY_CHECK(surroundings.custody() == variant.updates) << surroundings.custody();
  const VersionRecord made = Must(core.tasks().Version(surroundings.task(), round.result));
  TRIBUTARY_CHECK(made.compact.has_value() == (variant.version_codec != VersionCodec::kFloat32));
  Print({fmt::format("peak memory of {} updates of 10,000,000 parameters ({}), of the model's 40 MB", variant.updates,
                     variant.name),
         ProcessMemory("VmHWM:") / 1e6, "MB", kParameters * sizeof(float) / 1e6, 3.5, Wanted::kAtMost});
}

// Each in a child of its own: the one that is measured is forked from a process that has not grown.
int Run() {
  const ScratchFolder folder;
  const std::vector<Variant> variants = {
      {"float32", 50},
      {"linear8", 5, "linear8"},
      {"versions as block8", 5, "float32", VersionCodec::kBlock8},
      {"versions as float16", 5, "float32", VersionCodec::kFloat16},
      {"linear8, versions as block8", 5, "linear8", VersionCodec::kBlock8},
  };
  for (const Variant& variant : variants) {
    for (const auto& work : {WriteUploads, TakeUpdates}) {
      const pid_t child = fork();
      if (child == 0) {
        work(folder, variant);
        std::_Exit(0);
      }
      int status = 0;
      if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace tributary::bench

int main() { return tributary::bench::Run(); }
