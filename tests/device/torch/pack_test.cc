// Packing: what is refused and how it is said, what travels and what stays, and how much memory and download it costs.
#include "device/torch/pack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/torch/evaluate.h"
#include "device/torch/fit.h"
#include "device/torch/model_tools.h"
#include "tests/device/torch/run_python.h"
#include "tests/support/image_set.h"
#include "tests/support/temporary_folder.h"

namespace tributary::pack_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const TemporaryFolder& Folder() {
  static const TemporaryFolder folder;
  [[maybe_unused]] static const std::string made =
      RunPython(folder.path(), std::string(TRIBUTARY_SOURCE_DIR) + "/tests/device/torch/refused.py .");
  return folder;
}

Bytes FileOf(const std::string& name) { return ReadFile(RealFileSystem(), Folder() / (name + ".pt"), 1 << 26).value(); }

struct Refused {
  const char* file;  // refused.py makes it
  Code code;
  const char* sentence;
};

TEST(Pack, EveryModuleThatCannotTrainHasItsSentence) {
  const Refused all[] = {
      {"traced", Code::kNotSupported, "is fixed in evaluation mode, whether the module is trained or not: it was traced"},
      {"traced_training", Code::kNotSupported, "is fixed in training mode"},
      {"traced_lstm", Code::kNotSupported, "aten::lstm in forward"},
      {"traced_gru", Code::kNotSupported, "is fixed in training mode"},
      {"around_traced", Code::kNotSupported, "is fixed in evaluation mode"},
      {"always_drops", Code::kNotSupported, "F.dropout alone always drops"},
      {"fixed_norm", Code::kNotSupported, "aten::batch_norm in forward"},
      {"hashes", Code::kModelRefused, "hash"},
      {"raises", Code::kInvalidArgument, "ValueError: the module's own words"},
      {"wrong_pattern", Code::kInvalidArgument,
       "the pattern 'lats.*' of \"personal\" in tributary.json is of no tensor; the module has last.weight, last.bias"},
      {"categories", Code::kInvalidArgument, "index out of range"},
      {"frozen", Code::kNotSupported, "torch.jit.freeze"},
      {"all_frozen", Code::kNotSupported, "all 2 parameters are frozen"},
      {"all_frozen_by_name", Code::kNotSupported, "all 2 parameters are frozen"},
      {"all_personal", Code::kInvalidArgument, "there is nothing to share"},
      {"expanded", Code::kNotSupported, "tensor weight is expanded"},
      {"transposed", Code::kNotSupported, "first and second are one weight in two shapes (tied under a transpose"},
      {"overlapping", Code::kNotSupported, "first and second share memory"},
      {"half", Code::kNotSupported, "last.weight is Half, not float32"},
      {"bfloat", Code::kNotSupported, "last.weight is BFloat16, not float32"},
      {"double", Code::kNotSupported, "last.weight is Double, not float32"},
      {"cuda", Code::kNotSupported, "makes tensors on \"cuda\""},
      {"newer_operator", Code::kNotSupported, "saved by a newer PyTorch"},
      {"newer_file", Code::kModelRefused, "written by a newer PyTorch"},
      {"no_forward", Code::kInvalidArgument, "the module has no method forward"},
      {"unused_input", Code::kInvalidArgument, "no method takes the input 'z'"},
      {"unknown_argument", Code::kInvalidArgument, "forward takes the argument 'b', which is no input of the task; its inputs are a, goal"},
      {"no_manifest", Code::kInvalidArgument,
       R"({"format":"tributary-task-1","inputs":[{"name":"a","dtype":"FP32","shape":[-1]},{"name":"b","dtype":"FP32","shape":[-1]},{"name":"goal","dtype":"FP32","shape":[-1],"role":"target"}]})"},
      {"no_target", Code::kInvalidArgument, "no method loss and the task no input of role target"},
      {"unknown_key", Code::kInvalidArgument, "colour is not a key that is known here"},
      {"no_shape", Code::kInvalidArgument, "the trial needs the shape of the input 'x'"},
      {"wrong_shape", Code::kInvalidArgument, "the trial of the module failed: mat1 and mat2 shapes cannot be multiplied"},
      {"other_shapes", Code::kInvalidArgument, "the output [4, 4] and the target [4, 3] must have one shape"},
      {"no_gradient", Code::kNotSupported, "the loss does not depend on spare.weight, spare.bias"},
      {"detached", Code::kNotSupported, "the loss depends on no parameter"},
      {"counting", Code::kNotSupported, "the second run of the same batch gives other bits"},
      {"infinite", Code::kNotFinite, "the loss is inf in the trial"},
      {"loss_shape", Code::kInvalidArgument, "loss returns the shape [4, 4]"},
      {"metric_name", Code::kInvalidArgument, "metrics returns the name 'Mean Error'"},
      {"metric_nan", Code::kNotFinite, "metric mae is nan"},
      {"metric_many", Code::kInvalidArgument, "17 metrics with the loss, at most 16"},
      {"metric_missing", Code::kInvalidArgument, "the manifest names the metric 'mae', an evaluation gives loss"},
      {"output_missing", Code::kInvalidArgument, "the manifest declares the output 'b', forward returns a"},
      {"output_shape", Code::kInvalidArgument, "the output 'a' as FP32 [-1, 5], forward returns FP32 [4, 4]"},
      {"golden_off", Code::kInvalidArgument, "forward's output 'out' is off golden's by 0.5"},
      {"golden_lacks", Code::kInvalidArgument, "golden lacks the input 'y'"},
      {"golden_unknown", Code::kInvalidArgument, "golden has the input 'w', which the manifest does not name"},
      {"golden_ragged", Code::kInvalidArgument, "golden tensor 'x': its lists are not of one length"},
      {"golden_class", Code::kBadExample, "an example has the class 4, the model has 4 classes, numbered from 0"},
  };
  for (const Refused& refused : all) {
    const auto packed = PackModule(FileOf(refused.file), {});
    ASSERT_FALSE(packed) << refused.file;
    EXPECT_EQ(packed.error().code, refused.code) << refused.file << ": " << packed.error().message;
    EXPECT_THAT(packed.error().message, HasSubstr(refused.sentence)) << refused.file;
  }
  EXPECT_TRUE(PackModule(FileOf("good"), {}));
  EXPECT_TRUE(PackModule(FileOf("recurrent"), {}));
}

// Whoever opens an exported model learns from it what it takes, whether it was packed or not.
TEST(Pack, AModuleKeepsItsManifest) {
  const auto whole = Model::Load(FileOf("golden")).value();
  const ModelPackage package = PackModule(FileOf("golden"), {}).value().package;
  for (const Bytes& file : {whole->Save().value(), package.module, Model::Load(package.module).value()->Save().value()}) {
    const auto again = Model::Load(file).value();
    EXPECT_TRUE(again->has_manifest());
    EXPECT_EQ(again->manifest(), whole->manifest());
  }
}

TEST(Pack, TheGoldenBatchIsTried) {
  const auto packed = PackModule(FileOf("golden"), {});
  ASSERT_TRUE(packed) << packed.error().ToString();
  EXPECT_THAT(packed->report, HasSubstr("the golden batch: loss"));
  EXPECT_THAT(packed->report, HasSubstr("output     out FP32 [1, 4]"));
}

TEST(Pack, SaysWhichLossItTriedAndWhoDecides) {
  const auto report = [](const Bytes& file, PackOptions options = {}) {
    return PackModule(file, options).value().report;
  };
  EXPECT_THAT(
      report(FileOf("golden")),
      HasSubstr("loss       mean_squared_error was tried, which suits the target; the task's plan decides: write "
                "loss = \"mean_squared_error\" below [training], or devices use cross_entropy\n"));
  EXPECT_THAT(report(FileOf("golden"), {.loss = Loss::kHuber}),
              HasSubstr("loss       huber was tried; the task's plan decides: "));
  EXPECT_THAT(report(BuildFashionCnn(1).value()->Save().value()),
              HasSubstr("loss       cross_entropy was tried, which suits the target; the task's plan decides\n"));
}

std::vector<std::string> Names(const TensorTable& table) {
  std::vector<std::string> names;
  for (const TensorEntry& entry : table.tensors) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Model> Unpacked(const ModelPackage& package) {
  auto model = Model::Load(package.module).value();
  EXPECT_TRUE(model->Select(package.table, package.manifest));
  EXPECT_TRUE(model->SetWeights(package.weights));
  return model;
}

std::map<std::string, std::vector<float>> AllTensors(const Model& model) {
  std::map<std::string, std::vector<float>> to;
  const std::vector<float> weights = model.Weights();
  for (const TensorEntry& entry : model.table().tensors) {
    const auto at = weights.begin() + static_cast<ptrdiff_t>(entry.offset);
    to[entry.name] = {at, at + static_cast<ptrdiff_t>(entry.size)};
  }
  return to;
}

Examples Some() {
  auto set = std::make_shared<ExampleSet>();
  set->count = 40;
  std::vector<float> values(40 * 4);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7) - 3;
  for (const char* name : {"x", "y"}) set->columns.push_back({{name, DType::kFp32, {4}}, ToBytes(AsBytes(values))});
  return Examples::All(set);
}

// Frozen, personal and local tensors do not travel and keep the module's values; a tied weight travels once.
TEST(Pack, OnlySharedTensorsTravel) {
  const auto original = AllTensors(*Model::Load(FileOf("roles")).value());
  const ModelPackage package = PackModule(FileOf("roles"), {}).value().package;
  EXPECT_THAT(Names(package.table), ElementsAre("fixed.bias", "norm.weight", "norm.bias", "last.weight"));
  const auto model = Unpacked(package);
  const FitIdentity identity{DeviceId::Parse("a").value(), ModelVersion{1}};
  ASSERT_TRUE(Fit(*model, Some(), {.loss = Loss::kMeanSquaredError, .learning_rate = 0.01}, identity));
  const auto shared = AllTensors(*model);
  for (const char* name : {"norm.weight", "last.weight"}) EXPECT_NE(shared.at(name), original.at(name)) << name;

  // All tensors again, from the file that the fitted model is saved to.
  const auto all = AllTensors(*Model::Load(model->Save().value()).value());
  ASSERT_EQ(all.size(), original.size());
  for (const char* frozen : {"base.weight", "base.bias", "fixed.weight"}) EXPECT_EQ(all.at(frozen), original.at(frozen));
  EXPECT_NE(all.at("head.weight"), original.at("head.weight")) << "a personal tensor is trained";
  EXPECT_NE(all.at("norm.running_mean"), original.at("norm.running_mean"));
  EXPECT_EQ(AllTensors(*Model::Load(Unpacked(package)->Save().value()).value()), original);
}

// Files and tables of before modules were packed without their weights.
TEST(Pack, OldPackagesWithAllTensorsWork) {
  const Bytes module = FileOf("roles");
  const auto all = Model::Load(module).value();
  const auto model = Model::Load(module).value();
  ASSERT_TRUE(model->Select(all->table(), TaskManifest(all->manifest())));
  ASSERT_TRUE(model->SetWeights(all->Weights()));
  EXPECT_EQ(model->Weights(), all->Weights());
  const FitIdentity identity{DeviceId::Parse("a").value(), ModelVersion{1}};
  EXPECT_TRUE(Fit(*model, Some(), {.loss = Loss::kMeanSquaredError, .learning_rate = 0.01}, identity));
}

TEST(Pack, ATableThatIsNotTheModulesIsRefused) {
  const auto model = Model::Load(FileOf("good")).value();
  TensorTable table = model->table();
  table.tensors[0].name = "first.weight";
  const auto missing = model->Select(table, model->manifest());
  EXPECT_EQ(missing.error().code, Code::kWrongTensorCount);
  EXPECT_THAT(missing.error().message, HasSubstr("first.weight is not in the module"));
  table = {{{"last.weight", {2, 8}, 0, 16}}};
  const auto shape = model->Select(table, model->manifest());
  EXPECT_EQ(shape.error().code, Code::kWrongTensorCount);
  EXPECT_THAT(shape.error().message, HasSubstr("[4, 4] in the module and [2, 8] in the task"));
}

// The demo's network: the module is code, and the values travel once.
TEST(Pack, AFirstDownloadIsOneModelLong) {
  const auto model = BuildFashionCnn(1).value();
  const PackedModel packed = PackModule(model->Save().value(), {}).value();
  EXPECT_EQ(packed.package.weights, model->Weights());
  EXPECT_EQ(packed.package.table, model->table());
  EXPECT_EQ(CarriedText(packed.package.manifest), "");
  EXPECT_FALSE(Model::Load(packed.package.module).value()->has_manifest());
  EXPECT_THAT(packed.report, HasSubstr("no tributary.json in this file: byte images scaled to 0..1 and a label are assumed"));
  const double size = static_cast<double>(packed.package.weights.size() * sizeof(float));
  EXPECT_LE((static_cast<double>(packed.package.module.size()) + size) / size, 1.02);
  const std::vector<float> input(2 * 28 * 28, 0.25f);
  const std::vector<int64_t> shape = {2, 1, 28, 28};
  EXPECT_EQ(Unpacked(packed.package)->Run(input, shape).value().values, model->Run(input, shape).value().values);
}

// The program, as a data scientist runs it.
TEST(Pack, TakesAtMostThreeTimesTheModel) {
  const TemporaryFolder folder;
  const std::string script = R"(
import json, resource, subprocess, torch
class Wide(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = torch.nn.Linear(5000, 10000, bias=False)
    def forward(self, x):
        return self.wide(x).mean(1)
manifest = {"format": "tributary-task-1", "inputs": [{"name": "x", "shape": [-1, 5000]}, {"name": "y", "role": "target"}]}
torch.jit.script(Wide()).save("wide.pt", _extra_files={"tributary.json": json.dumps(manifest)})
program = ")" + std::string(TRIBUTARY_BIN_DIR) + R"(/tributary-device"
def peak(*arguments):
    subprocess.run([program, *arguments], check=True, capture_output=True)  # a slow one says how far it is
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
small = peak("new-model", "--out", "small.pt")
print((peak("pack", "wide.pt", "--out", "wide.tpkg") - small) / 200e6)
)";
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "script.py", AsBytes(script)));
  EXPECT_LE(std::stod(RunPython(folder.path(), "script.py")), 3.0);
}

// LibTorch reads out of bounds for this label: the process that tries it ends, and the program says so.
TEST(Pack, AModuleThatCrashesLeavesNoFile) {
  const TemporaryFolder folder;
  const std::string script = R"(
import json, os, subprocess, torch
class Crash(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(4, 4)
    def forward(self, x):
        return self.last(x)
    @torch.jit.export
    def loss(self, x, y):
        steps = self.forward(x).unsqueeze(1).log_softmax(2)
        return torch.ctc_loss(steps, torch.full([1, 1], 1000000000, dtype=torch.int64), [steps.size(0)], [1], 0, 1, False)
manifest = {"format": "tributary-task-1", "inputs": [{"name": "x", "shape": [-1, 4]}, {"name": "y", "role": "target"}]}
torch.jit.script(Crash()).save("crash.pt", _extra_files={"tributary.json": json.dumps(manifest)})
program = ")" + std::string(TRIBUTARY_BIN_DIR) + R"(/tributary-device"
ended = subprocess.run([program, "pack", "crash.pt", "--out", "crash.tpkg"], capture_output=True, text=True)
print(ended.returncode, [name for name in os.listdir(".") if "tpkg" in name], ended.stderr)
)";
  EXPECT_THAT(RunPython(folder, script),
              AllOf(StartsWith("1 [] tributary-device: model-refused: the module ended the process that tried it (signal 11"),
                    HasSubstr("no file was written")));
}

}  // namespace
}  // namespace tributary::pack_test
