#pragma once

#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include <gtest/gtest.h>

#include "protocol/spool/spool.h"
#include "protocol/trust/seal/digest.h"
#include "tests/support/manual_clock.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"

namespace tributary {

// Runs what was posted when the test says so, on the test's thread.
class QueueExecutor final : public Executor {
 public:
  void Post(std::function<void()> work) override { queue_.push_back(std::move(work)); }
  void Run() {
    while (!queue_.empty()) {
      auto work = std::move(queue_.front());
      queue_.pop_front();
      work();
    }
  }

 private:
  std::deque<std::function<void()>> queue_;
};

// The real file system with a disk that counts syncs, fills up, fails to sync, and loses what was not synced. Thread
// safe.
class FaultyFileSystem final : public FileSystem {
 public:
  int syncs = 0;
  int folder_syncs = 0;
  // The number of writes that still succeed; kDiskFull after that.
  int writes_left = std::numeric_limits<int>::max();
  bool fail_sync = false;
  bool fail_folder_sync = false;
  // The space that it claims to have, if not the real one.
  std::optional<DiskSpace> space = std::nullopt;
  // Syncs through descriptors that nothing was written through: those while a long file is still being written.
  bool fail_early_syncs = false;

  // Cuts every file that was written back to what its last sync covered.
  void LosePower() {
    for (const auto& [path, size] : synced_) {
      if (std::filesystem::exists(path) && std::filesystem::file_size(path) > size)
        std::filesystem::resize_file(path, size);
    }
  }

  Result<std::unique_ptr<WritableFile>> OpenForWrite(const Path& path) override {
    ASSIGN_OR_RETURN(auto file, RealFileSystem().OpenForWrite(path));
    const std::lock_guard lock(mutex_);
    synced_.try_emplace(path, 0);
    return std::make_unique<File>(*this, path, std::move(file));
  }
  Result<Bytes> ReadAt(const Path& path, uint64_t offset, size_t size) override {
    return RealFileSystem().ReadAt(path, offset, size);
  }
  Result<uint64_t> Size(const Path& path) override { return RealFileSystem().Size(path); }
  Status Rename(const Path& from, const Path& to) override { return RealFileSystem().Rename(from, to); }
  Status Remove(const Path& path) override {
    const std::lock_guard lock(mutex_);
    synced_.erase(path);
    return RealFileSystem().Remove(path);
  }
  Status SyncFolder(const Path& folder) override {
    if (fail_folder_sync) return Fail(Code::kIo, "the folder does not sync");
    ++folder_syncs;
    return RealFileSystem().SyncFolder(folder);
  }
  Status CreateFolders(const Path& folder) override { return RealFileSystem().CreateFolders(folder); }
  Result<std::vector<std::string>> List(const Path& folder) override { return RealFileSystem().List(folder); }
  Result<DiskSpace> Space(const Path& folder) override {
    return space ? Result<DiskSpace>(*space) : RealFileSystem().Space(folder);
  }

 private:
  class File final : public WritableFile {
   public:
    File(FaultyFileSystem& disk, Path path, std::unique_ptr<WritableFile> file)
        : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}
    Status WriteAt(uint64_t offset, ByteView bytes) override {
      const std::lock_guard lock(disk_.mutex_);
      if (disk_.writes_left <= 0) return Fail(Code::kDiskFull, "no space left");
      --disk_.writes_left;
      wrote_ = true;
      return file_->WriteAt(offset, bytes);
    }
    Status Sync() override {
      const std::lock_guard lock(disk_.mutex_);
      if (disk_.fail_sync) return Fail(Code::kIo, "the disk does not sync");
      if (disk_.fail_early_syncs && !wrote_) return Fail(Code::kIo, "the disk did not sync");
      ++disk_.syncs;
      disk_.synced_[path_] = std::filesystem::file_size(path_);
      return {};
    }

   private:
    FaultyFileSystem& disk_;
    Path path_;
    std::unique_ptr<WritableFile> file_;
    bool wrote_ = false;
  };

  std::mutex mutex_;
  std::map<Path, uint64_t> synced_;
};

struct TestUpload {
  UploadHeader header;
  Bytes envelope;
  Bytes payload;
  const UploadId& id() const { return header.subject.id; }
  Bytes Chunk(uint32_t index) const {
    const SpooledUpload facts = FactsOf(header);
    return ToBytes(ByteView(payload).subspan(facts.ChunkOffset(index), facts.ChunkBytes(index)));
  }
};

// `plaintext_size` bytes in chunks of 4 KiB, with the right sizes and digest. The same seed gives the same upload.
inline TestUpload MakeUpload(uint64_t seed, size_t plaintext_size, UploadKind kind = UploadKind::kUpdate) {
  SeededRandom random(seed);
  TestUpload upload;
  UploadSubject& subject = upload.header.subject;
  subject.id = random.TakeUploadId();
  subject.kind = kind;
  subject.priority = static_cast<Priority>(kind);
  subject.task = *TaskId::Parse("digits");
  subject.base_version = ModelVersion{3};
  subject.device = *DeviceId::Parse("device-" + std::to_string(seed));
  subject.plaintext_size = plaintext_size;
  subject.chunk_size = limits::kMinChunkBytes;
  subject.chunk_count = static_cast<uint32_t>((plaintext_size + subject.chunk_size - 1) / subject.chunk_size);
  upload.header.ciphertext_size = plaintext_size + subject.chunk_count * limits::kSealTagBytes;
  upload.payload = random.TakeBytes(upload.header.ciphertext_size);
  upload.header.ciphertext_digest = Sha256(upload.payload);
  upload.envelope = random.TakeBytes(300);
  return upload;
}

constexpr size_t kSmall = 2'000;   // one chunk, in the index
constexpr size_t kLarge = 19'000;  // five chunks, in a file (the fixture's inline limit is 10,000)

// A spool on a faulty disk, driven step by step.
class SpoolFixture {
 public:
  SpoolFixture() { Open(); }
  explicit SpoolFixture(SpoolOptions with) : options(with) { Open(); }

  void Open() {
    options.folder = folder / "spool";
    options.inline_limit = 10'000;
    spool.reset();
    auto opened = Spool::Open(options, disk, clock, worker);
    TRIBUTARY_CHECK(opened.has_value()) << opened.error().ToString();
    spool = std::move(*opened);
  }

  Result<OfferAnswer> Offer(const TestUpload& upload, const Status& admitted = {}) {
    return Answer<OfferAnswer>([&](auto done) { spool->Offer(upload.header, upload.envelope, done, admitted); });
  }
  Result<AppendAnswer> Append(const TestUpload& upload, uint32_t chunk) {
    return Append(upload.id(), chunk, upload.Chunk(chunk));
  }
  Result<AppendAnswer> Append(const UploadId& id, uint32_t chunk, Bytes bytes) {
    return Answer<AppendAnswer>([&](auto done) { spool->Append(id, chunk, bytes, done); });
  }
  // Offers, and sends what is asked for.
  Result<AppendAnswer> Put(const TestUpload& upload) {
    ASSIGN_OR_RETURN(const OfferAnswer offer, Offer(upload));
    if (offer.already) return Fail(Code::kDuplicate, "already");
    AppendAnswer last{.next_chunk = offer.next_chunk,
                      .complete = offer.next_chunk == upload.header.subject.chunk_count};
    while (!last.complete) {
      ASSIGN_OR_RETURN(last, Append(upload, last.next_chunk));
    }
    return last;
  }
  Status Delivered(const UploadId& id) {
    return Answer<void>([&](auto done) { spool->Delivered(id, done); });
  }
  Status Drop(const UploadId& id, Code reason) {
    return Answer<void>([&](auto done) { spool->Drop(id, reason, done); });
  }
  Result<uint64_t> DropStale(std::vector<ModelVersion> accepted) {
    return Answer<uint64_t>([&](auto done) { spool->DropStale(*TaskId::Parse("digits"), accepted, done); });
  }
  Status Requeue(const UploadId& id) {
    return Answer<void>([&](auto done) { spool->Requeue(id, done); });
  }
  Result<uint64_t> Purge(const std::optional<UploadId>& id) {
    return Answer<uint64_t>([&](auto done) { spool->Purge(id, done); });
  }
  Result<uint64_t> DropExpired() {
    return Answer<uint64_t>([&](auto done) { spool->DropExpired(done); });
  }
  Status Probe() {
    return Answer<void>([&](auto done) { spool->Probe(done); });
  }
  Bytes ReadAll(const TestUpload& upload) {
    Bytes all;
    for (uint32_t chunk = 0; chunk < upload.header.subject.chunk_count; ++chunk) {
      auto bytes = spool->ReadChunk(upload.id(), chunk);
      TRIBUTARY_CHECK(bytes.has_value()) << bytes.error().ToString();
      tributary::Append(all, *bytes);
    }
    return all;
  }
  size_t PayloadFileCount() const { return RealFileSystem().List(options.folder / "payloads")->size(); }
  KindAccount Updates() const { return spool->Account().of(UploadKind::kUpdate); }

  TemporaryFolder folder;
  FaultyFileSystem disk;
  ManualClock clock;
  QueueExecutor worker;
  SpoolOptions options;
  std::unique_ptr<Spool> spool;

 private:
  template <class T, class Call>
  Result<T> Answer(Call call) {
    Result<T> answer = Fail(Code::kTimeout, "no answer");
    call(Spool::Done<T>([&](Result<T> result) { answer = std::move(result); }));
    worker.Run();
    EXPECT_TRUE(spool->Account().Balances());
    return answer;
  }
};

}  // namespace tributary
