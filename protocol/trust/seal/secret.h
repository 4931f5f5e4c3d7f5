#pragma once

#include <cstddef>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

// Bytes that must not leak: wiped when destroyed or moved from, not copyable, not printable, not convertible to a log
// field. The only way in or out is named `Reveal…`, so that every access can be searched for. Resource type, not thread
// safe.
class SecretBytes {
 public:
  SecretBytes() = default;
  // Takes the bytes over; nothing of them stays behind in the argument.
  explicit SecretBytes(Bytes&& bytes) noexcept : bytes_(std::move(bytes)) { bytes.clear(); }
  explicit SecretBytes(size_t size) : bytes_(size) {}
  static SecretBytes CopyOf(ByteView bytes) { return SecretBytes(ToBytes(bytes)); }
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) { other.bytes_.clear(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  ByteView RevealForUse() const { return bytes_; }
  MutableByteView RevealForFilling() { return bytes_; }

 private:
  Bytes bytes_;
};

// Compares without telling by its duration where the first difference is. Different sizes compare unequal at once.
bool EqualInConstantTime(ByteView a, ByteView b);

// Raw keys stand in a file as one line of lower-case hexadecimal. No copy of the secret stays behind in other memory.
SecretBytes ToHexLine(const SecretBytes& secret);
// `text` may end in line ends and blanks. kMalformed: not exactly `size` bytes in hexadecimal.
Result<SecretBytes> FromHexLine(const SecretBytes& text, size_t size);

}  // namespace tributary
