#pragma once

#include <memory>

#include "protocol/base/bytes.h"

namespace tributary {

// The key stream of AES-256 in counter mode (NIST SP 800-38A) from counter 0, bit for bit the same everywhere: fast
// bytes that look random to whoever lacks the seed, and that two ends with one seed share. Resource type, not thread
// safe.
class KeyStream {
 public:
  static constexpr size_t kSeedBytes = 32;

  // `seed` is the key and has kSeedBytes bytes.
  explicit KeyStream(ByteView seed);
  KeyStream(KeyStream&&) noexcept;
  KeyStream& operator=(KeyStream&&) noexcept;
  ~KeyStream();

  // The stream's next bytes.
  void Fill(MutableByteView out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tributary
