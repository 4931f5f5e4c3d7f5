#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/base/result.h"

namespace tributary {

// The type of a tensor's elements, by the names of the Open Inference Protocol. Little endian; a bool is one byte, 0 or 1.
enum class DType : uint8_t { kBool, kUint8, kInt8, kInt16, kInt32, kInt64, kFp32, kFp64 };

std::string_view DTypeName(DType dtype);  // "BOOL", "UINT8", … "FP32", "FP64"
size_t SizeOf(DType dtype);               // bytes of one element
// kInvalidArgument lists the names.
Result<DType> DTypeByName(std::string_view name);

}  // namespace tributary
