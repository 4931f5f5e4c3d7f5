#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "protocol/base/executor.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/hop/client/client.h"

namespace tributary {

// Fetches blobs by digest into a BlobStore, one after the other and piece by piece, so that at most one piece comes
// twice; goes on where it was after a lost session or a restart. A blob that came with wrong bytes is fetched once more,
// and the server told that its own are doubted; after that the next fetch of it waits, for half a minute at first and for
// twice as long each time, up to an hour. A part of a HopClient; all on the loop's thread, but for the work on the disk:
// to sync a large model and to read it again for its digest takes a slow card minutes.
// Client, store, disk and loop must outlive it, and the loop the work that was posted to the disk.
class Fetcher final : public HopClient::Part {
 public:
  using Done = std::function<void(const Status&)>;

  // `budget`, of bytes down, is borrowed; null: no cap.
  Fetcher(HopClient& client, Loop& loop, Random& random, BlobStore& blobs, Executor& disk,
          LinkBudget* budget = nullptr);
  ~Fetcher() override;

  // `done` is called once, on success or when the bytes turned out wrong twice (kDigestMismatch) or cannot be stored;
  // links and servers that fail are waited for. At once when the blob is here already.
  void Fetch(const BlobRef& blob, Done done);
  // Puts the blob by `make`, which is called on the disk's thread, instead of asking for it. `done` as above, with the
  // error of `make`.
  void Make(const BlobRef& blob, std::function<Status(BlobStore&)> make, Done done);
  // Forgets every blob that is wanted; no `done` is called.
  void Cancel();
  uint64_t bytes_received() const { return bytes_received_; }

  void OnUp() override;
  void OnDown() override;
  void OnMessage(const hop::Message& message, ByteView bulk) override;

 private:
  struct Wanted {
    BlobRef blob;
    Done done;
    std::function<Status(BlobStore&)> make = {};  // empty: it is fetched
    int attempts = 0;
  };
  // Of a blob that came with wrong bytes twice.
  struct Pause {
    Millis length{0};
    Millis end{0};  // monotonic
  };

  // Runs `work` on the disk, and then `then` here, unless the blob is not wanted any more by then.
  template <class T>
  void OnDisk(std::function<T(BlobStore&)> work, std::function<void(const T&)> then);
  // Looks how much of the first wanted blob is here, and goes on.
  void Begin();
  void Ask();
  void OnPiece(const hop::Piece& piece, ByteView bulk);
  // Zero: the first wanted blob may be asked for now; else ask again after so long.
  Millis Wait();
  void MakePause(const Digest& blob);
  void Finish(const Status& status);

  HopClient& client_;
  Loop& loop_;
  Random& random_;
  BlobStore& blobs_;
  Executor& disk_;
  LinkBudget* budget_;
  std::deque<Wanted> wanted_;
  std::map<Digest, Pause> pauses_;
  uint64_t have_ = 0;     // bytes of the first wanted blob
  bool at_disk_ = false;  // which has not answered yet; `have_` is not known until then
  // False when what is at the disk is not wanted any more.
  std::shared_ptr<bool> wanted_at_disk_ = std::make_shared<bool>(true);
  uint64_t asked_to_ = 0;  // pieces are asked for up to this offset of the first wanted blob
  uint64_t bytes_received_ = 0;
  Loop::TimerId retry_timer_ = 0;
};

}  // namespace tributary
