#pragma once

#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "protocol/base/executor.h"
#include "protocol/hop/client/client.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/client/fetcher.h"
#include "protocol/hop/client/subscriber.h"
#include "protocol/spool/spool.h"
#include "protocol/transport/loop.h"
#include "tests/support/synthetic_update.h"
#include "tests/support/test_site.h"

namespace tributary {

// The thread that the synthetic devices of a test share, with its loop, clock and disk worker. They must not outlive
// it.
class DeviceThread {
 public:
  DeviceThread();
  ~DeviceThread();

  // Runs `work` on the loop's thread and waits for it.
  template <class Work>
  auto Run(Work work) -> decltype(work()) {
    std::packaged_task<decltype(work())()> task(std::move(work));
    auto result = task.get_future();
    loop_.Post([&task] { task(); });
    return result.get();
  }
  Loop& loop() { return loop_; }
  const Clock& clock() const { return clock_; }
  Random& random() { return random_; }
  Executor& disk() { return disk_; }

 private:
  SystemClock clock_;
  SystemRandom random_;
  Loop loop_{clock_};
  WorkerPool disk_{"outboxes", 1};
  std::thread thread_;
};

// A device without a model: a real identity, session, outbox and courier over real sockets, that uploads vectors made
// in advance. It follows the publication, with all blobs, as a device does. Everything may be called from the test's
// thread; the waits end at once when what they wait for comes, and after kPatience with false.
class SyntheticDevice {
 public:
  struct Options {
    Site::Address server;
    Path folder;
    uint32_t chunk_bytes = limits::kDefaultChunkBytes;
  };
  // The hop's verdict on an upload: custody, or given up with a code.
  using Fate = std::optional<Code>;

  SyntheticDevice(DeviceThread& thread, Identity identity, const Options& options);
  ~SyntheticDevice();

  const Identity& identity() const { return identity_; }
  const DeviceId& id() const { return identity_.subject.id; }

  // Waits until the publication's only task is at `version`, with a round that is open or not.
  bool AwaitVersion(uint64_t version, bool open_round = true);
  // Waits for a round whose base version is newer than `version`, and answers that base version; nullopt: none came.
  std::optional<uint64_t> AwaitRoundAfter(uint64_t version);
  // The newest one held. Call after AwaitVersion.
  Publication publication();
  // Seals the device's update for the present version and puts it into the outbox.
  UploadId GiveUpdate();
  // One that is in the outbox, or was delivered from it, is not given again: nothing happens.
  void Give(SealedUpload upload);
  // nullopt: nothing was decided in time.
  std::optional<Fate> AwaitFate(const UploadId& upload);
  // Waits until everything that was ever given was taken into custody.
  bool AwaitCustody();
  // Waits for that many bytes of credit since the device was made: all but the first 2 MiB are for chunks that arrived.
  bool AwaitCredit(uint64_t bytes);
  // Waits for the session number `count`.
  bool AwaitSessions(uint64_t count);
  uint64_t sessions();
  bool has_fate(const UploadId& upload);
  SpoolAccount account();
  Courier::Counts counts();

 private:
  struct Stack;
  bool Await(const std::function<bool()>& condition);

  DeviceThread& thread_;
  Identity identity_;
  Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Publication> publication_;
  std::map<UploadId, std::optional<Fate>> fates_;  // of what was given
  uint64_t credit_ = 0;
  uint64_t sessions_ = 0;
  std::unique_ptr<Stack> stack_;
};

}  // namespace tributary
