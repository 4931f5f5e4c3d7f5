#include "aggregator/intake/account_book.h"

namespace tributary {

Result<AccountBook> AccountBook::Open(AccountTable& table) {
  AccountBook book;
  ASSIGN_OR_RETURN(book.accounts_, table.All());
  return book;
}

KindAccount AccountBook::Get(UploadKind kind) const {
  const auto found = accounts_.find(kind);
  return found == accounts_.end() ? KindAccount{} : found->second;
}

void AccountBook::Spool(UploadKind kind) {
  ++accounts_[kind].offered;
  ++accounts_[kind].spooled;
}

void AccountBook::DeliverSpooled(UploadKind kind, uint64_t amount) {
  KindAccount& account = accounts_[kind];
  TRIBUTARY_CHECK(account.spooled >= amount) << account.spooled << " spooled, " << amount << " delivered";
  account.spooled -= amount;
  account.delivered += amount;
}

void AccountBook::DeliverAtOnce(UploadKind kind) {
  ++accounts_[kind].offered;
  ++accounts_[kind].delivered;
}

void AccountBook::Refuse(UploadKind kind, Code code) {
  KindAccount& account = accounts_[kind];
  ++account.offered;
  ++(code == Code::kDuplicate ? account.duplicate : account.refused[code]);
  ++unsaved_[{kind, code == Code::kDuplicate ? Outcome::kDuplicate : Outcome::kRefused, code}];
}

Status AccountBook::Save(AccountTable& table) const {
  for (const auto& [what, amount] : unsaved_) {
    const auto& [kind, outcome, code] = what;
    RETURN_IF_ERROR(table.Add(kind, outcome, code, amount));
  }
  return {};
}

}  // namespace tributary
