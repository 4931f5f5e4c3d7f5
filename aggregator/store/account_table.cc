#include "aggregator/store/account_table.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"

namespace tributary {

Status AccountTable::Add(UploadKind kind, Outcome outcome, Code code, uint64_t amount) {
  return database_.Write(
      "INSERT INTO accounts (kind, outcome, code, amount) VALUES (?, ?, ?, ?) "
      "ON CONFLICT (kind, outcome, code) DO UPDATE SET amount = accounts.amount + excluded.amount "
      "WHERE accounts.amount < ?",
      kind, outcome, code, amount, limits::kCounter);
}

Result<std::map<UploadKind, KindAccount>> AccountTable::All() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT kind, outcome, code, amount FROM accounts"));
  std::map<UploadKind, KindAccount> accounts;
  for (const Row& row : rows) {
    UploadKind kind{};
    Outcome outcome{};
    Code code{};
    uint64_t amount = 0;
    if (const Status read = row.Into(kind, outcome, code, amount); !read) {
      // The account is for people: the other lines of it still tell the truth.
      LogFailure(LogLevel::kError, "account.line_not_read", read.error());
      continue;
    }
    amount = std::min(amount, limits::kCounter);
    KindAccount& account = accounts[kind];
    account.offered += amount;
    if (outcome == Outcome::kDelivered) account.delivered += amount;
    if (outcome == Outcome::kDuplicate) account.duplicate += amount;
    if (outcome == Outcome::kRefused) account.refused[code] += amount;
    if (outcome == Outcome::kDropped) account.dropped[code] += amount;
  }
  return accounts;
}

}  // namespace tributary
