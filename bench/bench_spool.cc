// Claims: the spool takes uploads durably (offered, appended chunk by chunk, acknowledged) at 0.7 of the speed at which
// the same bytes are written and fdatasync'ed to new files of the same sizes, one per upload, on the same file system,
// when eight or more senders share its barriers; alone, where nobody shares the two syncs that follow each other
// (payload, then index), at 0.3. And it opens with 100,000 waiting uploads within a second. The spool lives on over all
// turns, as a gateway's does; passing the uploads on, which frees them, is not measured.

#include <future>
#include <latch>

#include "bench/claim.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"
#include "protocol/trust/seal/digest.h"
#include "protocol/spool/spool.h"

namespace tributary::bench {
namespace {

const Clock& TheClock() {
  static const SystemClock clock;
  return clock;
}

// Chunks of one upload on their way at a time: what a hop's credit of 2 MiB for a session allows (protocol/hop/server/server_options.h).
constexpr uint32_t kChunksUnderWay = 8;

// Sends one upload as a device does: one more chunk whenever one was answered. All calls but Start are made on the
// spool's thread. The chunks are its own, as those that come out of a socket.
class Sender {
 public:
  Sender(Spool& spool, SealedUpload upload) : spool_(spool), upload_(std::move(upload)) {}

  std::future<void> Start() {
    spool_.Offer(upload_.header, upload_.envelope, [this](Result<OfferAnswer> answer) {
      TRIBUTARY_CHECK(!Must(answer).already);
      for (uint32_t i = 0; i < kChunksUnderWay; ++i) AppendNext();
    });
    return custody_.get_future();
  }
  const UploadId& id() const { return upload_.header.subject.id; }

 private:
  void AppendNext() {
    if (next_ == upload_.chunks.size()) return;
    const uint32_t chunk = next_++;
    spool_.Append(id(), chunk, std::move(upload_.chunks[chunk]), [this](Result<AppendAnswer> answer) {
      if (Must(answer).complete) return custody_.set_value();
      AppendNext();
    });
  }

  Spool& spool_;
  SealedUpload upload_;
  uint32_t next_ = 0;
  std::promise<void> custody_;
};

// One fleet's worth of uploads at once, as often as wanted.
class Ingest {
 public:
  Ingest(const Path& folder, const std::vector<SealedUpload>& uploads)
      : uploads_(uploads), spool_(Must(Spool::Open({.folder = folder}, RealFileSystem(), TheClock(), worker_))) {}

  // New uploads of the same bytes: a contribution counts once. The spool looks at no signature.
  void Prepare() {
    for (const auto& sender : senders_) Deliver(sender->id());
    senders_.clear();
    for (SealedUpload upload : uploads_) {
      UploadSubject& subject = upload.header.subject;
      SystemRandom().Fill(subject.id.mutable_view());
      subject.base_version = ModelVersion{++version_};
      senders_.push_back(std::make_unique<Sender>(*spool_, std::move(upload)));
    }
  }

  void Run() {
    std::vector<std::future<void>> custody;
    for (const auto& sender : senders_) custody.push_back(sender->Start());
    for (auto& each : custody) each.wait();
  }

 private:
  void Deliver(const UploadId& id) {
    std::promise<void> delivered;
    spool_->Delivered(id, [&](const Status& status) {
      Must(status);
      delivered.set_value();
    });
    delivered.get_future().wait();
  }

  const std::vector<SealedUpload>& uploads_;
  WorkerPool worker_{"spool", 1};
  std::unique_ptr<Spool> spool_;
  std::vector<std::unique_ptr<Sender>> senders_;
  uint64_t version_ = 0;
};

void WritePlainly(const Path& folder, const std::vector<SealedUpload>& uploads) {
  for (size_t i = 0; i < uploads.size(); ++i) {
    const auto file = Must(RealFileSystem().OpenForWrite(folder / std::to_string(i)));
    for (uint32_t chunk = 0; chunk < uploads[i].chunks.size(); ++chunk) {
      Must(file->WriteAt(FactsOf(uploads[i].header).ChunkOffset(chunk), uploads[i].chunks[chunk]));
    }
    Must(file->Sync());
  }
}

void Remove(const Path& folder, size_t count) {
  for (size_t i = 0; i < count; ++i) Must(RealFileSystem().Remove(folder / std::to_string(i)));
}

void Measure(const std::string& what, size_t count, size_t bytes_each, double target) {
  const HpkeKeyPair key = GenerateHpkeKeyPair();
  std::vector<SealedUpload> uploads;
  double bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    uploads.push_back(Must(SealForBench(AsBytes(SomeUpdate(bytes_each / sizeof(float), i)), i, key.public_key)));
    bytes += static_cast<double>(uploads.back().header.ciphertext_size);
  }
  const ScratchFolder folder;
  Ingest ingest(folder / "spool", uploads);
  const Path plain = folder / "plain";
  Must(RealFileSystem().CreateFolders(plain));
  const Rates rates = Compare(
      Measured::kWallTime, 15, bytes / 1e6, [&] { ingest.Run(); }, [&] { WritePlainly(plain, uploads); },
      [&] {
        Remove(plain, uploads.size());
        ingest.Prepare();
        // What the removals leave to the file system's journal is nobody's turn.
        Must(RealFileSystem().SyncFolder(plain));
      });
  Print({"durable ingest of " + what + ", of write+fdatasync", rates.ours, "MB/s", rates.limit, target});
}

// Half in the index, half in files, of as many devices. Not synced: how they came is not what is measured.
void Fill(const Path& folder, uint64_t count) {
  constexpr size_t kInline = 2'000, kInFile = 5'000;
  constexpr uint64_t kAtOnce = 1'000;
  WorkerPool worker("spool", 1);
  const auto spool = Must(Spool::Open({.folder = folder, .mode = SpoolMode::kStaging, .inline_limit = kInline},
                                      RealFileSystem(), TheClock(), worker));
  for (uint64_t i = 0; i < count; i += kAtOnce) {
    std::latch taken(kAtOnce);
    for (uint64_t j = i; j < i + kAtOnce; ++j) {
      const Bytes payload(j % 2 == 0 ? kInline : kInFile, static_cast<uint8_t>(j));
      UploadHeader header;
      UploadSubject& subject = header.subject;
      SystemRandom().Fill(subject.id.mutable_view());
      subject.task = Must(TaskId::Parse("digits"));
      subject.device = Must(DeviceId::Parse("device-" + std::to_string(j)));
      subject.chunk_size = limits::kDefaultChunkBytes;
      subject.chunk_count = 1;
      header.ciphertext_size = payload.size();
      header.ciphertext_digest = Sha256(payload);
      spool->Offer(header, Bytes(1'500, 1), nullptr);
      spool->Append(subject.id, 0, payload, [&](const Result<AppendAnswer>& answer) {
        Must(answer);
        taken.count_down();
      });
    }
    taken.wait();
  }
}

void MeasureOpen(uint64_t count) {
  const ScratchFolder folder;
  Fill(folder / "spool", count);
  std::vector<double> seconds;
  for (int turn = 0; turn < 5; ++turn) {
    WorkerPool worker("spool", 1);
    seconds.push_back(Seconds(Measured::kWallTime, [&] {
      const auto spool = Must(Spool::Open({.folder = folder / "spool"}, RealFileSystem(), TheClock(), worker));
      TRIBUTARY_CHECK(spool->Account().Spooled() == count);
      TRIBUTARY_CHECK(Must(spool->Pending(64)).size() == 64);
    }));
  }
  Print({"start-up with " + std::to_string(count) + " waiting uploads, half of them in files", Median(seconds), "s",
         1.0, 1.0, Wanted::kAtMost});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  tributary::bench::Measure("1 upload of 1 MB", 1, 1'000'000, 0.3);
  tributary::bench::Measure("8 uploads of 1 MB at once", 8, 1'000'000, 0.7);
  tributary::bench::Measure("64 uploads of 1 MB at once", 64, 1'000'000, 0.7);
  tributary::bench::Measure("20 uploads of 861,480 bytes at once", 20, 861'480, 0.7);
  tributary::bench::Measure("4 uploads of 16 MB at once", 4, 16'000'000, 0.5);
  tributary::bench::MeasureOpen(100'000);
}
