// Claim: the spool takes uploads durably (offered, appended chunk by chunk, acknowledged) at 0.5 of the speed at which
// the same bytes are written and fdatasync'ed to new files of the same sizes, one per upload, on the same file system.
// The spool lives on over all turns, as a gateway's does; passing the uploads on, which frees them, is not measured.

#include <future>

#include "bench/claim.h"
#include "bench/scratch_folder.h"
#include "bench/sealed_update.h"
#include "protocol/spool/spool.h"

namespace tributary::bench {
namespace {

// Chunks of one upload on their way at a time: what a hop's credit of 2 MiB for a session allows (hop/server.h).
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
      : uploads_(uploads), spool_(Must(Spool::Open({.folder = folder}, RealFileSystem(), SystemClock(), worker_))) {}

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
      Must(file->WriteAt(uploads[i].header.ciphertext_chunk_offset(chunk), uploads[i].chunks[chunk]));
    }
    Must(file->Sync());
  }
}

void Remove(const Path& folder, size_t count) {
  for (size_t i = 0; i < count; ++i) Must(RealFileSystem().Remove(folder / std::to_string(i)));
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
  Print({"durable ingest of " + what + ", of write+fdatasync", rates.ours, "MB/s", rates.limit, 0.5});
}

}  // namespace
}  // namespace tributary::bench

int main() {
  tributary::bench::Measure("20 uploads of 861,480 bytes", 20, 861'480);
  tributary::bench::Measure("8 uploads of 1 MB", 8, 1'000'000);
  tributary::bench::Measure("4 uploads of 16 MB", 4, 16'000'000);
}
