#include <cstdio>

#include "protocol/trust/seal/hpke.h"

// Seals one message to a key of its own, and holds nothing that could open it.
int main() {
  using namespace tributary;
  const HpkeKeyPair recipient = GenerateHpkeKeyPair();
  auto sealer = HpkeSealer::ToRecipient(kDefaultAead, recipient.public_key, AsBytes("info"));
  if (!sealer) return 1;
  std::printf("%zu\n", sealer->Seal({}, AsBytes("text")).size());
  return 0;
}
