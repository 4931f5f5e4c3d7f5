#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/envelope/open_upload.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/test_fleet.h"

namespace {

using namespace tributary;

// The next part of the input: its length in 32 bits, little endian, then so many bytes, or what is left of them.
ByteView Take(ByteView& input) {
  if (input.size() < 4) return {};
  const size_t size = input[0] | input[1] << 8 | input[2] << 16 | static_cast<size_t>(input[3]) << 24;
  const ByteView part = input.subspan(4, std::min(size, input.size() - 4));
  input = input.subspan(4 + part.size());
  return part;
}

}  // namespace

// An envelope and then chunks, to the key that the seeds are sealed to. Everything that was sealed to it is a run of
// kSealedByte: nobody makes it open to anything else, to more than the header says, or in another order.
TRIBUTARY_FUZZ_TARGET(chunk) {
  constexpr uint8_t kSealedByte = 0x11;
  static const TestFleet fleet;
  ByteView input(data, size);
  const auto envelope = ParseEnvelope(Take(input));
  if (!envelope) return 0;
  const UploadSubject& subject = envelope->header.subject;
  auto opener = UploadOpener::Begin(envelope->header, fleet.sealing_key());
  if (!opener || subject.chunk_size > limits::kMiB) return 0;
  Bytes out(subject.chunk_size);
  uint64_t opened = 0;
  while (!input.empty()) {
    const size_t before = input.size();
    const auto plain = opener->OpenChunk(Take(input), out);
    if (input.size() == before) break;
    if (!plain) continue;
    TRIBUTARY_CHECK(*plain <= out.size()) << *plain << " bytes of a chunk";
    const auto end = out.begin() + static_cast<std::ptrdiff_t>(*plain);
    TRIBUTARY_CHECK(std::all_of(out.begin(), end, [](uint8_t byte) { return byte == kSealedByte; })) << "forged";
    opened += *plain;
  }
  TRIBUTARY_CHECK(opened <= subject.plaintext_size) << opened << " of " << subject.plaintext_size;
  return 0;
}
