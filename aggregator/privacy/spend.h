#pragma once

#include <span>
#include <string>
#include <string_view>

#include "aggregator/privacy/renyi.h"
#include "protocol/base/ids.h"

namespace tributary {

// By which theorem a task's rounds are added up.
enum class Accounting : uint8_t {
  // A device is in at most `participations` rounds, which is enforced: the dearest of them compose as Gaussians
  // (ComposedMultiplier). Holds against everybody who knows who was in.
  kParticipations,
  // A run with correlated noise, whose participations and separation are enforced, is one Gaussian (CorrelatedNoise).
  kCorrelated,
  // Every device throws a private coin for every round: PrivacyLossEpsilon, or RenyiEpsilon where that is less.
  kPrivateCoin,
};
inline constexpr std::string_view kAccountingNames[] = {"participations", "correlated", "private-coin"};

// What a task promises, for as long as it lives: no device's data shows in its versions but with (epsilon, delta).
struct PrivacyTerms {
  Accounting accounting = Accounting::kParticipations;
  double epsilon = 0;           // above 0
  double delta = 0;             // at least 10^-12, below 1
  uint64_t participations = 1;  // with kParticipations; else 1

  // kInvalidArgument names the field.
  Status Check() const;
  bool operator==(const PrivacyTerms&) const = default;
};

// Where a ledger ends. It is noted elsewhere (with each version, in the database), so that a ledger that lost its end, or
// was restored from a backup, is found out.
struct LedgerPosition {
  uint64_t sequence = 0;  // of the last line; 0: none is known
  Digest hash{};
  bool operator==(const LedgerPosition&) const = default;
};

// What the noise of one round, or of one run with correlated noise, costs. Multipliers are those of MultiplierOf.
struct Charge {
  enum class Kind : uint8_t {
    kRound,  // `number` is a round's
    kRun,    // `number` is that of a run's first round; its rounds cost nothing more
    kLost,   // `count` rounds that may have been used and that nobody remembers, each with every device in it
  };
  static constexpr std::string_view kKindNames[] = {"round", "run", "lost"};

  Kind kind = Kind::kRound;
  uint64_t number = 0;
  uint64_t count = 1;     // 1 but for kLost
  double multiplier = 0;  // at least 1/32
  double inclusion = 1;   // of the private coin; 1 without one
  Digest noise{};         // of the noise as it is stored

  Status Check() const;
  bool operator==(const Charge&) const = default;
};

// The epsilon at terms.delta of all charges together; 0 when there are none.
double SpentEpsilon(const PrivacyTerms& terms, std::span<const Charge> charges);

}  // namespace tributary
