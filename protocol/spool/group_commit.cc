#include "protocol/spool/group_commit.h"

#include <algorithm>
#include <iterator>

#include "protocol/base/log.h"

namespace tributary {
namespace {

bool IsDiskFull(const Status& done) { return !done && done.error().code == Code::kDiskFull; }

}  // namespace

GroupCommit::GroupCommit(SpoolOptions options, FileSystem& files, const Clock& clock, Executor& worker,
                         std::unique_ptr<SpoolIndex> index)
    : options_(std::move(options)),
      worker_(worker),
      index_(std::move(index)),
      files_(PayloadFiles::FolderIn(options_.folder), files, options_.TakesCustody()),
      writer_(options_, *index_, files_, files, clock) {}

Status GroupCommit::Recover() {
  RETURN_IF_ERROR(writer_.recovery.Recover(writer_.batch));
  Publish();
  return {};
}

void GroupCommit::Push(Request request) {
  {
    const std::lock_guard lock(queue_mutex_);
    queue_.push_back(std::move(request));
    if (std::exchange(posted_, true)) return;
  }
  worker_.Post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Flush();
  });
}

void GroupCommit::Sweep(const Page& page, Done<uint64_t> done, uint64_t before) {
  Enqueue<Departures::Swept>({.barrier = true, .frees = true}, page,
                             [this, page, before, done = std::move(done)](Result<Departures::Swept> swept) {
                               if (swept && swept->more) return Sweep(page, done, before + swept->dropped);
                               if (!done) return;
                               if (!swept) return done(Fail(swept.error()));
                               done(before + swept->dropped);
                             });
}

void GroupCommit::Drain() {
  while (Flush()) {
  }
}

bool GroupCommit::Flush() {
  const std::lock_guard flushing(flush_mutex_);
  std::vector<Request> all;
  {
    const std::lock_guard lock(queue_mutex_);
    all.swap(queue_);
    posted_ = false;
  }
  if (all.empty()) return false;
  RunBarrier(RunPrompt(all));
  return true;
}

SpoolAccount GroupCommit::Account() const {
  const std::lock_guard lock(queue_mutex_);
  return account_;
}

Status GroupCommit::Health() const {
  const std::lock_guard lock(queue_mutex_);
  return health_;
}

// Offers, and chunks but the last of an upload, need no sync: they are answered before the barrier, so that their
// senders go on while it lasts. Returns the requests that wait for the barrier.
std::vector<GroupCommit::Request> GroupCommit::RunPrompt(std::vector<Request>& all) {
  std::vector<Request> prompt;
  std::vector<Request> later;
  Status done = writer_.batch.Begin(false);
  for (Request& request : all) {
    const auto& chunk = request.call.chunk;
    if (request.call.barrier || (done && chunk && writer_.arrivals.IsLast(chunk->first, chunk->second))) {
      later.push_back(std::move(request));
      continue;
    }
    if (done) done = Apply(request);
    prompt.push_back(std::move(request));
  }
  Answer(prompt, End(prompt, done));
  return later;
}

void GroupCommit::RunBarrier(std::vector<Request> batch) {
  if (batch.empty()) return;
  Status done = Run(batch);
  if (IsDiskFull(done)) done = RetryOnFullDisk(batch, done);
  Answer(batch, done);
}

// Requests that take room must not keep those that free it from happening. Leaves these in `batch`.
Status GroupCommit::RetryOnFullDisk(std::vector<Request>& batch, const Status& full) {
  const auto takers =
      std::stable_partition(batch.begin(), batch.end(), [](const Request& each) { return each.call.frees; });
  std::vector<Request> freeing(std::make_move_iterator(batch.begin()), std::make_move_iterator(takers));
  batch.erase(batch.begin(), takers);
  Answer(batch, full);
  const bool was_alone = batch.empty();
  batch = std::move(freeing);
  if (batch.empty()) return {};
  Status done = was_alone ? full : Run(batch);
  if (IsDiskFull(done) && writer_.state.ballast.GiveUp()) done = Run(batch);
  return done;
}

Status GroupCommit::Run(std::vector<Request>& batch) {
  Status done = writer_.batch.Begin(true);
  for (Request& request : batch) {
    if (done) done = Apply(request);
  }
  return End(batch, done);
}

Status GroupCommit::Apply(Request& request) {
  request.apply(writer_);
  return index_->status();
}

// Commits, or undoes all and says why.
Status GroupCommit::End(std::vector<Request>& batch, const Status& done) {
  const Status whole = done ? index_->status() : done;
  const auto lost = whole ? writer_.batch.Commit() : Fail(whole.error());
  if (!lost) {
    writer_.batch.Abort(lost.error());
    LogFailure(LogLevel::kError, "spool.flush_failed", lost.error(), {{"requests", batch.size()}});
    return Fail(lost.error());
  }
  for (Request& request : batch) {
    if (!request.call.chunk) continue;
    if (const auto found = lost->find(request.call.chunk->first); found != lost->end()) request.fail(found->second);
  }
  return {};
}

void GroupCommit::Answer(std::vector<Request>& batch, const Status& done) {
  if (!done) {
    for (Request& request : batch) {
      request.fail(done.error());
      if (request.call.recount) request.call.recount(writer_, done.error().code);
    }
  }
  Publish();
  for (Request& request : batch) request.answer();
}

void GroupCommit::Publish() {
  Status health = writer_.batch.Health();
  const std::lock_guard lock(queue_mutex_);
  account_ = writer_.state.account;
  health_ = std::move(health);
}

}  // namespace tributary
