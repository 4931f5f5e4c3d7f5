#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

enum class IdKind : uint8_t { kDevice, kTask, kUpload, kDigest, kKey };
// As messages call them.
inline constexpr std::string_view kIdNames[] = {"device id", "task id", "upload id", "digest", "key id"};

// A name given by people or derived from one: 1 to 64 characters of [a-z0-9._-], beginning with a letter or digit, so
// that it can stand in a path, a URL, a metric label and a certificate as it is. Distinct types, so that one cannot
// stand in for another.
template <IdKind kKind>
class Name64 {
 public:
  Name64() = default;
  // kMalformed: empty, too long, or a character outside the set.
  static Result<Name64> Parse(std::string_view text);
  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Name64&) const = default;

 private:
  std::string text_;
};

Status CheckName(std::string_view text, std::string_view what);

template <IdKind kKind>
Result<Name64<kKind>> Name64<kKind>::Parse(std::string_view text) {
  RETURN_IF_ERROR(CheckName(text, kIdNames[static_cast<size_t>(kKind)]));
  Name64 name;
  name.text_ = text;
  return name;
}

// Exactly N bytes, compared as bytes, written as hexadecimal.
template <IdKind kKind, size_t N>
class FixedId {
 public:
  static constexpr size_t kSize = N;
  FixedId() = default;
  explicit FixedId(const std::array<uint8_t, N>& bytes) : bytes_(bytes) {}
  // kMalformed: not N bytes.
  static Result<FixedId> FromBytes(ByteView bytes) {
    if (bytes.size() != N) return Fail(Code::kMalformed, "{} is not {} bytes", kIdNames[static_cast<size_t>(kKind)], N);
    FixedId id;
    std::memcpy(id.bytes_.data(), bytes.data(), N);
    return id;
  }
  static Result<FixedId> FromHex(std::string_view text) {
    ASSIGN_OR_RETURN(Bytes bytes, tributary::FromHex(text));
    return FromBytes(bytes);
  }
  ByteView view() const { return bytes_; }
  MutableByteView mutable_view() { return bytes_; }
  std::string hex() const { return ToHex(bytes_); }
  auto operator<=>(const FixedId&) const = default;

 private:
  std::array<uint8_t, N> bytes_{};
};

// A member of the tree: device, evaluator, gateway or aggregator. Unique within the fleet, fixed by its certificate.
using DeviceId = Name64<IdKind::kDevice>;
using TaskId = Name64<IdKind::kTask>;
// 16 random bytes, fixed before the first byte is sent.
using UploadId = FixedId<IdKind::kUpload, 16>;
// SHA-256.
using Digest = FixedId<IdKind::kDigest, 32>;
// The first 8 bytes of the SHA-256 of a public key.
using KeyId = FixedId<IdKind::kKey, 8>;

// The number of a model version of a task: 1, 2, 3 …; 0 is "none".
enum class ModelVersion : uint64_t {};
inline uint64_t Number(ModelVersion version) { return static_cast<uint64_t>(version); }
inline ModelVersion Next(ModelVersion version) { return ModelVersion{Number(version) + 1}; }

struct IdHash {
  template <IdKind kKind>
  size_t operator()(const Name64<kKind>& name) const {
    return std::hash<std::string>()(name.text());
  }
  // The bytes are random or a digest, so any eight of them are a hash.
  template <IdKind kKind, size_t N>
  size_t operator()(const FixedId<kKind, N>& id) const {
    size_t hash;
    std::memcpy(&hash, id.view().data(), sizeof(hash));
    return hash;
  }
};

}  // namespace tributary
