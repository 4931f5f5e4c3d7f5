#include "protocol/envelope/envelope.h"
#include "tests/fuzz/fixed_fleet.h"
#include "tests/fuzz/fuzz_target.h"

// An envelope that has the right form travels on as it came, and whoever verifies is its device.
TRIBUTARY_FUZZ_TARGET(envelope) {
  using namespace tributary;
  const ByteView input(data, size);
  const auto envelope = ParseEnvelope(input);
  if (!envelope) return 0;
  TRIBUTARY_CHECK(envelope->bytes == ToBytes(input)) << "the bytes that travel on are others";
  uint64_t ciphertext = 0;
  for (uint32_t i = 0; i < envelope->header.subject.chunk_count && i < 1'000; ++i) {
    ciphertext += envelope->header.ciphertext_chunk_size(i);
  }
  TRIBUTARY_CHECK(ciphertext <= envelope->header.ciphertext_size) << ciphertext;
  const auto author = VerifyEnvelope(*envelope, FixedAnchor(), kFixedTime);
  TRIBUTARY_CHECK(!author || author->subject.id == envelope->header.subject.device) << "somebody else's";
  return 0;
}
