#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "device/examples/example_set.h"
#include "protocol/base/clock.h"

namespace tributary {

// How long examples are kept; 0: without such a bound. The oldest go first.
struct Retention {
  uint64_t max_age_seconds = 0;
  uint64_t max_count = 0;
  uint64_t max_bytes = 0;  // of values
  bool operator==(const Retention&) const = default;
};

// A collection as its maker describes it.
struct CollectionSettings {
  std::string name;  // [a-z0-9_.-], at most 64 characters
  std::vector<ExampleField> fields = {};
  std::string purpose = {};  // for people: what the examples may be used for
  Retention retention = {};
  double held_out_share = 0.1;  // of the examples, kept back for evaluation
};

// One example for a collection.
struct NewExample {
  std::string id = {};     // unique in the collection; empty: one is made
  std::string group = {};  // of examples that are erased together: a user, a session; may be empty
  Bytes values = {};       // of the fields in the order of the schema, one after another, little endian
  // The elements of each field that varies, in the order of the schema.
  std::vector<uint32_t> lengths = {};
};

// The most bytes of an example's values, its id and its group.
inline constexpr size_t kExampleBytes = size_t{64} << 20;
inline constexpr size_t kExampleNameBytes = 256;

struct CollectionInfo {
  CollectionSettings settings;
  WallTime created;
  uint64_t examples = 0;
  uint64_t bytes = 0;  // of values
};

// The values of one field over all examples.
struct FieldSummary {
  uint64_t values = 0;
  double least = 0;
  double most = 0;
  uint64_t shortest = 0;  // elements of an example
  uint64_t longest = 0;
  // Of a field that is one whole number, as long as it has at most 64 different ones: how many examples have each.
  std::map<int64_t, uint64_t> labels;
  std::map<int64_t, std::string> names;  // of the labels, where they were imported as text
};

struct CollectionSummary {
  CollectionInfo info;
  uint64_t training = 0;
  uint64_t held_out = 0;
  std::optional<WallTime> oldest;
  std::vector<FieldSummary> fields;  // as info.settings.fields
};

}  // namespace tributary
