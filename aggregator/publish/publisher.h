#pragma once

#include <functional>
#include <string>
#include <vector>

#include "aggregator/publish/publication_folder.h"
#include "aggregator/store/account_table.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/catalogue/publication.h"

namespace tributary {

// The content of a publication beside the tasks.
struct PublicationExtras {
  Bytes sealing_key;  // the aggregator's HPKE public key
  std::vector<FormerSealingKey> former_keys = {};
  std::string revocations = {};  // PEM
  bool operator==(const PublicationExtras&) const = default;
};

// Tells devices of a change that they must see. Whoever makes such a change uses it.
class Announcer {
 public:
  virtual ~Announcer() = default;
  // In the transaction of the change.
  virtual Status Reserve() = 0;
  // After its commit. A publication that cannot be made now is made later.
  virtual void Announce() = 0;
  // kInvalidArgument: the next publication would be larger than a member accepts.
  virtual Status CheckFits() const = 0;
};

// Signs publications and keeps the newest in a file. Numbers grow by one, over restarts and crashes too: the number is
// stored in the transaction that makes a publication necessary, and nothing is handed out before its file is durable;
// so a number whose file is missing was never seen by anybody, and is used; unless a member was seen to hold it, because this
// aggregator was restored from a backup. The number is the version of the timestamp,
// snapshot and rounds that are signed for it. Call order: Open; then for each change SaveNextNumber in its transaction,
// Owe after its commit, and Issue until it succeeds. Borrows what Parts names; one thread.
class Publisher {
 public:
  struct Parts {
    Path file;
    FileSystem& files;
    const Clock& clock;
    PublicationFolder& repository;
    std::function<PublicationExtras()> extras;
    Millis lifetime;  // of timestamp, snapshot and rounds
    AccountTable& counters;
    // The errors of whoever knows that nothing may be signed now, because the clock may be wrong.
    std::function<Status()> may_sign = [] { return Status(); };
  };
  // Reads the file. One that is missing, damaged, expired, or says other than what is now to be said is owed anew.
  // kRollback: it was made with a newer root than the repository has, so members would refuse what is signed now.
  static Result<Publisher> Open(const Parts& parts);

  Status SaveNextNumber();
  // A publication of this aggregator's that a member holds: checked from the repository's newest root on, but for the
  // dates. Errors: those of VerifySet and DecodePublicationSet: it is not this aggregator's.
  Result<Publication> ReadOwn(ByteView bytes) const;
  // Whether one that was signed for this aggregator could not be followed by the next one: its number was given out by
  // another life of this aggregator.
  bool IsBehind(const Publication& held, ByteView bytes) const;
  // In a transaction: from now on no number up to this one is given out, over restarts too. After its commit GoAbove.
  Status SaveFloor(uint64_t number) { return parts_.counters.SaveCounter(kFloorCounter, number); }
  void GoAbove(uint64_t number);
  void Owe() {
    owed_ = true;
    reserved_ = number_ + 1;
  }
  bool owed() const { return owed_; }
  // A third of the lifetime is left: time enough to notice that renewing fails.
  bool RenewalDue() const;
  // Looks at what changes without a task's doing: sealing keys, revocations, and now and then the repository. Owes a
  // publication when one did. Cheap.
  void Watch();
  // Why nothing may be signed now.
  Status MaySign() const { return parts_.may_sign(); }
  // Signs and stores the next one. On an error it stays owed.
  Status Issue(std::vector<PublishedTask> tasks);
  // kInvalidArgument: such a publication would be larger than a member accepts.
  Status CheckFits(std::vector<PublishedTask> tasks) const;

  const Bytes& bytes() const { return bytes_; }
  uint64_t number() const { return number_; }
  uint64_t root_version() const { return root_version_; }  // that bytes() was signed under

 private:
  explicit Publisher(const Parts& parts) : parts_(parts) {}
  static constexpr std::string_view kFloorCounter = "publication_floor";
  Result<Bytes> Sign(std::vector<PublishedTask> tasks, const PublicationExtras& extras) const;
  Parts parts_;
  Bytes bytes_;
  uint64_t number_ = 0;    // of bytes_, or the last that may have been handed out
  uint64_t reserved_ = 0;  // the highest number that is in the database
  uint64_t root_version_ = 0;
  PublicationExtras extras_;  // of bytes_
  WallTime expires_;
  Millis looked_{0};  // monotonic: when the repository was last looked at
  WallTime warned_;   // when the offline metadata's end was last logged
  bool owed_ = true;
};

}  // namespace tributary
