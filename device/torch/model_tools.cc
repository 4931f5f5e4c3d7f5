#include "device/torch/model_tools.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "device/examples/idx.h"
#include "device/examples/repeatable_random.h"
#include "device/learn/array_file.h"
#include "device/torch/evaluate.h"
#include "device/torch/pack.h"
#include "device/torch/tool_process.h"
#include "protocol/base/limits.h"
#include "protocol/base/process/daemon.h"
#include "protocol/catalogue/model_package.h"

namespace tributary {
namespace {

constexpr const char* kForward = R"(
def forward(self, x):
    x = torch.relu(torch.conv2d(x, self.conv1.weight, self.conv1.bias, [1, 1], [2, 2]))
    x = torch.max_pool2d(x, [2, 2])
    x = torch.relu(torch.conv2d(x, self.conv2.weight, self.conv2.bias, [1, 1], [2, 2]))
    x = torch.max_pool2d(x, [2, 2])
    x = torch.relu(torch.linear(torch.flatten(x, 1), self.hidden.weight, self.hidden.bias))
    return torch.linear(x, self.output.weight, self.output.bias)
)";

void AddLayer(ModelSource& source, const std::string& name, std::vector<int64_t> shape, RepeatableRandom& random) {
  const int64_t outputs = shape[0];
  int64_t fan_in = 1;
  for (size_t i = 1; i < shape.size(); ++i) fan_in *= shape[i];
  const double bound = std::sqrt(6.0 / static_cast<double>(fan_in));
  std::vector<float> weights(static_cast<size_t>(outputs * fan_in));
  for (float& weight : weights) weight = static_cast<float>((2 * random.Unit() - 1) * bound);
  source.parameters.push_back({name + ".weight", std::move(shape), std::move(weights)});
  source.parameters.push_back({name + ".bias", {outputs}, std::vector<float>(static_cast<size_t>(outputs))});
}

constexpr const char* kManifestKeys = R"(The keys of tributary.json, a JSON object; format and inputs are required:
  format        "tributary-task-1"
  module        "torchscript" (the default); "none" where arrays are packed that tributary.export_arrays wrote in Python
  collection    the device's collection that holds the examples; "examples" by default
  min_examples  with fewer examples to train on a device does not take part
  inputs        a list, one object for each argument of the methods forward, loss and metrics:
    name        the argument's name
    dtype       BOOL, UINT8, INT8, INT16, INT32, INT64, FP32 (the default) or FP64
    shape       with the batch in front as -1, such as [-1, 24]; one more length may be -1, if it varies
    role        feature (the default), target or weight
    field       the field of the device's examples; the same as name by default
    scale       {"kind": "none"}, {"kind": "constant", "mean": 10, "std": 8}, which gives (value - mean) / std, or
                {"kind": "device-standard"}, by the mean and deviation of each device's own examples
    pad         the value that fills shorter examples up, where a length varies; 0 by default
    categories  the texts that the field may have, by their number: ["cat", "dog"]
  outputs       a list of {"name", "dtype", "shape"}: the tensors that forward returns
  classes       the names of the classes of a classifier, by the number of the label: the categories of a target
  tensors       {"frozen": [], "personal": [], "local": []}: names of tensors that do not travel; * stands for any characters
  metrics       {"mae": "smaller"}: whether smaller or larger is better; the first by name ranks the versions
  golden        one batch for the trial: {"inputs": {}, "outputs": {}, "tolerance": 1e-5}
  description   a text for people
  license       of the model
In Python: torch.jit.script(m).save("m.pt", _extra_files={"tributary.json": json.dumps(manifest)}))";

constexpr std::array<std::string_view, 4> kTools = {"new-model", "pack", "export", "evaluate"};

struct ToolArguments {
  Path in, weights, out;
  uint64_t seed = 1;
  Path examples = kFashionMnistFolder;
  std::optional<Loss> loss;
};

Status NewModel(const ToolArguments& arguments, WritableFile* out) {
  ASSIGN_OR_RETURN(const auto model, BuildFashionCnn(arguments.seed));
  ASSIGN_OR_RETURN(const Bytes bytes, model->Save());
  RETURN_IF_ERROR(out->WriteAt(0, bytes));
  std::cout << arguments.out.string() << ": " << model->table().parameter_count() << " parameters\n";
  return {};
}

// Says on stderr what is being done, for as long as that takes long.
class Ticker {
 public:
  Ticker() : thread_([this](std::stop_token stop) { Run(stop); }) {}
  void Begins(std::string_view part) {
    const std::lock_guard lock(mutex_);
    part_ = part;
  }

 private:
  void Run(const std::stop_token& stop) {
    constexpr std::chrono::seconds kEvery{3};
    std::unique_lock lock(mutex_);
    for (std::chrono::seconds spent = kEvery; !changed_.wait_for(lock, stop, kEvery, [] { return false; }) && !stop.stop_requested();
         spent += kEvery) {
      std::cerr << "pack: " << part_ << ", after " << spent.count() << " s\n";
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::string part_ = "read";
  std::jthread thread_;
};

Status Pack(const ToolArguments& arguments, WritableFile* out) {
  Ticker ticker;  // before Confine: no thread starts after it
  PackOptions options;
  options.begins = [&](std::string_view part) { ticker.Begins(part); };
  options.loss = arguments.loss;
  ASSIGN_OR_RETURN(Bytes archive, ReadFile(RealFileSystem(), arguments.in, limits::kBlobBytes));
  RETURN_IF_ERROR(Confine());
  ASSIGN_OR_RETURN(PackedModel packed,
                   IsArrayFile(archive) ? PackArrays(archive) : PackModule(std::move(archive), options));
  ticker.Begins("write");
  const size_t tensors = packed.package.table.tensors.size(), parameters = packed.package.weights.size();
  RETURN_IF_ERROR(out->WriteAt(0, EncodeModelPackage(packed.package)));
  std::cout << arguments.out.string() << ": " << tensors << " tensors, " << parameters << " parameters\n" << packed.report;
  return {};
}

// The module of a TorchScript file or of a package, with the tensors that travel as its table. This process reads no
// other file afterwards.
Result<std::unique_ptr<Model>> LoadConfined(const Path& file) {
  ASSIGN_OR_RETURN(Bytes bytes, ReadFile(RealFileSystem(), file, limits::kBlobBytes));
  RETURN_IF_ERROR(Confine());
  if (auto package = DecodeModelPackage(bytes)) {
    ASSIGN_OR_RETURN(auto model, Model::Load(package->module));
    RETURN_IF_ERROR(model->Select(package->table, package->manifest));
    RETURN_IF_ERROR(model->SetWeights(package->weights));
    return model;
  }
  return Model::Load(bytes);
}

// The scaling that callers of the module do to its inputs; empty: nothing.
std::string ScalingText(const Model& model) {
  std::vector<std::string> parts;
  for (const TaskInput& input : model.manifest().inputs) {
    const Scaling& scaling = input.scaling;
    if (scaling.kind == Scaling::Kind::kConstant) {
      parts.push_back(fmt::format("{} is (value - {}) / {}", input.name, scaling.mean, scaling.std));
    } else if (scaling.kind == Scaling::Kind::kDeviceStandard) {
      parts.push_back(
          fmt::format("{} is scaled by the mean and deviation of each device's own examples", input.name));
    }
  }
  if (parts.empty()) return "";
  const bool in_file = model.has_manifest() || !CarriedText(model.manifest()).empty();
  return fmt::format("The module takes inputs as {}: {}\n",
                     in_file ? "tributary.json in the file says" : "the demo has them, since the file has no tributary.json",
                     fmt::join(parts, "; "));
}

Status Export(const ToolArguments& arguments, WritableFile* out) {
  ASSIGN_OR_RETURN(const Bytes weight_bytes, ReadFile(RealFileSystem(), arguments.weights, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const auto weights, ToFloats(weight_bytes, weight_bytes.size() / sizeof(float)));
  ASSIGN_OR_RETURN(const auto model, LoadConfined(arguments.in));
  // Weights of a task of before there were manifests are those of all tensors.
  const TensorTable shared = model->SharedTable(), all = model->table();
  RETURN_IF_ERROR(model->Select(weights.size() == shared.parameter_count() ? shared : all, TaskManifest(model->manifest())));
  RETURN_IF_ERROR(model->SetWeights(weights));
  ASSIGN_OR_RETURN(const Bytes bytes, model->Save());
  RETURN_IF_ERROR(out->WriteAt(0, bytes));
  std::cout << ScalingText(*model);
  return {};
}

Status EvaluateFile(const ToolArguments& arguments, WritableFile* /*out*/) {
  ASSIGN_OR_RETURN(const auto set, LoadIdxFolder(arguments.examples, IdxPart::kTest));
  ASSIGN_OR_RETURN(const auto model, LoadConfined(arguments.in));
  ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(*model, Examples::All(set)));
  std::cout << "examples " << evaluation.examples;
  for (const auto& [name, metric] : evaluation.metrics) std::cout << "  " << name << " " << metric.mean();
  std::cout << "\n";
  return {};
}

// For CLI11: takes the number of a loss for its name.
std::string TakeLoss(std::string& text) {
  const auto* const name = std::ranges::find(kLossNames, text);
  if (name == std::end(kLossNames)) return fmt::format("'{}' is none of {}", text, fmt::join(kLossNames, ", "));
  text = std::to_string(name - std::begin(kLossNames));
  return "";
}

}  // namespace

Result<std::unique_ptr<Model>> BuildFashionCnn(uint64_t seed) {
  RepeatableRandom random(DeriveSeed(seed, "fashion-cnn"));
  ModelSource source{"FashionCnn", {}, kForward};
  AddLayer(source, "conv1", {16, 1, 5, 5}, random);
  AddLayer(source, "conv2", {32, 16, 5, 5}, random);
  AddLayer(source, "hidden", {128, 1568}, random);
  AddLayer(source, "output", {10, 128}, random);
  return Model::FromSource(source);
}

bool IsModelTool(int argc, char** argv) {
  return argc > 1 && std::ranges::find(kTools, std::string_view(argv[1])) != kTools.end();
}

int RunModelTool(int argc, char** argv) {
  ToolArguments arguments;
  CLI::App app("tributary-device: work on model files", "tributary-device");
  app.require_subcommand(1);
  auto* new_model = app.add_subcommand(
      "new-model", "Make the demo's network (two 5x5 convolutions, 215,370 parameters) as a TorchScript file");
  new_model->add_option("--seed", arguments.seed, "Seed of the initial weights: the same seed gives the same file")
      ->capture_default_str();
  new_model->add_option("--out", arguments.out, "The TorchScript file to write")->required();
  auto* pack = app.add_subcommand(
      "pack",
      "Make a task's model package from a TorchScript file, as torch.jit.script(m).save(\"m.pt\") writes it: try it on one batch, "
      "print what was found, and refuse what devices could not train. The file tributary.json inside says what the module takes");
  pack->footer(kManifestKeys);
  pack->add_option("module", arguments.in, "The TorchScript file, or the file of arrays")->required();
  pack->add_option("--out", arguments.out, "The package to write")->required();
  pack->add_option("--loss", arguments.loss,
                   "The built-in loss to try, as the task's plan names it: cross_entropy, binary_cross_entropy, "
                   "mean_squared_error, l1, "
                   "huber [one that suits the target]")
      ->transform(CLI::Validator(TakeLoss, ""))
      ->type_name("LOSS");
  auto* export_command = app.add_subcommand("export", "Put weights into a TorchScript file");
  export_command->add_option("--module", arguments.in, "The TorchScript file, or the package made of it")->required();
  export_command
      ->add_option("--weights", arguments.weights,
                   "File with the float32 values of the tensors that travel, in the model's order")
      ->required();
  export_command->add_option("--out", arguments.out, "The TorchScript file to write")->required();
  auto* evaluate =
      app.add_subcommand("evaluate", "Accuracy of a TorchScript file on the test images of a folder of IDX files");
  evaluate->add_option("module", arguments.in, "The TorchScript file or package")->required();
  evaluate->add_option("--examples", arguments.examples, "The folder with the test images")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  const auto tool = new_model->parsed()        ? NewModel
                    : pack->parsed()           ? Pack
                    : export_command->parsed() ? Export
                                               : EvaluateFile;
  return RunInOwnProcess(arguments.out, [&](WritableFile* out) { return tool(arguments, out); });
}

}  // namespace tributary
