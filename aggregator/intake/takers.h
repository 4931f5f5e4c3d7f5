#pragma once

#include <functional>
#include <map>
#include <utility>

#include "aggregator/intake/account_book.h"
#include "aggregator/intake/upload_judge.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary {

// Takes in the uploads of one kind. A new kind of upload is one new taker and one line where core.cc registers them.
// Every call is made on the core thread.
class Taker {
 public:
  virtual ~Taker() = default;
  // As UploadJudge::Admit.
  virtual Verdict Admit(const UploadHeader& header) = 0;
  // A whole upload that Admit has just agreed to: opens, checks and keeps it. Writes what it delivers to the account,
  // and gives custody when the upload is durable. Never gives kInSum.
  virtual Verdict Take(const UploadHeader& header, Role role, const ChunkSource& chunk) = 0;
  // An upload of this kind was refused for good, or was counted already (kDuplicate). The account has it. `bytes` of
  // its ciphertext came: all, or 0 for one that was refused at its offer.
  virtual void OnRefused(const UploadSubject& /*subject*/, Code /*code*/, uint64_t /*bytes*/) {}
};

// The judge: a table of takers by kind, and the account of what became of the uploads. Borrows takers and account; the
// core thread.
class Takers final : public UploadJudge {
 public:
  using Table = std::map<UploadKind, Taker*>;
  Takers(AccountBook& accounts, Table takers) : accounts_(accounts), takers_(std::move(takers)) {}

  Verdict Admit(const UploadHeader& header) override;
  Verdict Contribute(const UploadHeader& header, Role role, const ChunkSource& chunk) override;
  void CountRefusal(UploadKind kind, const std::optional<UploadSubject>& subject, Code code) override {
    Count(kind, subject ? &*subject : nullptr, code, 0);
  }

 private:
  Taker* Of(UploadKind kind) const;  // null: not taken
  void Count(UploadKind kind, const UploadSubject* subject, Code code, uint64_t bytes);

  AccountBook& accounts_;
  Table takers_;
};

// Finds the pair that opens what is sealed to the key of that id; null: there is none, or it is over by now.
using FindOpeningKey = std::function<const HpkeKeyPair*(const KeyId& id)>;
// kUnknownKey: nobody can open it any more.
Result<const HpkeKeyPair*> OpeningKey(const FindOpeningKey& find, const UploadSubject& subject);
// kWrongRole: uploads of this kind come from devices, and from evaluators when `or_evaluator` says so.
Status CheckSender(UploadKind kind, Role role, bool or_evaluator);

}  // namespace tributary
