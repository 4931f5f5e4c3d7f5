#pragma once

#include "protocol/trust/seal/signing.h"

namespace tributary {

// A new key that lives and dies in memory.
class MemorySigner final : public Signer {
 public:
  const Bytes& public_key() const override { return public_key_; }
  Result<Bytes> Sign(ByteView message) const override { return key_.Sign(message); }
  SecretBytes ToPem() const { return key_.ToPem(); }

 private:
  SigningKey key_ = SigningKey::Generate();
  Bytes public_key_ = key_.public_key();
};

}  // namespace tributary
