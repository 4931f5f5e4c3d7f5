#include "device/torch/model_tools.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "device/examples/idx.h"
#include "device/torch/evaluate.h"
#include "device/torch/fashion_cnn.h"
#include "device/torch/model.h"
#include "protocol/base/limits.h"
#include "protocol/base/process/daemon.h"
#include "protocol/catalogue/model_package.h"

namespace tributary {
namespace {

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
  std::cout << "examples " << evaluation.examples << "  accuracy " << evaluation.accuracy << "  loss "
            << evaluation.loss << "\n";
  return {};
}

}  // namespace

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
