#pragma once

#include <map>
#include <tuple>

#include "aggregator/store/account_table.h"

namespace tributary {

// Counts the uploads that were offered to this process, by kind and by what became of them:
//   offered = delivered + spooled + in flight + duplicate + refused(reason) + dropped(reason)
// Spooled are the updates in a sum that is not checkpointed: custody is owed for them. Nothing is in flight here: what
// is staged, whole or in part, is added by FleetBook::Account. After a crash, what was not saved is gone from both sides:
// those uploads are offered again. The caller writes deliveries in the transaction that makes them true; the rest is
// saved from time to time by Save. Value type; one thread.
class AccountBook {
 public:
  static Result<AccountBook> Open(AccountTable& table);

  KindAccount Get(UploadKind kind) const;
  // Taken into a sum; custody is owed.
  void Spool(UploadKind kind);
  // `amount` of the spooled ones are durable now, and their rows written.
  void DeliverSpooled(UploadKind kind, uint64_t amount);
  // Offered and durable at once, and its row written.
  void DeliverAtOnce(UploadKind kind);
  // kDuplicate counts as a duplicate, everything else as refused.
  void Refuse(UploadKind kind, Code code);

  bool dirty() const { return !unsaved_.empty(); }
  // In the caller's transaction; after its Commit, call Saved.
  Status Save(AccountTable& table) const;
  void Saved() { unsaved_.clear(); }

 private:
  std::map<UploadKind, KindAccount> accounts_;
  std::map<std::tuple<UploadKind, Outcome, Code>, uint64_t> unsaved_;
};

}  // namespace tributary
