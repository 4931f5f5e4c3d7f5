#include "device/torch/pack.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

#include "device/learn/array_file.h"
#include "device/torch/graph_walk.h"
#include "device/torch/module_faults.h"
#include "device/torch/torch_module.h"
#include "device/torch/trial.h"

namespace tributary {
namespace {

std::vector<std::string> ArgumentsOf(const torch::jit::Module& script, std::string_view method) {
  std::vector<std::string> names;
  const auto found = script.find_method(std::string(method));
  if (!found) return names;
  const auto& arguments = found->function().getSchema().arguments();
  for (size_t i = 1; i < arguments.size(); ++i) {  // behind the module itself, whatever it is called
    if (!arguments[i].default_value()) names.push_back(arguments[i].name());
  }
  return names;
}

// A manifest to begin with, made of the names of the methods' arguments: those of forward are features.
std::string Skeleton(const torch::jit::Module& script) {
  TaskManifest manifest;
  for (const std::string_view method : kTaskMethods) {
    for (const std::string& name : ArgumentsOf(script, method)) {
      if (manifest.Find(name)) continue;
      TaskInput& input = manifest.inputs.emplace_back();
      input.name = input.field = name;
      input.shape = {-1};
      if (method != "forward") input.role = TaskInput::Role::kTarget;
    }
  }
  if (!script.find_method("loss")) {
    TaskInput& target = manifest.inputs.emplace_back();
    target.name = target.field = "target";
    target.shape = {-1};
    target.role = TaskInput::Role::kTarget;
  }
  return TaskManifestText(manifest);
}

// A module without a manifest takes images and their labels; every other one says what it takes.
Status CheckWithoutManifest(Model& model) {
  const torch::jit::Module& script = model.module().script;
  const TaskManifest images = ManifestOfImages();
  bool fits = ArgumentsOf(script, "forward").size() == 1;
  for (const std::string_view method : {"loss", "metrics"}) {
    for (const std::string& name : ArgumentsOf(script, method)) fits = fits && images.Find(name);
  }
  if (fits) return {};
  return Fail(Code::kInvalidArgument,
              "the module does not take one image and its label, and the file has no {} that says what it takes. Correct the "
              "types, shapes and roles of this one, and save it with the module: m.save(\"m.pt\", "
              "_extra_files={{\"{}\": text}}):\n{}",
              kManifestFile, kManifestFile, Skeleton(script));
}

// A pattern with a slip in it would let a tensor travel that was meant to stay. `owner`: of the tensors of these names.
Status CheckPatterns(const TaskManifest& manifest, const std::vector<std::string_view>& all, std::string_view owner) {
  for (const auto& [role, patterns] : {std::pair("frozen", &manifest.frozen), {"personal", &manifest.personal}, {"local", &manifest.local}}) {
    for (const std::string& pattern : *patterns) {
      if (std::ranges::any_of(all, [&](std::string_view name) { return MatchesPattern(pattern, name); })) continue;
      const auto names = std::span(all).first(std::min<size_t>(all.size(), 20));
      return Fail(Code::kInvalidArgument, "the pattern '{}' of \"{}\" in {} is of no tensor; the {} {}{}", pattern, role,
                  kManifestFile, owner, fmt::join(names, ", "), all.size() > names.size() ? " and more" : "");
    }
  }
  return {};
}

std::vector<std::string_view> NamesOf(Model& model) {
  std::vector<std::string_view> names;
  for (const NamedTensor& named : model.module().all) names.push_back(named.name);
  return names;
}

struct Share {
  uint64_t tensors = 0;
  uint64_t elements = 0;
};

// How many tensors play which role.
std::string Roles(Model& model, const TensorTable& shared) {
  const TaskManifest& manifest = model.manifest();
  std::set<std::string_view> shared_names;
  for (const TensorEntry& entry : shared.tensors) shared_names.insert(entry.name);
  const auto matches = [](const std::vector<std::string>& patterns, const std::string& name) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) { return MatchesPattern(pattern, name); });
  };
  Share shares[4];
  for (const NamedTensor& named : model.module().all) {
    const size_t role = shared_names.contains(named.name)              ? 0
                        : matches(manifest.personal, named.name) ? 2
                        : matches(manifest.local, named.name)    ? 3
                                                                 : 1;
    ++shares[role].tensors;
    shares[role].elements += static_cast<uint64_t>(named.tensor.numel());
  }
  std::vector<std::string> parts;
  constexpr std::string_view kRoles[] = {"shared", "frozen", "personal", "local"};
  for (size_t i = 0; i < 4; ++i) {
    if (i == 0 || shares[i].tensors > 0)
      parts.push_back(fmt::format("{} {} in {} tensors", kRoles[i], shares[i].elements, shares[i].tensors));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string Operators(const torch::jit::Module& script) {
  std::set<std::string> names;
  WalkTaskMethods(script, [&](std::string_view, const torch::jit::Node& node) {
    const std::string_view name = node.kind().toQualString();
    if (!name.starts_with("prim::")) names.emplace(name);
    return true;
  });
  return fmt::format("{}", fmt::join(names, " "));
}

std::string Row(std::string_view name, std::string_view value) { return fmt::format("  {:<11}{}\n", name, value); }

std::string Describe(const TaskInput& input) {
  constexpr std::string_view kRoles[] = {"feature", "target", "weight"};
  return fmt::format("{} {} [{}], {}, field {}", input.name, DTypeName(input.dtype), fmt::join(input.shape, ", "),
                     kRoles[static_cast<size_t>(input.role)], input.field);
}

// Which loss was tried, and who decides about the one that is used.
std::string LossText(const Trial& trial, const PackOptions& options) {
  if (!trial.builtin) {
    return fmt::format("the module's own, whatever the plan says{}", options.loss ? "; --loss was not needed" : "");
  }
  const std::string_view tried = kLossNames[static_cast<size_t>(*trial.builtin)];
  const Loss planned = TrainingPlan().loss;
  std::string text =
      fmt::format("{} was tried{}; the task's plan decides", tried, options.loss ? "" : ", which suits the target");
  if (*trial.builtin != planned) {
    text += fmt::format(": write loss = \"{}\" below [training], or devices use {}", tried,
                        kLossNames[static_cast<size_t>(planned)]);
  }
  return text;
}

std::string Report(Model& model, const ModelPackage& package, const Trial& trial, const PackOptions& options,
                   const std::string& roles) {
  std::string text;
  const auto row = [&](std::string_view name, std::string_view value) { text += Row(name, value); };
  for (const auto& [name, arguments] : trial.methods) row("method", fmt::format("{}({})", name, arguments));
  for (const TaskInput& input : model.manifest().inputs) row("input", Describe(input));
  for (const auto& [name, shape] : trial.outputs) row("output", name + " " + shape);
  row("parameters", roles);
  row("operators", Operators(model.module().script));
  row("bytes", fmt::format("module {}, weights {}", package.module.size(), package.weights.size() * sizeof(float)));
  if (!model.has_manifest()) {
    row("note",
        "no tributary.json in this file: byte images scaled to 0..1 and a label are assumed, as in the demo. If your data "
        "differ, save the file with _extra_files={\"tributary.json\": text}; tributary-device pack --help has its keys");
  }
  if (trial.batch.empty()) {
    row("trial", fmt::format("not run: the file has no {} that says the shape of forward's argument", kManifestFile));
    return text;
  }
  row("loss", LossText(trial, options));
  row("trial", fmt::format("{}: loss {:.6g}; every trained tensor got a gradient; both runs gave the same bits",
                           trial.batch, trial.loss));
  std::vector<std::string> metrics;
  for (const auto& [name, metric] : trial.metrics) metrics.push_back(fmt::format("{} {:.6g}", name, metric.mean()));
  row("evaluation", fmt::format("{}", fmt::join(metrics, ", ")));
  return text;
}

}  // namespace

Result<PackedModel> PackModule(Bytes archive, const PackOptions& options) {
  options.begins("load");
  ASSIGN_OR_RETURN(const auto model, Model::Load(archive));
  Bytes().swap(archive);
  if (!model->has_manifest()) RETURN_IF_ERROR(CheckWithoutManifest(*model));
  if (model->manifest().module == ModuleFormat::kNone) {
    return Fail(Code::kInvalidArgument, "the file is a module, and its {} says \"module\": \"none\"; leave that key out",
                kManifestFile);
  }
  RETURN_IF_ERROR(CheckPatterns(model->manifest(), NamesOf(*model), "module has"));
  RETURN_IF_ERROR(CheckTrainable(*model));
  options.begins("try");
  ASSIGN_OR_RETURN(const Trial trial, TryModel(*model, options.loss));
  options.begins("take the weights out");
  const TensorTable table = model->SharedTable();
  if (table.tensors.empty())
    return Fail(Code::kInvalidArgument, "every trained tensor is personal or local, so that there is nothing to share");
  const std::string roles = Roles(*model, table);
  RETURN_IF_ERROR(model->Select(table, TaskManifest(model->manifest())));
  ASSIGN_OR_RETURN(Bytes module, model->SaveWithoutWeights());
  ModelPackage package{table, std::move(module), model->Weights(), model->manifest()};
  std::string report = Report(*model, package, trial, options, roles);
  return PackedModel{std::move(package), std::move(report)};
}

Result<PackedModel> PackArrays(ByteView file) {
  ASSIGN_OR_RETURN(ModelPackage package, ReadArrayFile(file));
  std::vector<std::string_view> names;
  for (const TensorEntry& tensor : package.table.tensors) names.push_back(tensor.name);
  RETURN_IF_ERROR(CheckPatterns(package.manifest, names, "arrays are"));
  std::string report;
  for (const TaskInput& input : package.manifest.inputs) report += Row("input", Describe(input));
  for (const TensorEntry& tensor : package.table.tensors)
    report += Row("array", fmt::format("{} [{}]", tensor.name, fmt::join(tensor.shape, ", ")));
  report += Row("bytes", fmt::format("weights {}", package.weights.size() * sizeof(float)));
  report += Row("note", "there is no module: devices need the program that learns this task, as learner.command");
  return PackedModel{std::move(package), std::move(report)};
}

}  // namespace tributary
