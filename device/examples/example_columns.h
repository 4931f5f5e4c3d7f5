#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "device/examples/example_content.h"

namespace tributary {

// Makes columns of examples that come one by one. Call order: Measure for each when a wanted field varies; Reserve; Add
// for each; Renumber any number of times; Finish. With it the values are in memory once, and are not moved as they grow.
class ExampleColumns {
 public:
  // `wanted`: the names of the fields that become columns; all of them are among `fields`.
  ExampleColumns(std::vector<ExampleField> fields, std::span<const std::string> wanted);

  bool varies() const;
  // Of an example, how many bytes at its beginning Measure needs.
  size_t length_bytes() const;
  Status Measure(ByteView beginning);
  // No more memory than `most_bytes` for the values of a field.
  void Reserve(uint64_t examples, uint64_t most_bytes);
  // kCorrupt: the content is not of these fields.
  Status Add(bool held_out, ByteView content);
  // Gives each value of a field of whole numbers, which is among the wanted ones, another number. The first error of
  // `number` ends it.
  Status Renumber(const std::string& field, const std::function<Result<int64_t>(int64_t)>& number);
  TaskExamples Finish() &&;

 private:
  std::vector<ExampleField> fields_;
  std::vector<size_t> wanted_;      // places in fields_
  std::vector<uint64_t> elements_;  // of each field that varies, as measured
  ExampleSet set_;
  TaskExamples shares_;
  std::vector<ContentPart> parts_;
};

}  // namespace tributary
