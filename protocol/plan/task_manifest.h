#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/plan/dtype.h"

namespace tributary {

// How the values of a field become the values that the module gets: (value - mean) / std.
struct Scaling {
  enum class Kind : uint8_t {
    kNone,
    kConstant,        // mean and std stand in the manifest
    kDeviceStandard,  // mean and std of the device's own training examples, element by element; they stay there
  };
  Kind kind = Kind::kNone;
  double mean = 0;
  double std = 1;
  bool operator==(const Scaling&) const = default;
};

// A tensor that the module's methods take, by the name of their argument.
struct TaskInput {
  enum class Role : uint8_t { kFeature, kTarget, kWeight };
  std::string name;
  DType dtype = DType::kFp32;
  // As the module gets it: the first dimension is the batch and -1. One other dimension may be -1: its length varies from
  // example to example, and shorter ones are filled up with `pad` to the longest of the batch. Empty: as the field has it.
  std::vector<int64_t> shape;
  Role role = Role::kFeature;
  std::string field;  // of the device's examples
  Scaling scaling;
  double pad = 0;
  // The texts that the field may have, by their number: a device that imported texts numbers them by this list. For a target
  // the manifest's classes are the list. Inputs of one field have the same.
  std::vector<std::string> categories;
  bool operator==(const TaskInput&) const = default;
};

// A tensor that forward returns: by its key in a dictionary, else by its place in a tuple. -1 in the shape is any length;
// an empty shape is not checked.
struct TaskOutput {
  std::string name;
  DType dtype = DType::kFp32;
  std::vector<int64_t> shape;
  bool operator==(const TaskOutput&) const = default;
};

// What a device learns with: the module of the task, or a program that the device has (learner.command).
enum class ModuleFormat : uint8_t { kTorchScript, kNone };

enum class MetricDirection : uint8_t { kSmaller, kLarger };

// The declaration of a module by its data scientist: the file tributary.json inside its TorchScript archive. Everybody reads it
// there or as the text that the publication carries, and never changes it. Value type. An example:
//   {"format": "tributary-task-1",
//    "collection": "weather", "min_examples": 48,
//    "inputs": [{"name": "window", "dtype": "FP32", "shape": [-1, 24], "scale": {"kind": "constant", "mean": 10, "std": 8}},
//               {"name": "future", "dtype": "FP32", "shape": [-1, 4], "role": "target"}],
//    "outputs": [{"name": "output", "dtype": "FP32", "shape": [-1, 4]}],
//    "tensors": {"frozen": ["base.*"]},
//    "metrics": {"mae": "smaller"}}
struct TaskManifest {
  ModuleFormat module = ModuleFormat::kTorchScript;
  std::string collection = "examples";  // of the device, that holds the examples
  uint64_t min_examples = 1;            // of the training share; with fewer a device does not take part
  std::vector<TaskInput> inputs;
  std::vector<TaskOutput> outputs;
  std::vector<std::string> classes;  // of a classifier, by the number of the label, and its text; empty: not said
  // Tensors by name; '*' stands for any characters. Frozen ones are not trained and stay in the module: they do not travel
  // up. Personal and local ones are kept by the device.
  std::vector<std::string> frozen, personal, local;
  std::map<std::string, MetricDirection> metrics;
  // One batch for the trial, as JSON text: {"inputs": {name: nested lists}, "outputs": {…}, "tolerance": 1e-5}. Empty:
  // the trial makes one.
  std::string golden;
  std::string description;
  std::string license;
  bool operator==(const TaskManifest&) const = default;

  const TaskInput* Find(std::string_view input) const;
};

// The name of the file inside an archive, and the most bytes that it may have.
inline constexpr std::string_view kManifestFile = "tributary.json";
inline constexpr size_t kManifestBytes = 64 * 1024;

// kInvalidArgument: not such a JSON object, a key that is not known (the message names it and where it stands), a name
// that stands twice, a value out of bounds. kTooLarge: over kManifestBytes, or too many inputs, outputs or patterns.
Result<TaskManifest> ParseTaskManifest(std::string_view text);
// The one text of a manifest, in which every value stands that is not the default.
std::string TaskManifestText(const TaskManifest& manifest);

// The manifest of a module that has none: forward's one argument, whatever its name, is an image of bytes scaled to 0..1,
// and the label stands beside it. Files of before there were manifests are trained by it.
TaskManifest ManifestOfImages();
// As the publication and a package carry it: empty for ManifestOfImages().
std::string CarriedText(const TaskManifest& manifest);
// Errors: those of ParseTaskManifest.
Result<TaskManifest> FromCarriedText(std::string_view text);

// "*" stands for any characters, also none.
bool MatchesPattern(std::string_view pattern, std::string_view name);

}  // namespace tributary
