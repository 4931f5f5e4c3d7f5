#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aggregator/privacy/ledger.h"
#include "aggregator/round/noise_store.h"
#include "aggregator/store/store.h"

namespace tributary {

// How a private task stands, for people.
struct PrivacyStanding {
  PrivacyPolicy policy = {};
  std::string_view theorem = {};
  double spent = 0;
  double multiplier = 0;                    // of a draw, or with correlated noise of a run
  uint64_t participations = 0;              // that are enforced
  uint64_t lost = 0;                        // rounds that were charged though nobody remembers them
  LedgerPosition ledger = {};               // its end
  std::string stopped = {};                 // why no round opens any more; empty: one may
  std::vector<VersionSpent> versions = {};  // the newest ones, in order
};

// The privacy of one task's rounds: the noise that each sum begins with, the ledger of what was spent, and who may still
// take part. The order that keeps the promise:
//   1. A draw's noise is on disk before a row names it, and a row names it before any sum holds it.
//   2. Each sum begins with its noise and never gets another one, over crashes, failed rounds and shelves. A sum that is
//      thrown away takes its noise with it.
//   3. The ledger has the charge before the version is made of the sum.
//   4. A device's part is counted in the transaction of the checkpoint that holds it.
// A number of a draw is used once. A ledger that is older than the database, or a database that is older than the ledger
// or than what members know, is charged for what is missing.
//
// Call order: Restore once for a task of the database; then anything. Borrows what Surroundings and the task name; one
// thread. After a failure of the disk any call may be repeated.
class TaskPrivacy {
 public:
  struct Surroundings {
    Store& store;
    FileSystem& files;
    const Clock& clock;
    Random& random;
    Path folder;
    Executor* worker;  // draws noise; null: it is drawn at once
  };
  TaskPrivacy(const Surroundings& around, const TaskRecord& task) : around_(around), task_(task) {}

  // The draw of the sum that is open or on the shelf, in the round of this number. kCorrupt: there is none.
  Result<NoiseDraw> Restore(uint64_t round);
  // Why no round may open, with a sum that begins or with this one from the shelf. kConflict: the budget is spent;
  // kCorrupt: the ledger is damaged.
  Status MayOpen(const NoiseDraw* shelved);
  // Whether a version was made of this draw's sum already, as far as the ledger shows: not with correlated noise, of
  // which it has the runs alone.
  bool WasPaid(const NoiseDraw& draw);
  // Why no version may be made of this draw's sum.
  Status MayPay(const NoiseDraw& draw);
  // For a sum that begins. The same one until it was taken. Waits while it is drawn.
  Result<NoiseDraw> Next();
  // A round with this draw is in the database, and nothing of the draws before it is needed.
  void Took(const NoiseDraw& draw);
  // That sum is no more: the next round begins another one.
  void Ended() { current_.reset(); }
  // Has the next noise drawn, if that was not begun.
  void DrawAhead();

  Status AddNoise(WeightedSum& sum, const NoiseDraw& draw) const;
  // A checkpoint with this draw's noise is durable.
  void Settled(const NoiseDraw& draw) const;
  // The charge for a version that is made of this draw's sum is in the ledger on return.
  Result<SpentPrivacy> Pay(const NoiseDraw& draw);
  // Members know `count` versions up to `floor` that nobody here remembers.
  Status PayLost(uint64_t floor, uint64_t count);
  // The database has forgotten who was in a sum that a version was made of.
  Status PayForgotten() { return AppendLost(0, 1); }
  // What was spent up to now, for a version that spends nothing.
  Result<SpentPrivacy> Present();

  // Whether the device may be in the sum that collects, or in the next one. kQuotaExceeded.
  Status CheckMayTakePart(const DeviceId& device);
  // Whether there is a device that may not.
  Result<bool> AnyBarred();
  // Of one update. kCorrupt: the task's row.
  Result<uint64_t> WholeNorm();
  Result<PrivacyStanding> Standing();

 private:
  struct Parts {
    PrivacyForm form;
    NoiseStore noise;
  };
  Status Begin();
  Status OpenLedger();
  Status OpenOlderLedger(const LedgerPosition& known);
  Status ChargeForgottenDraws();
  Status AppendLost(uint64_t number, uint64_t count);
  Ledger::Surroundings AroundLedger() const;
  // The next draw but for its noise.
  NoiseDraw Coming() const;
  bool RunWasBroken() const;
  // nullopt: its run is paid for.
  std::optional<Charge> ChargeOf(const NoiseDraw& draw) const;
  Charge LostCharge(uint64_t number, uint64_t count) const;
  // The number of the draw whose sum collects, or will.
  Result<uint64_t> CollectingDraw();

  Surroundings around_;
  const TaskRecord& task_;
  std::optional<Parts> parts_;
  std::optional<Ledger> ledger_;
  NoiseDraw last_;
  std::optional<NoiseDraw> current_;
  uint64_t prepared_run_ = 0;
};

}  // namespace tributary
