#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "protocol/catalogue/publication.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/hop/client/courier.h"
#include "protocol/spool/spool.h"

namespace tributary {

// Holds what a device has made and its gateway has not taken yet: a spool, and the courier that empties it. All on the loop's
// thread. Everything in Parts must outlive it; after its end nothing is called back.
class Outbox {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    Random& random;
    FileSystem& files;
    Executor& disk;  // for the spool
    HopClient& client;
    DeviceId member;  // for the log
  };
  using Uploads = std::vector<std::shared_ptr<const SealedUpload>>;
  enum class HandedOver {
    kWhole,     // all uploads are on disk
    kUnwanted,  // a hook said so
    kFailed,    // the spool refused one for good; the log says why
  };
  struct HandOverHooks {
    // Asked before each upload: false, and it is worth nothing any more.
    std::function<bool()> opens = [] { return true; };
    // Asked before a disk that refused for now is asked again.
    std::function<bool()> wanted = [] { return false; };
    std::function<void(HandedOver)> done;  // once
  };

  // `on_gone` hears of every upload that left for good: nullptr for custody above, else why it was given up. Errors:
  // those of Spool::Open.
  static Result<std::unique_ptr<Outbox>> Open(const Parts& parts, SpoolOptions options, Courier::GoneHook on_gone);
  ~Outbox();

  // Puts the uploads in, one after the other. One that is here already (a restart sealed it again) is left as it is.
  // `done` hears of success before the courier hears of the last upload, so that the caller can note it first: then a
  // restart never finds the upload gone and fits again. A disk that refuses for now is asked again every few seconds.
  void HandOver(Uploads uploads, HandOverHooks hooks);
  // Complete and not taken by the gateway, as far as the index can be read.
  std::vector<SpooledUpload> Pending() const;
  bool Contains(const TaskId& task, ModelVersion version, UploadKind kind) const;
  // Drops updates of versions that are not accepted any more, and offers what waited for the rounds that it opens.
  void OnPublication(const Publication& publication);
  // Drops what is sealed to keys for which `opens` is false. `losing` is asked for each of them before anything goes, so
  // that a kill in between finds them again; false stops it. Answers whether something is being dropped; then `done` is
  // called later, with whether it worked.
  bool DropUnopenable(const std::function<bool(const KeyId&)>& opens,
                      const std::function<bool(const SpooledUpload&)>& losing, std::function<void(bool)> done);
  // Drops all updates and evaluations of the task, with `losing` and `done` as above. What is dropped leaves no byte in a
  // file.
  void DropErased(const TaskId& task, const std::function<bool(const SpooledUpload&)>& losing,
                  std::function<void(bool)> done);
  // Whether updates and evaluations may go to the gateway; at first they may not.
  void LetWorkGo(bool may);
  // nullopt: it is no dead letter.
  std::optional<DeadLetter> FindDeadLetter(const UploadId& upload) const;
  // Now and then: drops what has expired, and tries whether a disk that was in trouble works again.
  void Sweep();

  SpoolAccount account() const { return spool_->Account(); }
  Status health() const { return spool_->Health(); }
  const Courier::Counts& counts() const { return courier_->counts(); }

 private:
  struct Delivery;  // uploads that are being put in

  Outbox(const Parts& parts, std::unique_ptr<Spool> spool, Courier::GoneHook on_gone);
  void PutNext(const std::shared_ptr<Delivery>& delivery);
  void Append(const std::shared_ptr<Delivery>& delivery, uint32_t chunk);
  void OnPut(const std::shared_ptr<Delivery>& delivery);
  void OnRefused(const std::shared_ptr<Delivery>& delivery, const Error& why);
  // Brings an answer of the spool's worker to the loop; after the outbox's end it is dropped.
  template <class T>
  Spool::Done<T> OnLoop(std::function<void(const Result<T>&)> then);

  Parts parts_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Courier> courier_;
  bool work_may_go_ = false;
  Loop::TimerId retry_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary
