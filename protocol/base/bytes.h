#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace tributary {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;
using MutableByteView = std::span<uint8_t>;

inline ByteView AsBytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string_view AsText(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
// The object representation of a float vector: what the weights look like on the wire (IEEE 754, little endian).
inline ByteView AsBytes(std::span<const float> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}
// The other way. kWrongTensorCount: they are not the bytes of `count` values.
Result<std::vector<float>> ToFloats(ByteView bytes, uint64_t count);
inline Bytes ToBytes(ByteView bytes) { return {bytes.begin(), bytes.end()}; }
void Append(Bytes& to, ByteView more);

// Lower-case hexadecimal.
std::string ToHex(ByteView bytes);
// kMalformed: odd length or a character that is not hexadecimal.
Result<Bytes> FromHex(std::string_view text);

// The number that `text` is: decimal digits and nothing else. nullopt for anything else.
std::optional<uint64_t> ToNumber(std::string_view text);

// Fixed-width little-endian integers, appended to or read from the front of a view.
void AppendU32(Bytes& to, uint32_t value);
void AppendU64(Bytes& to, uint64_t value);
// kMalformed: fewer bytes are left than the integer has. On success the view is advanced past it.
Result<uint32_t> TakeU32(ByteView& from);
Result<uint64_t> TakeU64(ByteView& from);
// kMalformed: fewer than `count` bytes are left.
Result<ByteView> TakeBytes(ByteView& from, size_t count);

}  // namespace tributary
