#include "device/examples/example_content.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "device/examples/field_value.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

template <class T>
bool AllFinite(ByteView values) {
  for (size_t at = 0; at < values.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, &values[at], sizeof(value));
    if (!std::isfinite(value)) return false;
  }
  return true;
}

bool AreValues(DType dtype, ByteView values) {
  if (dtype == DType::kBool) return std::ranges::all_of(values, [](uint8_t value) { return value <= 1; });
  if (dtype == DType::kFp32) return AllFinite<float>(values);
  return dtype != DType::kFp64 || AllFinite<double>(values);
}

}  // namespace

Bytes EncodeContent(const NewExample& example) {
  Bytes content;
  content.reserve(4 * example.lengths.size() + example.values.size());
  for (const uint32_t length : example.lengths) AppendU32(content, length);
  Append(content, example.values);
  return content;
}

Status CheckNewExample(std::span<const ExampleField> fields, const NewExample& example) {
  if (example.id.starts_with('#')) {
    return Fail(Code::kInvalidArgument, "the id '{}' begins with '#', as only those that are made; choose another",
                example.id.substr(0, 40));
  }
  if (example.id.size() > kExampleNameBytes || example.group.size() > kExampleNameBytes)
    return Fail(Code::kInvalidArgument, "an id or a group has over {} bytes", kExampleNameBytes);
  if (example.values.size() > kExampleBytes) {
    return Fail(Code::kTooLarge, "an example has {} bytes, at most {} are taken", example.values.size(), kExampleBytes);
  }
  uint64_t bytes = 0;
  size_t varying = 0;
  std::string_view unreal;  // the first field with a value that is no number
  for (const ExampleField& field : fields) {
    uint64_t elements = field.elements();
    if (field.varies()) {
      const uint64_t unit = elements;
      elements = varying < example.lengths.size() ? example.lengths[varying] : 0;
      ++varying;
      if (elements % unit != 0)
        return Fail(Code::kBadExample, "{} has {} values, which are no whole rows", FieldText(field), elements);
    }
    const uint64_t size = elements * SizeOf(field.dtype);
    if (unreal.empty() && size <= example.values.size() && bytes <= example.values.size() - size &&
        !AreValues(field.dtype, ByteView(example.values).subspan(bytes, size))) {
      unreal = field.name;
    }
    bytes += size;
  }
  if (bytes != example.values.size() || varying != example.lengths.size()) {
    return Fail(Code::kBadExample, "an example has {} bytes of values, its fields take {}", example.values.size(),
                bytes);
  }
  if (unreal.empty()) return {};
  return Fail(Code::kBadExample, "the field {} has a value that is no finite number", unreal);
}

Status SplitContent(std::span<const ExampleField> fields, ByteView content, std::vector<ContentPart>& parts) {
  const auto corrupt = [] { return Fail(Code::kCorrupt, "an example is not of its collection's fields"); };
  parts.clear();
  ByteView lengths = content;
  const auto varying = static_cast<size_t>(std::ranges::count_if(fields, &ExampleField::varies));
  if (content.size() < 4 * varying) return corrupt();
  content = content.subspan(4 * varying);
  for (const ExampleField& field : fields) {
    uint64_t elements = field.elements();
    if (field.varies()) {
      ASSIGN_OR_RETURN(const uint32_t length, TakeU32(lengths));
      if (length % elements != 0) return corrupt();
      elements = length;
    }
    const uint64_t bytes = elements * SizeOf(field.dtype);
    if (bytes > content.size()) return corrupt();
    parts.push_back({content.first(bytes), elements});
    content = content.subspan(bytes);
  }
  return content.empty() ? Status() : corrupt();
}

std::string MadeId(ByteView content) { return "#" + Sha256(content).hex().substr(0, 16); }

bool IsHeldOut(const std::string& collection, const std::string& id, double share) {
  const Digest digest = Sha256(AsBytes(fmt::format("tributary held-out/{}/{}", collection, id)));
  ByteView bytes = digest.view();
  // 53 bits stand exactly in a double.
  const double place = static_cast<double>(TakeU64(bytes).value() >> 11) / 9007199254740992.0;
  return place < share;
}

}  // namespace tributary
