// The limits of a model file: hostile files written by Debian's PyTorch, and ordinary ones that must stay allowed. Before
// these checks `tributary-device pack evil.pt` wrote the file that a nested __setstate__ names, and forward could read
// any file.
#include <filesystem>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/torch/model.h"
#include "tests/device/torch/module_scripts.h"
#include "tests/device/torch/run_python.h"

namespace tributary::model_safety_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string Load(const TemporaryFolder& folder, const std::string& name) {
  const auto model = Model::Load(ReadFile(RealFileSystem(), folder / name, 1 << 26).value());
  return model ? "fine" : model.error().ToString();
}

// ---- refused before LibTorch sees the file

constexpr const char* kHostile = R"py(
class ForwardReads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file("/etc/passwd", False, 8, dtype=torch.uint8)

class ForwardWrites(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "written")
        return x

class Helper(nn.Module):
    def helper(self, x: Tensor) -> Tensor:
        return torch.ops.aten.from_file("/etc/passwd", False, 8, dtype=torch.uint8)
    def forward(self, x: Tensor) -> Tensor:
        return x

class LossHides(nn.Module):
    def __init__(self):
        super().__init__()
        self.sub = Helper()
    def forward(self, x: Tensor) -> Tensor:
        return self.sub(x)
    @torch.jit.export
    def loss(self, x: Tensor) -> Tensor:
        return self.sub.helper(x).sum()

class WritesWhileLoading(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    @torch.jit.export
    def __getstate__(self):
        return self.layer.weight, self.training
    @torch.jit.export
    def __setstate__(self, state: Tuple[Tensor, bool]):
        self.training = state[1]
        torch.save(state[0], "written")
    def forward(self, x: Tensor) -> Tensor:
        return x

class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.deep = nn.Sequential(nn.Linear(2, 2), WritesWhileLoading())
    def forward(self, x: Tensor) -> Tensor:
        return self.deep(x)

class Prints(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        print("x")
        return x

@torch.jit.script
def later(x: Tensor) -> Tensor:
    return x

class Forks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.jit.wait(torch.jit.fork(later, x))

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def forward(self, x: Tensor, scale: int = 7) -> Tensor:
        return self.layer(x) * scale

def pre_hook(self, input: Tuple[Tensor]) -> Tuple[Tensor]:
    torch.save(input[0], "written")
    return input

class Hooked(nn.Module):
    def __init__(self):
        super().__init__()
        self.sub = Plain()
        self.sub.register_forward_pre_hook(sub_hook)
    def forward(self, x: Tensor) -> Tensor:
        return self.sub(x, 1)

for module in ForwardReads(), ForwardWrites(), LossHides(), Nested(), Prints(), Forks(), Plain():
    save(type(module).__name__, module)
assert os.path.exists("written") is False

top = nn.Linear(2, 2)
top.register_forward_pre_hook(pre_hook)
save("TopHook", top)
inner = nn.Linear(2, 2)
inner.register_forward_pre_hook(pre_hook)
save("SubHook", nn.Sequential(inner, nn.ReLU()))

code = r"code/__torch__\.py"
evil = b"def evil(a: int) -> int:\n  _0 = torch.save(torch.zeros([1]), \"written\")\n  return 3\n"
bend("Plain", "DefaultValue", [(code, b"scale: int=7", b"scale: int=__torch__.evil(3)"), (code, rb"\Z", evil)])
bend("Plain", "Constant", [(code, b"  training : bool\n", b"  training : bool\n  k : Final[int] = __torch__.evil(3)\n"), (code, rb"\Z", evil)])
bend("Plain", "TorchBind", [(code, b"  training : bool\n", b"  training : bool\n  k : __torch__.torch.classes.quantized.LinearPackedParamsBase\n")])
bend("Plain", "ForeignGlobal", [(r"data\.pkl", rb"\A\x80\x02", b"\x80\x02cposix\nsystem\n(X\x05\x00\x00\x00touchtR0")])
bend("Plain", "OldFormat", [], {"model.json": "{}"})
bend("Plain", "Newer", [("version", b"3", b"11")])
bend("Plain", "LongTensor", [(r"data\.pkl", rb"\(K\x02K\x02t\(K\x02K\x01t", b"(K\x7fK\x02t(K\x02K\x01t")])

# They are what they are said to be: loading them here writes the file.
for name in "Nested", "DefaultValue", "Constant":
    try:
        torch.jit.load(name + ".pt")
    except RuntimeError:
        pass  # a field that __setstate__ left out, after it wrote
    os.remove("written")
)py";

TEST(ModelSafety, HostileFilesAreRefusedBeforeTheyAreLoaded) {
  const TemporaryFolder folder;
  RunPython(folder, std::string(kModulesHead) + kHostile);
  const auto refused = [](const std::string& place, const std::string& what) {
    return AllOf(StartsWith("model-refused: " + place), HasSubstr(what), HasSubstr("nothing was"));
  };
  const std::string code = "code/__torch__.py, line ";
  const std::pair<const char*, testing::Matcher<std::string>> cases[] = {
      {"ForwardReads", refused(code, "(ForwardReads.forward), calls aten::from_file")},
      {"ForwardWrites", refused(code, "aten::save")},
      {"LossHides", refused(code, "(Helper.helper), calls aten::from_file")},
      {"Nested", refused(code, "__setstate__")},
      {"Prints", refused(code, "prim::print")},
      {"Forks", refused(code, "prim::fork")},
      {"TopHook", refused("code/__torch__", "aten::save")},
      {"SubHook", refused("code/__torch__", "aten::save")},
      {"DefaultValue", refused(code, "computes a default value")},
      {"Constant", refused(code, "computes a default value or a constant")},
      {"TorchBind", refused(code, "torch.classes")},
      {"ForeignGlobal", refused("data.pkl names posix.system", "byte")},
      {"OldFormat", refused("", "model.json")},
      {"Newer", refused("", "written by a newer PyTorch")},
      {"LongTensor", refused("data.pkl", "outside of its storage of 4 elements")},
  };
  for (const auto& [name, matcher] : cases) EXPECT_THAT(Load(folder, std::string(name) + ".pt"), matcher) << name;
  EXPECT_FALSE(std::filesystem::exists("written"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "written"));
  EXPECT_EQ(Load(folder, "Plain.pt"), "fine");
}

// ---- refused after loading: the text calls a method of a tensor, which only LibTorch resolves

TEST(ModelSafety, OperatorsThatOnlyTheGraphShowsAreRefusedBeforeAnyCall) {
  const TemporaryFolder folder;
  RunPython(folder, std::string(kModulesHead) + kHiddenModules);
  const std::pair<const char*, const char*> methods[] = {{"InHelper", "sub.helper"},
                                                         {"InClass", "Holder.work"},
                                                         {"InFunction", "free"},
                                                         {"TopHook", "hook"},
                                                         {"SubHook", "0.pre_hook"}};
  for (const auto& [name, method] : methods) {
    EXPECT_THAT(Load(folder, std::string(name) + ".pt"),
                AllOf(StartsWith("model-refused: the model's method "),
                      HasSubstr(std::string(method) + " calls aten::resize_ ("), HasSubstr("script.py"),
                      HasSubstr(", line "), HasSubstr("it was not run")))
        << name;
  }
}

// ---- refused after loading: an object is read as one of a larger class, beyond its end

TEST(ModelSafety, ObjectsReadAsAnotherClassAreRefusedBeforeAnyCall) {
  const TemporaryFolder folder;
  RunPython(folder, std::string(kModulesHead) + kConfusedModules);
  for (const char* name : {"Cast", "CastInList", "CastToOptional", "CastOfAny", "CastOfUnion", "CastOfTuple", "Unpacks",
                           "UnpacksFewer", "Passes", "Returns"}) {
    EXPECT_THAT(Load(folder, std::string(name) + ".pt"),
                AllOf(StartsWith("model-refused: the model's method "), HasSubstr(" takes a value of type "),
                      HasSubstr("without looking"), HasSubstr("it was not run")))
        << name;
  }
  const std::pair<const char*, const char*> attributes[] = {
      {"Object", "layer"}, {"OptionalObject", "layer"}, {"Shorter", "pair"}, {"Element", "pair"}, {"InDict", "counts"}};
  for (const auto& [name, attribute] : attributes) {
    EXPECT_THAT(Load(folder, std::string(name) + ".pt"),
                AllOf(StartsWith("model-refused: the model's attribute " + std::string(attribute) + " is declared as "),
                      HasSubstr("nothing was run")))
        << name;
  }
  for (const char* name : {"Narrow", "CastOfOptional", "OptionalTuple"})
    EXPECT_EQ(Load(folder, std::string(name) + ".pt"), "fine") << name;
}

// ---- what must stay allowed

TEST(ModelSafety, OrdinaryModelsAreAllowed) {
  const TemporaryFolder folder;
  std::istringstream names(RunPython(folder, std::string(kModulesHead) + kBenignModules));
  int loaded = 0;
  for (std::string name; names >> name;) {
    const std::string outcome = Load(folder, name);
    // A layer of torch.nn may have no parameters to train; that is for others to say.
    EXPECT_TRUE(outcome == "fine" || (name.starts_with("nn-") && !outcome.starts_with("model-refused")))
        << name << ": " << outcome;
    loaded += outcome == "fine";
  }
  EXPECT_GT(loaded, 100);
}

}  // namespace
}  // namespace tributary::model_safety_test
