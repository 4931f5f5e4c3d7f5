#pragma once

#include <memory>

#include "protocol/trust/seal/hpke.h"

// The opening half: only an aggregator includes this file, and a test reads the gateway's program for its symbols.
namespace tributary {

// The recipient's side of one HpkeSealer. Resource type, not thread safe.
class HpkeOpener {
 public:
  // kMalformed: `encapsulated_key` is not 32 bytes or is a low-order point. kInvalidArgument: a key of another size. A
  // public key that is not the secret's gives an opener that opens nothing.
  static Result<HpkeOpener> FromSender(HpkeAead aead, const HpkeKeyPair& recipient, ByteView encapsulated_key,
                                       ByteView info);
  HpkeOpener(HpkeOpener&&) noexcept;
  HpkeOpener& operator=(HpkeOpener&&) noexcept;
  ~HpkeOpener();

  // Opens the next message into `out`, which must have ciphertext.size() - 16 bytes (it may not overlap the
  // ciphertext). kSealBroken: altered, out of order, other associated data or another key; the sequence number is then
  // not consumed, and `out` is wiped.
  Status OpenInto(ByteView associated_data, ByteView ciphertext, MutableByteView out);
  Result<Bytes> Open(ByteView associated_data, ByteView ciphertext);

 private:
  struct State;
  explicit HpkeOpener(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tributary
