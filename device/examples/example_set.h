#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/plan/dtype.h"

namespace tributary {

// One named tensor of an example. At most one dimension is -1: its length varies from example to example.
struct ExampleField {
  std::string name;  // [a-z0-9_.-], at most 64 characters
  DType dtype = DType::kFp32;
  std::vector<int64_t> shape;  // of one example; empty: a number

  bool varies() const;
  // Elements of an example; where a dimension varies, for each unit of its length.
  uint64_t elements() const;
  bool operator==(const ExampleField&) const = default;
};
// kInvalidArgument: name, rank over 7, a dimension below 1 but -1, two that vary. kTooLarge: over 2^31 elements.
Status CheckExampleField(const ExampleField& field);

// The values of one field, example after example.
struct ExampleColumn {
  ExampleField field;
  Bytes values;
  // Of a field that varies only: how many elements there are up to the end of each example.
  std::vector<uint64_t> ends = {};

  // The bytes of one example, and their elements.
  ByteView At(size_t example) const;
  uint64_t ElementsAt(size_t example) const;
};

// Examples as named tensors. Immutable once built and shared by every virtual device of a process, so that a fleet holds
// the data once.
struct ExampleSet {
  std::vector<ExampleColumn> columns;
  size_t count = 0;

  size_t size() const { return count; }
  const ExampleColumn* Find(std::string_view field) const;  // nullptr: there is no such field
};
// Whether every column holds `count` examples. kMalformed names the column.
Status CheckExampleSet(const ExampleSet& set);

// Some examples of a set, in an order. Value type, cheap to copy next to the data.
struct Examples {
  std::shared_ptr<const ExampleSet> set;
  std::vector<uint32_t> indices;

  static Examples All(std::shared_ptr<const ExampleSet> set);
  size_t size() const { return indices.size(); }
};

// The examples that a device has for one task.
struct TaskExamples {
  Examples training;
  Examples held_out;
};

}  // namespace tributary
