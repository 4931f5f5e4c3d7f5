#include "protocol/schema/canonical.h"

#include <cstring>

namespace tributary::wire {

kj::Array<capnp::word> AlignedCopy(ByteView bytes) {
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), words.asBytes().size());
  return words;
}

capnp::ReaderOptions TightOptions(size_t byte_count) {
  capnp::ReaderOptions options;
  // Every word is read once to check the form and once or twice to take it over. What asks for more points at the same
  // words again and again.
  options.traversalLimitInWords = 4 * (byte_count / sizeof(capnp::word)) + 64;
  options.nestingLimit = 16;
  return options;
}

ByteView View(const kj::Array<capnp::word>& words) {
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.size()};
}

tl::unexpected<Error> FailMalformed(std::string_view what, const kj::Exception& exception) {
  return Fail(Code::kMalformed, "{}: {}", what, exception.getDescription().cStr());
}

Status CheckWholeWords(ByteView bytes, std::string_view what, size_t limit) {
  if (bytes.size() > limit) return Fail(Code::kTooLarge, "{} of {} bytes is over the limit", what, bytes.size());
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0)
    return Fail(Code::kMalformed, "{} of {} bytes is not a whole number of 8-byte words", what, bytes.size());
  return {};
}

}  // namespace tributary::wire
