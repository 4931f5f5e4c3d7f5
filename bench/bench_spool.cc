// Claim: the spool takes uploads durably (offered, appended chunk by chunk, acknowledged) at 0.5 of the speed at which
// the same bytes are written and fdatasync'ed to new files of the same sizes, one per upload, on the same file system.

#include <future>

#include "bench/claim.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"
#include "protocol/spool/spool.h"

namespace tributary::bench {
namespace {

// Sends one upload as a device does: the next chunk when the last was answered. All calls are made on the spool's
// thread.
class Sender {
 public:
  Sender(Spool& spool, const SealedUpload& upload) : spool_(spool), upload_(upload) {}

  std::future<void> Start() {
    spool_.Offer(upload_.header, upload_.envelope, [this](Result<OfferAnswer> answer) {
      TRIBUTARY_CHECK(!Must(answer).already);
      Append(answer->next_chunk);
    });
    return custody_.get_future();
  }

 private:
  void Append(uint32_t chunk) {
    spool_.Append(upload_.header.subject.id, chunk, upload_.chunks[chunk], [this](Result<AppendAnswer> answer) {
      if (Must(answer).complete) return custody_.set_value();
      Append(answer->next_chunk);
    });
  }

  Spool& spool_;
  const SealedUpload& upload_;
  std::promise<void> custody_;
};

// One fleet's worth of uploads at once.
void Ingest(const Path& folder, const std::vector<SealedUpload>& uploads) {
  WorkerPool worker("spool", 1);
  const auto spool = Must(Spool::Open({.folder = folder}, RealFileSystem(), SystemClock(), worker));
  std::vector<std::unique_ptr<Sender>> senders;
  std::vector<std::future<void>> custody;
  for (const SealedUpload& upload : uploads) {
    senders.push_back(std::make_unique<Sender>(*spool, upload));
    custody.push_back(senders.back()->Start());
  }
  for (auto& each : custody) each.wait();
}

void WritePlainly(const Path& folder, const std::vector<SealedUpload>& uploads) {
  Must(RealFileSystem().CreateFolders(folder));
  for (size_t i = 0; i < uploads.size(); ++i) {
    const auto file = Must(RealFileSystem().OpenForWrite(folder / std::to_string(i)));
    for (uint32_t chunk = 0; chunk < uploads[i].chunks.size(); ++chunk) {
      Must(file->WriteAt(uploads[i].header.ciphertext_chunk_offset(chunk), uploads[i].chunks[chunk]));
    }
    Must(file->Sync());
  }
}

void Measure(const std::string& what, size_t count, size_t bytes_each) {
  const HpkeKeyPair key = GenerateHpkeKeyPair();
  std::vector<SealedUpload> uploads;
  double bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    uploads.push_back(Must(SealForBench(AsBytes(SomeUpdate(bytes_each / sizeof(float), i)), i, key.public_key)));
    bytes += static_cast<double>(uploads.back().header.ciphertext_size);
  }
  const ScratchFolder folder;
  int turn = 0;
  const Rates rates = Compare(
      Measured::kWallTime, 7, bytes / 1e6, [&] { Ingest(folder / ("spool" + std::to_string(turn++)), uploads); },
      [&] { WritePlainly(folder / ("plain" + std::to_string(turn++)), uploads); });
  Print({"durable ingest of " + what + ", of write+fdatasync", rates.ours, "MB/s", rates.limit, 0.5});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  tributary::bench::Measure("20 uploads of 861,480 bytes", 20, 861'480);
  tributary::bench::Measure("4 uploads of 16 MB", 4, 16'000'000);
}
