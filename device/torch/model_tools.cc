#include "device/torch/model_tools.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "device/examples/idx.h"
#include "device/examples/repeatable_random.h"
#include "device/torch/evaluate.h"
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

constexpr std::array<std::string_view, 4> kTools = {"new-model", "pack", "export", "evaluate"};

struct ToolArguments {
  Path in, weights, out;
  uint64_t seed = 1;
  Path examples = kFashionMnistFolder;
};

Status NewModel(const ToolArguments& arguments) {
  ASSIGN_OR_RETURN(const auto model, BuildFashionCnn(arguments.seed));
  ASSIGN_OR_RETURN(const Bytes bytes, model->Save());
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), arguments.out, bytes));
  std::cout << arguments.out.string() << ": " << model->table().parameter_count() << " parameters\n";
  return {};
}

Status Pack(const ToolArguments& arguments) {
  ASSIGN_OR_RETURN(Bytes module, ReadFile(RealFileSystem(), arguments.in, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const auto model, Model::Load(module));
  const ModelPackage package{model->table(), std::move(module), model->Weights()};
  RETURN_IF_ERROR(WriteFileAtomically(RealFileSystem(), arguments.out, EncodeModelPackage(package)));
  std::cout << arguments.out.string() << ": " << package.table.tensors.size() << " tensors, " << package.weights.size()
            << " parameters\n";
  return {};
}

Status Export(const ToolArguments& arguments) {
  ASSIGN_OR_RETURN(const Bytes module, ReadFile(RealFileSystem(), arguments.in, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const Bytes weight_bytes, ReadFile(RealFileSystem(), arguments.weights, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const auto weights, ToFloats(weight_bytes, weight_bytes.size() / sizeof(float)));
  ASSIGN_OR_RETURN(const auto model, Model::Load(module));
  RETURN_IF_ERROR(model->SetWeights(weights));
  ASSIGN_OR_RETURN(const Bytes bytes, model->Save());
  return WriteFileAtomically(RealFileSystem(), arguments.out, bytes);
}

Status EvaluateFile(const ToolArguments& arguments) {
  ASSIGN_OR_RETURN(const Bytes module, ReadFile(RealFileSystem(), arguments.in, limits::kBlobBytes));
  ASSIGN_OR_RETURN(const auto model, Model::Load(module));
  ASSIGN_OR_RETURN(const auto set, LoadIdxFolder(arguments.examples, IdxPart::kTest));
  ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(*model, Examples::All(set)));
  std::cout << "examples " << evaluation.examples;
  for (const auto& [name, metric] : evaluation.metrics) std::cout << "  " << name << " " << metric.mean();
  std::cout << "\n";
  return {};
}

}  // namespace

Result<std::unique_ptr<Model>> BuildFashionCnn(uint64_t seed) {
  RepeatableRandom random(DeriveSeed(seed, "fashion-cnn"));
  ModelSource source{"FashionCnn", {}, kForward};
  AddLayer(source, "conv1", {16, 1, 5, 5}, random);
  AddLayer(source, "conv2", {32, 16, 5, 5}, random);
  AddLayer(source, "hidden", {128, 32 * 7 * 7}, random);
  AddLayer(source, "output", {10, 128}, random);
  return Model::FromSource(source);
}

bool IsModelTool(int argc, char** argv) {
  return argc > 1 && std::ranges::find(kTools, std::string_view(argv[1])) != kTools.end();
}

int RunModelTool(int argc, char** argv) {
  ToolArguments arguments;
  CLI::App app("tributary-device: work on model files");
  app.require_subcommand(1);
  auto* new_model = app.add_subcommand(
      "new-model", "Make the demo's network (two 5x5 convolutions, 215,370 parameters) as a TorchScript file");
  new_model->add_option("--seed", arguments.seed, "Of the initial weights: the same seed gives the same file")
      ->capture_default_str();
  new_model->add_option("--out", arguments.out, "The TorchScript file to write")->required();
  auto* pack = app.add_subcommand(
      "pack", "Make a task's model package from a TorchScript file, as torch.jit.script(m).save(\"m.pt\") writes it");
  pack->add_option("module", arguments.in, "The TorchScript file")->required();
  pack->add_option("--out", arguments.out, "The package to write")->required();
  auto* export_command = app.add_subcommand("export", "Put weights into a TorchScript file");
  export_command->add_option("--module", arguments.in, "The TorchScript file")->required();
  export_command->add_option("--weights", arguments.weights, "float32 values in the model's order")->required();
  export_command->add_option("--out", arguments.out, "The TorchScript file to write")->required();
  auto* evaluate =
      app.add_subcommand("evaluate", "Accuracy of a TorchScript file on the test images of a folder of IDX files");
  evaluate->add_option("module", arguments.in, "The TorchScript file")->required();
  evaluate->add_option("--examples", arguments.examples, "The folder")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  const Status status = new_model->parsed()        ? NewModel(arguments)
                        : pack->parsed()           ? Pack(arguments)
                        : export_command->parsed() ? Export(arguments)
                                                   : EvaluateFile(arguments);
  return status ? kExitOk : ExitWith("tributary-device", status.error());
}

}  // namespace tributary
