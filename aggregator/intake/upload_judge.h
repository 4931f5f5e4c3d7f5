#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// Reads ciphertext chunk `index` of a whole upload.
using ChunkSource = std::function<Result<Bytes>(uint32_t index)>;

// A judge's answer about an upload. A refusal converts from Fail, so RETURN_IF_ERROR and ASSIGN_OR_RETURN work in a
// function that gives a verdict. Value type.
class Verdict {
 public:
  enum class Kind : uint8_t {
    kTake,     // of an offer: it is wanted; of a whole upload: it is taken in now
    kInSum,    // it was taken in before and is not on disk yet; custody follows
    kCounted,  // it, or the contribution it would make, is counted for good: its sender may delete it
    kRefused,  // error() says why
  };
  static Verdict Take() { return Verdict(Kind::kTake); }
  static Verdict InSum() { return Verdict(Kind::kInSum); }
  static Verdict Counted() { return Verdict(Kind::kCounted); }
  // NOLINTNEXTLINE(google-explicit-constructor): as a Result converts from it
  Verdict(tl::unexpected<Error> refusal) : kind_(Kind::kRefused), error_(std::move(refusal.value())) {}

  Kind kind() const { return kind_; }
  bool is_take() const { return kind_ == Kind::kTake; }
  // Only for kRefused.
  const Error& error() const {
    TRIBUTARY_CHECK(error_) << "verdict " << static_cast<int>(kind_) << " is no refusal";
    return *error_;
  }

 private:
  explicit Verdict(Kind kind) : kind_(kind) {}
  Kind kind_;
  std::optional<Error> error_;
};

// The receiver asks it about every upload. Every call is made on the core thread.
class UploadJudge {
 public:
  virtual ~UploadJudge() = default;
  // Would this upload be of use? Counts nothing. Refuses with kUnknownKind, kUnknownTask, kUnknownVersion,
  // kStaleVersion, kRoundClosed, kUnknownKey, kTooLarge, or what the disk says.
  virtual Verdict Admit(const UploadHeader& header) = 0;
  // A complete upload whose signature and ciphertext digest have been verified: asks Admit again, then opens, checks
  // and counts it. `role` is the sender's, from its certificate. Counts duplicates, and refusals of the kind kPeer by
  // reason; the upload is then done with. After a refusal that passes, or one of the environment, the upload may be
  // offered again. Custody of an update
  // that is taken follows later, possibly much later; custody of other kinds comes before the return.
  virtual Verdict Contribute(const UploadHeader& header, Role role, const ChunkSource& chunk) = 0;
  // An upload was refused before it reached Contribute (bad signature, or what Admit said). kDuplicate: it is
  // counted already. Only codes of the kind kPeer count.
  virtual void CountRefusal(UploadKind kind, const std::optional<UploadSubject>& subject, Code code) = 0;
};

}  // namespace tributary
