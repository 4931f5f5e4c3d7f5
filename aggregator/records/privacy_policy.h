#pragma once

#include <cstdint>
#include <vector>

#include "aggregator/privacy/spend.h"
#include "protocol/base/field.h"

namespace tributary {

// Central differential privacy of a task's versions: no device's updates show in all of them together but with (epsilon,
// delta). The aggregator itself is trusted. The clip of an update is the task's bounds.first_norm. Value type with a
// table of its fields.
struct PrivacyPolicy {
  double epsilon = 0;  // 0: the task has no differential privacy, and the rest says nothing
  double delta = 1e-6;
  Accounting accounting = Accounting::kParticipations;
  double noise = 0;
  uint64_t rounds = 100;
  uint64_t participations = 0;
  uint64_t separation = 1;
  uint32_t denominator = 0;
  bool accept_noise = false;

  bool is_on() const { return epsilon > 0; }
  bool operator==(const PrivacyPolicy&) const = default;
};
std::vector<Field> FieldsOf(PrivacyPolicy& policy);

// The noise of one sum. A sum begins with its noise and is nowhere without it.
struct NoiseDraw {
  uint64_t number = 0;  // 1, 2, 3 … within the task; 0: there is none
  uint64_t run = 0;     // with correlated noise: the first draw of the run that it belongs to
  Digest noise{};       // of the noise's file (noise_store.h)
  bool operator==(const NoiseDraw&) const = default;
};

// The epsilon that a task had spent when it made a version.
struct SpentPrivacy {
  double epsilon = 0;
  LedgerPosition ledger;
};

}  // namespace tributary
