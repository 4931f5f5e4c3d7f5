#include "protocol/base/bytes.h"

#include <bit>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace tributary {

static_assert(std::endian::native == std::endian::little, "weights travel as their little-endian representation");

namespace {

template <class T>
void AppendLittleEndian(Bytes& to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

template <class T>
Result<T> TakeLittleEndian(ByteView& from) {
  ASSIGN_OR_RETURN(ByteView bytes, TakeBytes(from, sizeof(T)));
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(bytes[i]) << (8 * i);
  return value;
}

}  // namespace

void Append(Bytes& to, ByteView more) { to.insert(to.end(), more.begin(), more.end()); }

Result<std::vector<float>> ToFloats(ByteView bytes, uint64_t count) {
  if (bytes.size() != count * sizeof(float))
    return Fail(Code::kWrongTensorCount, "{} bytes of weights for {} parameters", bytes.size(), count);
  std::vector<float> values(count);
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::string ToHex(ByteView bytes) { return fmt::format("{:02x}", fmt::join(bytes, "")); }

Result<Bytes> FromHex(std::string_view text) {
  if (text.size() % 2 != 0) return Fail(Code::kMalformed, "hexadecimal text of odd length");
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const char* const end = text.data() + i + 2;
    const auto [stop, error] = std::from_chars(end - 2, end, bytes.emplace_back(), 16);
    if (error != std::errc() || stop != end) return Fail(Code::kMalformed, "not hexadecimal at position {}", i);
  }
  return bytes;
}

std::optional<uint64_t> ToNumber(std::string_view text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

void AppendU32(Bytes& to, uint32_t value) { AppendLittleEndian(to, value); }
void AppendU64(Bytes& to, uint64_t value) { AppendLittleEndian(to, value); }
Result<uint32_t> TakeU32(ByteView& from) { return TakeLittleEndian<uint32_t>(from); }
Result<uint64_t> TakeU64(ByteView& from) { return TakeLittleEndian<uint64_t>(from); }

Result<ByteView> TakeBytes(ByteView& from, size_t count) {
  if (from.size() < count) return Fail(Code::kMalformed, "needs {} bytes, has {}", count, from.size());
  ByteView taken = from.first(count);
  from = from.subspan(count);
  return taken;
}

}  // namespace tributary
