#include "protocol/spool/spool.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "protocol/base/log.h"
#include "protocol/spool/payload_files.h"
#include "protocol/spool/spool_index.h"
#include "protocol/spool/spool_writer.h"

namespace tributary {
namespace {

// One queued call. The parts share what `apply` found out.
struct Request {
  std::function<void(SpoolWriter&)> apply = nullptr;
  std::function<void()> answer = nullptr;
  std::function<void(const Error&)> fail = nullptr;  // instead of what `apply` found; `answer` still follows
  bool barrier = false;
  bool frees = false;  // it only gives room back
  // Append: whether it belongs behind the barrier is known only when its turn comes.
  std::optional<std::pair<UploadId, uint32_t>> chunk = std::nullopt;
  // What has to be counted even when the batch fails.
  std::function<void(SpoolWriter&, Code)> recount = nullptr;
};

}  // namespace

// `queue_mutex_` guards the queue and the published account and is free while calling back; `flush_mutex_` makes
// flushes one after the other, whatever the worker is. Readers have a connection of their own under `read_mutex_`.
class Spool::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(SpoolOptions options, FileSystem& files, const Clock& clock, Executor& worker, SpoolIndex index,
       SpoolIndex reader)
      : options_(std::move(options)),
        worker_(worker),
        index_(std::move(index)),
        reader_(std::move(reader)),
        files_(PayloadFiles::FolderIn(options_.folder), files, options_.mode == SpoolMode::kDurable),
        writer_(options_, index_, files_, files, clock) {}

  Status Recover() {
    RETURN_IF_ERROR(writer_.Recover());
    Publish();
    return {};
  }

  template <class T>
  void Enqueue(Request request, std::function<Result<T>(SpoolWriter&)> work, Done<T> done) {
    auto result = std::make_shared<Result<T>>(Fail(Code::kShuttingDown, "the spool is closed"));
    request.apply = [result, work = std::move(work)](SpoolWriter& writer) { *result = work(writer); };
    request.fail = [result](const Error& error) { *result = Fail(error); };
    request.answer = [result, done = std::move(done)] {
      if (done) done(std::move(*result));
    };
    bool post;
    {
      const std::lock_guard lock(queue_mutex_);
      queue_.push_back(std::move(request));
      post = !std::exchange(posted_, true);
    }
    if (post)
      worker_.Post([weak = weak_from_this()] {
        if (const auto core = weak.lock()) core->Flush();
      });
  }

  // A page of a sweep at a time; other requests come between.
  void Sweep(std::function<Result<SpoolWriter::Swept>(SpoolWriter&)> page, uint64_t before, Done<uint64_t> done) {
    Enqueue<SpoolWriter::Swept>({.barrier = true, .frees = true}, page,
                                [this, page, before, done = std::move(done)](Result<SpoolWriter::Swept> swept) {
                                  if (swept && swept->more) return Sweep(page, before + swept->dropped, done);
                                  if (!done) return;
                                  if (!swept) return done(Fail(swept.error()));
                                  done(before + swept->dropped);
                                });
  }

  // Also what flushing adds to the queue.
  void Drain() {
    while (Flush()) {
    }
  }

  // False: there was nothing to do.
  bool Flush() {
    const std::lock_guard flushing(flush_mutex_);
    std::vector<Request> all;
    {
      const std::lock_guard lock(queue_mutex_);
      all.swap(queue_);
      posted_ = false;
    }
    if (all.empty()) return false;
    std::vector<Request> later = RunPrompt(all);
    RunBarrier(std::move(later));
    return true;
  }

  SpoolAccount Account() const {
    const std::lock_guard lock(queue_mutex_);
    return account_;
  }

  Status Health() const {
    const std::lock_guard lock(queue_mutex_);
    return health_;
  }

  template <class Work>
  auto Read(Work work) {
    const std::lock_guard lock(read_mutex_);
    return work(reader_);
  }
  const PayloadFiles& files() const { return files_; }

 private:
  // Offers and chunks in the middle need no sync: they are answered before the barrier, so that their senders go on
  // while it lasts. Hands back what waits for it.
  std::vector<Request> RunPrompt(std::vector<Request>& all) {
    std::vector<Request> prompt;
    std::vector<Request> later;
    std::optional<Error> failed = Begin(false);
    for (Request& request : all) {
      if (request.barrier ||
          (!failed && request.chunk && writer_.IsLast(request.chunk->first, request.chunk->second))) {
        later.push_back(std::move(request));
        continue;
      }
      if (!failed) Apply(request, failed);
      prompt.push_back(std::move(request));
    }
    End(prompt, std::move(failed));
    return later;
  }

  void RunBarrier(std::vector<Request> batch) {
    if (batch.empty()) return;
    std::optional<Error> failed = Run(batch);
    if (failed && failed->code == Code::kDiskFull) {
      // What takes room must not keep what frees it from happening.
      const auto takers =
          std::stable_partition(batch.begin(), batch.end(), [](const auto& each) { return each.frees; });
      std::vector<Request> freeing(std::make_move_iterator(batch.begin()), std::make_move_iterator(takers));
      batch.erase(batch.begin(), takers);
      Reject(batch, *failed);
      Answer(batch);
      const bool was_alone = batch.empty();
      batch = std::move(freeing);
      if (batch.empty()) return;
      if (!was_alone) failed = Run(batch);
      if (failed && failed->code == Code::kDiskFull && writer_.GiveUpBallast()) failed = Run(batch);
    }
    if (failed) Reject(batch, *failed);
    Answer(batch);
  }

  std::optional<Error> Run(std::vector<Request>& batch) {
    std::optional<Error> failed = Begin(true);
    for (Request& request : batch) {
      if (!failed) Apply(request, failed);
    }
    return Finish(batch, std::move(failed));
  }

  std::optional<Error> Begin(bool barrier) {
    auto begun = writer_.Begin(barrier);
    return begun ? std::nullopt : std::optional(begun.error());
  }

  void Apply(Request& request, std::optional<Error>& failed) {
    request.apply(writer_);
    failed = writer_.index_error();
  }

  void End(std::vector<Request>& batch, std::optional<Error> failed) {
    failed = Finish(batch, std::move(failed));
    if (failed) Reject(batch, *failed);
    Answer(batch);
  }

  // Commits, or undoes all and says why.
  std::optional<Error> Finish(std::vector<Request>& batch, std::optional<Error> failed) {
    if (!failed) failed = writer_.index_error();
    if (!failed) {
      auto lost = writer_.Commit();
      if (!lost) {
        failed = lost.error();
      } else {
        for (Request& request : batch) {
          if (!request.chunk) continue;
          if (const auto found = lost->find(request.chunk->first); found != lost->end()) request.fail(found->second);
        }
      }
    }
    if (!failed) return std::nullopt;
    writer_.Abort(*failed);
    LogFailure(LogLevel::kError, "spool.flush_failed", *failed, {{"requests", batch.size()}});
    return failed;
  }

  void Reject(std::vector<Request>& batch, const Error& error) {
    for (Request& request : batch) {
      request.fail(error);
      if (request.recount) request.recount(writer_, error.code);
    }
  }

  void Answer(std::vector<Request>& batch) {
    Publish();
    for (Request& request : batch) request.answer();
  }

  void Publish() {
    Status health = writer_.Health();
    const std::lock_guard lock(queue_mutex_);
    account_ = writer_.account();
    health_ = std::move(health);
  }

  const SpoolOptions options_;
  Executor& worker_;
  SpoolIndex index_;
  SpoolIndex reader_;
  PayloadFiles files_;
  SpoolWriter writer_;

  std::mutex flush_mutex_;
  std::mutex read_mutex_;
  mutable std::mutex queue_mutex_;
  std::vector<Request> queue_;
  bool posted_ = false;  // a flush that has not taken the queue yet is on its way
  SpoolAccount account_;
  Status health_;
};

Result<std::unique_ptr<Spool>> Spool::Open(SpoolOptions options, FileSystem& files, const Clock& clock,
                                           Executor& worker) {
  RETURN_IF_ERROR(files.CreateFolders(PayloadFiles::FolderIn(options.folder)));
  const Path file = options.folder / "index.sqlite";
  ASSIGN_OR_RETURN(auto index, SpoolIndex::Open(file));
  ASSIGN_OR_RETURN(auto reader, SpoolIndex::Open(file));
  RETURN_IF_ERROR(files.SyncFolder(options.folder));
  auto core = std::make_shared<Core>(std::move(options), files, clock, worker, std::move(index), std::move(reader));
  RETURN_IF_ERROR(core->Recover());
  return std::unique_ptr<Spool>(new Spool(std::move(core)));
}

Spool::Spool(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Spool::~Spool() { core_->Drain(); }

void Spool::Offer(const UploadHeader& header, Bytes envelope, Done<OfferAnswer> done) {
  const SpooledUpload facts = FactsOf(header);
  core_->Enqueue<OfferAnswer>(
      {.recount = [facts](SpoolWriter& writer, Code code) { writer.CountAborted(facts, code); }},
      [facts, envelope = std::move(envelope)](SpoolWriter& writer) { return writer.Offer(facts, envelope); },
      std::move(done));
}

void Spool::Append(const UploadId& id, uint32_t chunk, Bytes ciphertext, Done<AppendAnswer> done) {
  core_->Enqueue<AppendAnswer>(
      {.chunk = std::pair(id, chunk)},
      [id, chunk, bytes = std::move(ciphertext)](SpoolWriter& writer) { return writer.Append(id, chunk, bytes); },
      std::move(done));
}

void Spool::CountRefused(UploadKind kind, Code reason) {
  const auto count = [kind, reason](SpoolWriter& writer) { return writer.CountRefused(kind, reason); };
  core_->Enqueue<void>({.recount = [count](SpoolWriter& writer, Code) { (void)count(writer); }}, count, nullptr);
}

void Spool::Delivered(const UploadId& id, Done<void> done) {
  core_->Enqueue<void>(
      {.barrier = true, .frees = true}, [id](SpoolWriter& writer) { return writer.Delivered(id); }, std::move(done));
}

void Spool::Drop(const UploadId& id, Code reason, Done<void> done) {
  core_->Enqueue<void>(
      {.barrier = true, .frees = true}, [id, reason](SpoolWriter& writer) { return writer.Drop(id, reason); },
      std::move(done));
}

void Spool::DropStale(const TaskId& task, std::vector<ModelVersion> accepted, Done<uint64_t> done) {
  core_->Sweep([task, accepted = std::move(accepted)](SpoolWriter& writer) { return writer.DropStale(task, accepted); },
               0, std::move(done));
}

void Spool::DropSealedTo(std::vector<KeyId> keys, Done<uint64_t> done) {
  core_->Sweep([keys = std::move(keys)](SpoolWriter& writer) { return writer.DropSealedTo(keys); }, 0, std::move(done));
}

void Spool::DropExpired(Done<uint64_t> done) {
  core_->Sweep([](SpoolWriter& writer) { return writer.DropExpired(); }, 0, std::move(done));
  Probe(nullptr);
}

void Spool::Requeue(const UploadId& id, Done<void> done) {
  core_->Enqueue<void>(
      {.barrier = true}, [id](SpoolWriter& writer) { return writer.Requeue(id); }, std::move(done));
}

void Spool::Purge(const std::optional<UploadId>& id, Done<uint64_t> done) {
  if (!id) return core_->Sweep([](SpoolWriter& writer) { return writer.PurgeAll(); }, 0, std::move(done));
  core_->Enqueue<uint64_t>(
      {.barrier = true, .frees = true}, [id](SpoolWriter& writer) { return writer.Purge(*id); }, std::move(done));
}

void Spool::Probe(Done<void> done) {
  core_->Enqueue<void>(
      {.barrier = true}, [](SpoolWriter& writer) { return writer.Probe(); }, std::move(done));
}

Status Spool::Health() const { return core_->Health(); }

Result<std::vector<SpooledUpload>> Spool::Pending(size_t limit) const {
  return core_->Read([&](SpoolIndex& index) { return index.Pending(limit); });
}

Result<Bytes> Spool::ReadEnvelope(const UploadId& id) const {
  return core_->Read([&](SpoolIndex& index) { return index.Envelope(id); });
}

Result<Bytes> Spool::ReadChunk(const UploadId& id, uint32_t chunk) const {
  ASSIGN_OR_RETURN(const auto upload, core_->Read([&](SpoolIndex& index) { return index.Find(id); }));
  if (!upload || upload->state != UploadState::kComplete) {
    return Fail(Code::kUnknownUpload, "upload " + id.hex() + " is not in custody");
  }
  if (chunk >= upload->chunk_count) {
    return Fail(Code::kInvalidArgument, "upload " + id.hex() + " has no chunk " + std::to_string(chunk));
  }
  if (upload->in_index) {
    return core_->Read([&](SpoolIndex& index) { return index.GetChunk(id, chunk); });
  }
  auto bytes = core_->files().Read(id, upload->ChunkOffset(chunk), upload->ChunkBytes(chunk));
  // Its file goes when it is delivered or dropped, which may be just now.
  if (!bytes && bytes.error().code == Code::kNotFound) return Fail(Code::kUnknownUpload, bytes.error().message);
  return bytes;
}

Result<std::vector<DeadLetter>> Spool::DeadLetters(size_t limit) const {
  return core_->Read([&](SpoolIndex& index) { return index.dead_letters().List(limit); });
}

Result<std::optional<WallTime>> Spool::OldestSpooled() const {
  return core_->Read([](SpoolIndex& index) { return index.OldestComplete(); });
}

SpoolAccount Spool::Account() const { return core_->Account(); }

}  // namespace tributary
