#include "aggregator/store/account_table.h"

namespace tributary {

Status AccountTable::Add(UploadKind kind, Outcome outcome, Code code, uint64_t amount) {
  return database_.Write(
      "INSERT INTO accounts (kind, outcome, code, amount) VALUES (?, ?, ?, ?) "
      "ON CONFLICT (kind, outcome, code) DO UPDATE SET amount = accounts.amount + excluded.amount",
      kind, outcome, code, amount);
}

Result<std::map<UploadKind, KindAccount>> AccountTable::All() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT kind, outcome, code, amount FROM accounts"));
  std::map<UploadKind, KindAccount> accounts;
  for (const Row& row : rows) {
    KindAccount& account = accounts[static_cast<UploadKind>(row.Int(0))];
    const auto outcome = static_cast<Outcome>(row.Int(1));
    const auto code = static_cast<Code>(row.Int(2));
    const auto amount = static_cast<uint64_t>(row.Int(3));
    account.offered += amount;
    if (outcome == Outcome::kDelivered) account.delivered += amount;
    if (outcome == Outcome::kDuplicate) account.duplicate += amount;
    if (outcome == Outcome::kRefused) account.refused[code] += amount;
    if (outcome == Outcome::kDropped) account.dropped[code] += amount;
  }
  return accounts;
}

}  // namespace tributary
