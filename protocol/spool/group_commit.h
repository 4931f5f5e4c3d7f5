#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/spool/arrivals.h"
#include "protocol/spool/batch.h"
#include "protocol/spool/departures.h"
#include "protocol/spool/recovery.h"

namespace tributary {

// The writing half of a spool: parts over one state.
struct SpoolWriter {
  SpoolWriter(const SpoolOptions& options, SpoolIndex& index, PayloadFiles& payloads, FileSystem& files,
              const Clock& clock)
      : state(options, index, payloads, files, clock) {}

  SpoolState state;
  Departures departures{state};
  Arrivals arrivals{state, departures};
  Recovery recovery{state, departures};
  Batch batch{state};
};

// Queues what changes a spool, and runs it on the worker in batches, so that all who wait share one barrier. Spool says
// what that promises. Calls: Recover once; then any, from any thread. Drain before the last owner lets go of it. The
// flush that is posted to the worker holds it weakly. File system, clock and worker must outlive it.
class GroupCommit : public std::enable_shared_from_this<GroupCommit> {
 public:
  // Properties of a queued call.
  struct Call {
    bool barrier = false;  // it is answered when the disk has it
    bool frees = false;    // it only gives room back
    // Append: whether it belongs behind the barrier is known only when its turn comes.
    std::optional<std::pair<UploadId, uint32_t>> chunk = std::nullopt;
    // Counts what has to be counted even when the batch fails.
    std::function<void(SpoolWriter&, Code)> recount = nullptr;
  };
  template <class T>
  using Done = std::function<void(Result<T>)>;
  using Page = std::function<Result<Departures::Swept>(SpoolWriter&)>;

  GroupCommit(SpoolOptions options, FileSystem& files, const Clock& clock, Executor& worker,
              std::unique_ptr<SpoolIndex> index);

  Status Recover();
  // `done` may be empty.
  template <class T>
  void Enqueue(Call call, std::function<Result<T>(SpoolWriter&)> work, Done<T> done) {
    auto result = std::make_shared<Result<T>>(Fail(Code::kShuttingDown, "the spool is closed"));
    Request request{.call = std::move(call)};
    request.apply = [result, work = std::move(work)](SpoolWriter& writer) { *result = work(writer); };
    request.fail = [result](const Error& error) { *result = Fail(error); };
    request.answer = [result, done = std::move(done)] {
      if (done) done(std::move(*result));
    };
    Push(std::move(request));
  }
  // Runs `page` until there is no more; other requests come between. Answers how many were dropped in all.
  void Sweep(const Page& page, Done<uint64_t> done, uint64_t before = 0);
  // Runs what is queued on the calling thread, and what that adds to the queue.
  void Drain();

  // As of the last flush.
  SpoolAccount Account() const;
  Status Health() const;

 private:
  // The three functions share what `apply` found out.
  struct Request {
    Call call = {};
    std::function<void(SpoolWriter&)> apply = nullptr;
    std::function<void(const Error&)> fail = nullptr;  // instead of what `apply` found out; `answer` still follows
    std::function<void()> answer = nullptr;
  };

  void Push(Request request);
  // False: there was nothing to do.
  bool Flush();
  std::vector<Request> RunPrompt(std::vector<Request>& all);
  void RunBarrier(std::vector<Request> batch);
  Status RetryOnFullDisk(std::vector<Request>& batch, const Status& full);
  Status Run(std::vector<Request>& batch);
  Status Apply(Request& request);
  Status End(std::vector<Request>& batch, const Status& done);
  // `done`: ok, or why none of them happened.
  void Answer(std::vector<Request>& batch, const Status& done);
  void Publish();

  const SpoolOptions options_;
  Executor& worker_;
  const std::unique_ptr<SpoolIndex> index_;
  PayloadFiles files_;
  SpoolWriter writer_;

  std::mutex flush_mutex_;          // makes flushes one after the other, whatever the worker is
  mutable std::mutex queue_mutex_;  // guards what follows; free while calling back
  std::vector<Request> queue_;
  bool posted_ = false;  // a flush that has not taken the queue yet is on its way
  SpoolAccount account_;
  Status health_;
};

}  // namespace tributary
