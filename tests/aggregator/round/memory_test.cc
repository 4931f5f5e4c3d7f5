#include <malloc.h>

#include <fstream>

#include <gtest/gtest.h>

#include "protocol/payload/codec/codec_list.h"
#include "protocol/spool/spooled_upload.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/in_child.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"

namespace tributary::memory_test {
namespace {

constexpr uint64_t kParameters = 10'000'000;  // large beside what a core takes for itself
constexpr double kModel = kParameters * sizeof(float);
constexpr int kDevices = 3;

// A line of /proc/self/status, in bytes.
double Memory(const std::string& line_of) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(line_of)) return std::atof(line.c_str() + line_of.size()) * 1024;
  }
  return 0;
}

// The core runs in a child, so that the memory of whoever made the updates is not counted as its own.
class RoundMemory : public testing::Test {
 protected:
  // A freed block of this size would else raise the size from which on the allocator gives memory back.
  RoundMemory() { mallopt(M_MMAP_THRESHOLD, 1 << 20); }
  // The devices' uploads, in files.
  void MakeUploads(Codec codec) {
    const TemporaryFolder elsewhere;
    fixture_.elsewhere = elsewhere.path();
    fixture_.Reopen();
    CreateLargeTask(codec);
    Must(fixture_.core().rounds().Start(fixture_.task_id, 1));
    for (int device = 1; device <= kDevices; ++device) {
      const SealedUpload upload = fixture_.Update(device, ModelVersion{1}, {.parameters = kParameters, .codec = codec});
      const auto payload = Must(RealFileSystem().OpenForWrite(PayloadOf(device)));
      for (uint32_t i = 0; i < upload.chunks.size(); ++i)
        Must(payload->WriteAt(FactsOf(upload.header).ChunkOffset(i), upload.chunks[i]));
      headers_.push_back(upload.header);
    }
    fixture_.Close();
    fixture_.elsewhere.reset();
    malloc_trim(0);  // what was freed here must not be what a child gets
  }
  Path PayloadOf(int device) { return fixture_.repository_folder / fmt::format("{}.payload", device); }
  void CreateLargeTask(Codec codec) {
    TaskRecord task = fixture_.NewTask({.report_goal = kDevices});
    task.plan.update_codec = {std::string(CodecName(codec))};
    task.table.tensors = {{.name = "a", .shape = {kParameters}, .offset = 0, .size = kParameters}};
    task.norm_bound = 1e6;
    task.first_norm = 10;  // the updates are larger: each is scaled down
    const Digest weights = Must(fixture_.core().tasks().mutable_blobs().Put(Bytes(kParameters * sizeof(float))));
    Must(fixture_.core().tasks().Create(task, weights));
  }
  void TakeUpload(int device) {
    const UploadHeader& header = headers_[static_cast<size_t>(device) - 1];
    const auto chunk = [&](uint32_t index) {
      return RealFileSystem().ReadAt(PayloadOf(device), FactsOf(header).ChunkOffset(index),
                                     header.ciphertext_chunk_size(index));
    };
    TRIBUTARY_CHECK(fixture_.core().judge().Contribute(header, Role::kDevice, chunk).is_take());
  }

  // The most that the core takes for a round, its end and the next one, in sizes of the model.
  void CheckARound(Codec codec) {
    if (kSanitized) GTEST_SKIP() << "a sanitizer keeps what was freed";
    MakeUploads(codec);
    ASSERT_EQ(InChild(nullptr, "",
                      [&] {
                        const double before = Memory("VmRSS:");
                        fixture_.Reopen();
                        CreateLargeTask(codec);
                        Must(fixture_.core().rounds().Start(fixture_.task_id, 2));
                        for (int device = 1; device <= kDevices; ++device) TakeUpload(device);
                        TRIBUTARY_CHECK(fixture_.LastRound().number == 2);
                        TRIBUTARY_CHECK(Must(fixture_.core().rounds().Get(fixture_.task_id, 1)).scaled == kDevices);
                        const double most = (Memory("VmHWM:") - before) / kModel;
                        TRIBUTARY_CHECK(most < 3.3) << most << " times the model";
                      }),
              0);
  }

  RoundFixture fixture_{RoundFixture::kClosed};
  std::vector<UploadHeader> headers_;
};

// The sum is twice the model, and the update that is being added once.
TEST_F(RoundMemory, ARoundItsEndAndTheNextOneHoldTheSumOnceAndTheModelInPieces) { CheckARound(Codec::kFloat32Dense); }

// The update is small, and its plaintext is given up before the weights are held once.
TEST_F(RoundMemory, ALinearRoundHoldsTheSumAndTheWeightsOnce) { CheckARound(LinearCodec(8)); }

TEST_F(RoundMemory, ARestartReadsACheckpointIntoTheSumItself) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer keeps what was freed";
  MakeUploads(Codec::kFloat32Dense);
  ASSERT_EQ(InChild(nullptr, "",
                    [&] {
                      fixture_.Reopen();
                      CreateLargeTask(Codec::kFloat32Dense);
                      Must(fixture_.core().rounds().Start(fixture_.task_id, 1));
                      TakeUpload(1);
                      Must(fixture_.core().Flush());
                    }),
            0);
  ASSERT_EQ(InChild(nullptr, "",
                    [&] {
                      const double before = Memory("VmRSS:");
                      fixture_.Reopen();
                      TRIBUTARY_CHECK(fixture_.LastRound().contributions == 1);
                      const double most = (Memory("VmHWM:") - before) / kModel;
                      TRIBUTARY_CHECK(most < 2.5) << most << " times the model";
                    }),
            0);
}

}  // namespace
}  // namespace tributary::memory_test
