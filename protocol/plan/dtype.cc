#include "protocol/plan/dtype.h"

#include <array>

namespace tributary {
namespace {

struct Entry {
  std::string_view name;
  size_t size;
};
constexpr auto kEntries = std::to_array<Entry>({
    {"BOOL", 1}, {"UINT8", 1}, {"INT8", 1}, {"INT16", 2}, {"INT32", 4}, {"INT64", 8}, {"FP32", 4}, {"FP64", 8}});

}  // namespace

std::string_view DTypeName(DType dtype) { return kEntries[static_cast<size_t>(dtype)].name; }

size_t SizeOf(DType dtype) { return kEntries[static_cast<size_t>(dtype)].size; }

Result<DType> DTypeByName(std::string_view name) {
  std::string names;
  for (size_t i = 0; i < kEntries.size(); ++i) {
    if (kEntries[i].name == name) return static_cast<DType>(i);
    names += (i == 0 ? "" : ", ") + std::string(kEntries[i].name);
  }
  return Fail(Code::kInvalidArgument, "'{}' is no element type; there are {}", name.substr(0, 32), names);
}

}  // namespace tributary
