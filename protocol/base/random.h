#pragma once

#include "protocol/base/bytes.h"

namespace tributary {

// Where unpredictable bytes come in (ids, nonces, jitter). Keys are made inside protocol/trust/seal, which has its own
// source.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(MutableByteView out) = 0;
};

// The kernel's generator. Thread safe.
class SystemRandom final : public Random {
 public:
  void Fill(MutableByteView out) override;
};

// Uniform in [0, 1).
double UniformUnit(Random& random);

}  // namespace tributary
