#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/examples/collection.h"
#include "device/sdk/include/tributary/tributary.h"

// What a C program hands over, read and checked before anything else sees it. Errors: kInvalidArgument names the argument;
// no sentence has a value of an example.
namespace tributary {

// A copy of the struct that `given` points to, of an older or a newer program: what the program does not know is 0, and
// what this library does not know must be 0.
template <class T>
Result<T> TakeStruct(const T* given, std::string_view what) {
  constexpr size_t kLargest = 4'096;  // more is not a size, but what lay in memory
  if (!given) return Fail(Code::kInvalidArgument, "{} is NULL", what);
  const size_t size = given->struct_size;
  if (size < sizeof(given->struct_size) || size > kLargest || size % alignof(T) != 0) {
    return Fail(Code::kInvalidArgument,
                "struct_size of {} is {}: set every byte of it to 0 and struct_size to sizeof, {} in this version", what,
                size, sizeof(T));
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  if (std::any_of(bytes + std::min(size, sizeof(T)), bytes + size, [](unsigned char byte) { return byte != 0; })) {
    return Fail(Code::kInvalidArgument,
                "{} asks for something that this version, {}, does not know: it knows the first {} bytes, and the others are "
                "not 0; use a newer library, or leave them at 0",
                what, tributary_version(), sizeof(T));
  }
  T taken{};
  std::memcpy(static_cast<void*>(&taken), given, std::min(size, sizeof(T)));
  return taken;
}

Result<std::string> TakeText(const char* text, std::string_view what);
// NULL is the empty text.
Result<std::string> TakeTextIfAny(const char* text, std::string_view what);
// NULL is allowed when count is 0.
template <class T>
Result<std::span<const T>> TakeList(const T* first, size_t count, std::string_view what) {
  if (!first && count > 0) return Fail(Code::kInvalidArgument, "{} is NULL, and its count is {}", what, count);
  return std::span<const T>(first, count);
}

Result<std::vector<ExampleField>> TakeFields(const tributary_field* fields, size_t count);
double HeldOutShareOf(double given);
Result<CollectionSettings> TakeCollection(const tributary_collection* given);

// An example for these fields. Errors beside: kMissingField, kBadExample, kTooLarge.
Result<NewExample> TakeExample(std::span<const ExampleField> fields, const tributary_example* given);

// The columns of a request: tensors of which the first dimension is the batch. Errors beside: kBadExample, kTooLarge.
Result<ExampleSet> TakeRequest(const tributary_tensor* tensors, size_t count);

}  // namespace tributary
