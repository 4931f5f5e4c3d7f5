#pragma once

#include <optional>
#include <vector>

#include "aggregator/privacy/spend.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"

namespace tributary {

// What a task has spent of its privacy: a file that only grows, a line for each thing recorded,
//   1 1767225600000 terms digits participations 8 1e-06 5 <hash>
//   2 1767225601000 round 1 1 2.5 1 <digest of the noise> <hash>
//   3 1767225602000 repaired 17 <hash>
// sequence and time; then what it is: the task with its terms (accounting, epsilon, delta, participations); or a charge
// (kind, number, count, multiplier, inclusion, noise); or how many bytes of a torn line were cut off. The hash is the
// SHA-256 of the hash of the line before (64 hexadecimal digits, zeros for the first) and the line up to its hash.
// By other means: printf '%s%s' "$before" '2 1767225601000 round 1 1 2.5 1 <digest> ' | sha256sum
//
// Order of use, which is why it never says less than was spent: draw noise and store it; Record its charge; only then
// add it to a sum and publish. A round has one noise: a second one for it is refused, so no sum is seen under two. A
// charge whose noise was never used stays. Times are for people; nothing follows from them, so no clock can lower what
// was spent.
//
// A power cut may leave a part of a line that nobody was told of: it is cut off, and a line says so. All else that does
// not fit is kCorrupt and stays as it is. One process, not thread safe. Files and clock must outlive it.
class Ledger {
 public:
  struct Surroundings {
    FileSystem& files;
    Path file;  // its folder exists
    const Clock& clock;
  };
  // Makes the file when there is none and none is known. Errors: kInvalidArgument (terms); kConflict: it is another
  // task's, or has other terms; kCorrupt: which line does not fit; kRollback: the file is older than `known`, or
  // another one. Then what is missing was spent all the same: put the newer file back, or RecordLost in what is there.
  static Result<Ledger> Open(const Surroundings& around, const TaskId& task, const PrivacyTerms& terms,
                             const LedgerPosition& known);
  // For a ledger of which lines are lost for good, `lost` rounds at most with this multiplier: charges them to every
  // device, and goes on. With the errors of Open but kRollback.
  static Result<Ledger> OpenWithLost(const Surroundings& around, const TaskId& task, const PrivacyTerms& terms,
                                     const Charge& lost);

  // Durable on return. A charge that is there already is not charged again. kConflict: it would exceed the budget, or
  // its round has other noise; nothing was recorded then. kDiskFull, kReadOnly, kIo: the noise must not be used.
  Result<LedgerPosition> Record(const Charge& charge);

  double spent() const { return spent_; }  // epsilon, at the terms' delta
  // With this charge as well.
  double SpentWith(const Charge& charge) const;
  LedgerPosition position() const { return position_; }
  std::span<const Charge> charges() const { return charges_; }
  // That of a round, or of the run that begins with it.
  const Charge* Find(Charge::Kind kind, uint64_t number) const;

 private:
  Ledger(const Surroundings& around, PrivacyTerms terms) : around_(around), terms_(terms) {}
  // Reads the file and changes nothing.
  Status Load(const TaskId& task);
  // The first line, if there is none; what a power cut left of a last one goes.
  Status Settle(const TaskId& task);
  Status TakeLine(const TaskId& task, std::string_view line);
  bool Holds(const LedgerPosition& known) const;
  // Adds the line of this text to `content_`, and to the file.
  Status Append(const std::string& text);
  Status Rewrite();

  Surroundings around_;
  PrivacyTerms terms_;
  std::string content_;  // the whole lines
  std::vector<Digest> hashes_;
  std::vector<Charge> charges_;
  LedgerPosition position_;
  double spent_ = 0;
  uint64_t torn_ = 0;      // bytes of a line that is not whole, at the end
  bool unsynced_ = false;  // a write failed: what is behind `content_` in the file may not be on the disk
};

}  // namespace tributary
