#pragma once

#include <vector>

#include "aggregator/store/account_table.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/publication/publication.h"
#include "protocol/seal/identity.h"

namespace tributary {

// Signs publications and keeps the newest in a file. Numbers grow by one, over restarts and crashes too: the number is
// stored in the transaction that makes a publication necessary, and nothing is handed out before its file is durable;
// so a number whose file is missing was never seen by anybody, and is used. Call order: Open; then for each change
// SaveNextNumber in its transaction, Owe after its commit, and Issue until it succeeds. Borrows what Parts names; one
// thread.
class Publisher {
 public:
  struct Parts {
    Path file;
    FileSystem& files;
    const Clock& clock;
    const Identity& identity;
    const Bytes& sealing_key;  // the aggregator's HPKE public key
    Millis lifetime;
    AccountTable& counters;
  };
  // Reads the file. One that is missing, does not verify, expired, or names another sealing key is owed anew.
  static Result<Publisher> Open(const Parts& parts);

  Status SaveNextNumber();
  void Owe() {
    owed_ = true;
    reserved_ = number_ + 1;
  }
  bool owed() const { return owed_; }
  // A third of the lifetime is left: time enough to notice that renewing fails.
  bool RenewalDue() const;
  // Signs and stores the next one. On an error it stays owed.
  Status Issue(std::vector<PublishedTask> tasks);
  // kInvalidArgument: such a publication would be larger than a member accepts.
  Status CheckFits(std::vector<PublishedTask> tasks) const;

  const Bytes& bytes() const { return bytes_; }
  uint64_t number() const { return number_; }

 private:
  explicit Publisher(const Parts& parts) : parts_(parts) {}
  Publication Make(std::vector<PublishedTask> tasks) const;
  Parts parts_;
  Bytes bytes_;
  uint64_t number_ = 0;    // of bytes_, or the last that may have been handed out
  uint64_t reserved_ = 0;  // the highest number that is in the database
  WallTime expires_;
  bool owed_ = true;
};

}  // namespace tributary
