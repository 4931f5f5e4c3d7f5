#pragma once

#include <memory>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"

namespace tributary {

// SHA-256 (FIPS 180-4) of one buffer.
Digest Sha256(ByteView bytes);

// SHA-256 of bytes that arrive in parts: Update any number of times, Finish once. Resource type, not thread safe.
class Sha256Stream {
 public:
  Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;
  ~Sha256Stream();
  void Update(ByteView bytes);
  Digest Finish() &&;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tributary
