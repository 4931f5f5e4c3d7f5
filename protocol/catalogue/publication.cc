#include "protocol/catalogue/publication.h"

#include "protocol/trust/seal/digest.h"

namespace tributary {

bool IsSelected(const RoundAnnouncement& round, const DeviceId& device) {
  Bytes message = ToBytes(round.nonce);
  Append(message, AsBytes(device.text()));
  const Digest digest = Sha256(message);
  ByteView front = digest.view();
  const uint64_t first8 = TakeU64(front).value();
  // 53 bits are what a double holds exactly; with all 64 the largest would round up to 1 and never be in.
  return static_cast<double>(first8 >> 11) * 0x1.0p-53 < round.inclusion;
}

}  // namespace tributary
