// Files go both ways between Python's PyTorch and this build.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/torch/model.h"
#include "device/torch/model_tools.h"
#include "tests/device/torch/run_python.h"

namespace tributary::python_test {
namespace {

using testing::ElementsAre;

std::vector<float> ReadFloats(const Path& file) { return ReadValues<float>(file); }

constexpr const char* kNormalised = R"(
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(3, 3)
        self.tied = torch.nn.Linear(3, 3)
        self.tied.weight = self.last.weight
    def forward(self, x):
        return self.tied(self.last(self.drop(self.norm(self.first(x)))))
torch.manual_seed(1)
net = Net()
net.norm.running_mean.copy_(torch.tensor([0.5, -1.0, 2.0]))
net.norm.running_var.copy_(torch.tensor([1.5, 0.25, 2.0]))
net.eval()
torch.jit.script(net).save("net.pt")
net(torch.arange(8).reshape(2, 4) / 8).detach().numpy().tofile("expected")
)";

TEST(Python, LoadsWhatPythonScripted) {
  const TemporaryFolder folder;
  RunPython(folder, kNormalised);
  const auto model = Model::Load(ReadFile(RealFileSystem(), folder / "net.pt", 1 << 24).value());
  ASSERT_TRUE(model) << model.error().ToString();
  std::vector<std::string> names;
  for (const TensorEntry& entry : (*model)->table().tensors) names.push_back(entry.name);
  // Parameters, then float buffers; num_batches_tracked is an integer, and the tied weight is there once.
  EXPECT_THAT(names, ElementsAre("first.weight", "first.bias", "norm.weight", "norm.bias", "last.weight", "last.bias",
                                 "tied.bias", "norm.running_mean", "norm.running_var"));
  const std::vector<float> weights = (*model)->Weights();
  EXPECT_THAT(std::vector<float>(weights.end() - 6, weights.end()), ElementsAre(0.5, -1.0, 2.0, 1.5, 0.25, 2.0));
  const std::vector<float> input = {0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875};
  const ModelOutput output = (*model)->Run(input, std::vector<int64_t>{2, 4}).value();
  EXPECT_THAT(output.values, testing::Pointwise(testing::FloatNear(1e-6f), ReadFloats(folder / "expected")));
}

TEST(Python, OpensWhatWeSaved) {
  const TemporaryFolder folder;
  const auto model = BuildFashionCnn(5).value();
  std::vector<float> shifted = model->Weights();
  for (float& weight : shifted) weight *= 1.01f;
  ASSERT_TRUE(model->SetWeights(shifted));
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "cnn.pt", model->Save().value()));
  std::vector<float> input(10 * 28 * 28);
  for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i % 256) / 256;
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "input", AsBytes(input)));
  const std::string names = RunPython(folder, R"(
import torch
net = torch.jit.load("cnn.pt").eval()
torch.set_num_threads(1)
x = torch.frombuffer(bytearray(open("input", "rb").read()), dtype=torch.float32).reshape(10, 1, 28, 28)
open("output", "wb").write(bytes(net(x).detach().contiguous().view(torch.uint8).flatten().tolist()))
print(" ".join(name for name, _ in net.named_parameters()), end="")
)");
  EXPECT_EQ(names,
            "conv1.weight conv1.bias conv2.weight conv2.bias hidden.weight hidden.bias output.weight output.bias");
  const ModelOutput output = model->Run(input, std::vector<int64_t>{10, 1, 28, 28}).value();
  EXPECT_THAT(output.values, testing::Pointwise(testing::FloatNear(1e-5f), ReadFloats(folder / "output")));
}

TEST(Python, RefusesDoublePrecision) {
  const TemporaryFolder folder;
  RunPython(folder, "import torch\ntorch.jit.script(torch.nn.Linear(2, 2).double()).save('net.pt')\n");
  const auto model = Model::Load(ReadFile(RealFileSystem(), folder / "net.pt", 1 << 24).value());
  EXPECT_EQ(model.error().code, Code::kNotSupported);
  EXPECT_THAT(model.error().message, testing::HasSubstr("weight"));
}

}  // namespace
}  // namespace tributary::python_test
