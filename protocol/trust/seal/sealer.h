#pragma once

#include <memory>

#include "protocol/trust/seal/hpke.h"

namespace tributary {

// Seals a sequence of messages to one recipient: message i may only be opened as the i-th. Resource type, not thread
// safe; one context per payload. It does not authenticate the sender (base mode): the envelope's signature does that.
class HpkeSealer {
 public:
  // Sets up a fresh context with an ephemeral key of its own. `info` is bound into the key schedule.
  // kInvalidArgument: the public key is not a point of the curve's full order.
  static Result<HpkeSealer> ToRecipient(HpkeAead aead, ByteView recipient_public_key, ByteView info);
  // The same with a given ephemeral pair: for known-answer tests only, since a pair used twice reveals both payloads.
  static Result<HpkeSealer> ToRecipientWithEphemeral(HpkeAead aead, ByteView recipient_public_key, ByteView info,
                                                     const HpkeKeyPair& ephemeral);
  HpkeSealer(HpkeSealer&&) noexcept;
  HpkeSealer& operator=(HpkeSealer&&) noexcept;
  ~HpkeSealer();

  // 32 bytes, `enc` of the RFC: travels with the payload.
  ByteView encapsulated_key() const;
  // Ciphertext and its 16-byte tag. `associated_data` is authenticated, not hidden, and required.
  Bytes Seal(ByteView associated_data, ByteView plaintext);

 private:
  struct State;
  explicit HpkeSealer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tributary
