#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "device/examples/example_writer.h"
#include "tests/support/must.h"

namespace tributary {

inline constexpr WallTime kCollectionStart{1'700'000'000'000};

// A reading x:FP32[2] and a label y:INT64.
inline CollectionSettings Readings(const std::string& name = "readings", Retention retention = {},
                                   double share = 0.25) {
  return {.name = name,
          .fields = {{"x", DType::kFp32, {2}}, {"y", DType::kInt64, {}}},
          .purpose = "a test",
          .retention = retention,
          .held_out_share = share};
}

inline NewExample Reading(float first, float second, int64_t label, std::string id = "", std::string group = "") {
  NewExample example{.id = std::move(id), .group = std::move(group), .values = Bytes(16)};
  std::memcpy(example.values.data(), &first, 4);
  std::memcpy(example.values.data() + 4, &second, 4);
  std::memcpy(example.values.data() + 8, &label, 8);
  return example;
}

// The values of one field of both shares, in the order of insertion.
template <class T>
std::vector<T> ValuesOf(const TaskExamples& examples, std::string_view field) {
  const ExampleColumn* column = examples.training.set->Find(field);
  TRIBUTARY_CHECK(column != nullptr) << field;
  std::vector<T> values(column->values.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), column->values.data(), column->values.size());
  return values;
}

// The files of a folder that have `bytes` somewhere.
inline std::vector<std::string> FilesWith(const Path& folder, std::string_view bytes) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const Bytes content = Must(ReadFile(RealFileSystem(), entry.path(), 1 << 30));
    if (AsText(content).find(bytes) != std::string_view::npos) found.push_back(entry.path().filename());
  }
  return found;
}

}  // namespace tributary
