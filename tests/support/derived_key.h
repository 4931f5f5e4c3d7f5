#pragma once

#include "protocol/trust/seal/key_schedule.h"

namespace tributary {

// DeriveKeyPair of RFC 9180 section 7.1.3: a pair that is the same each time. `ikm`: at least 32 bytes.
inline Result<HpkeKeyPair> DeriveHpkeKeyPair(ByteView ikm) {
  if (ikm.size() < kX25519Bytes) {
    return Fail(Code::kInvalidArgument, "keying material of {} bytes; at least 32 are needed", ikm.size());
  }
  const SecretBytes prk = LabeledExtract(KemSuite(), {}, "dkp_prk", ikm);
  return HpkeKeyPairFromSecret(LabeledExpand(KemSuite(), prk, "sk", {}, kX25519Bytes));
}

}  // namespace tributary
