// What a model file may do: hostile files written by Debian's PyTorch, and ordinary ones that must stay allowed. Before
// these checks `tributary-device pack evil.pt` wrote the file that a nested __setstate__ names, and forward could read
// any file.
#include <filesystem>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/torch/model.h"
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

// Written by `save(name, module)` of kHead; `bend` rewrites records of such a file.
constexpr const char* kHead = R"py(
import enum, io, os, re, warnings, zipfile
from typing import Dict, Final, List, NamedTuple, Optional, Tuple
import torch
from torch import Tensor, nn
warnings.simplefilter("ignore")

def save(name, module):
    torch.jit.script(module).save(name + ".pt")

def bend(old, new, changes, extra={}):
    changed = 0
    with zipfile.ZipFile(old + ".pt") as a, zipfile.ZipFile(new + ".pt", "w", zipfile.ZIP_STORED) as b:
        for record in a.namelist():
            content = a.read(record)
            inside = record.split("/", 1)[1]
            for pattern, before, after in changes:
                if not re.fullmatch(pattern, inside): continue
                content, found = re.subn(before, after, content)
                changed += found
            b.writestr(record, content)
        for record, content in extra.items():
            b.writestr(a.namelist()[0].split("/", 1)[0] + "/" + record, content)
    assert changed >= len(changes), (new, changed)
)py";

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
  RunPython(folder, std::string(kHead) + kHostile);
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

constexpr const char* kHidden = R"py(
class Sub(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def helper(self, x: Tensor) -> Tensor:
        if x.numel() > 3:
            for i in range(2):
                x = torch.sigmoid(x)
        return x
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

class InHelper(nn.Module):
    def __init__(self):
        super().__init__()
        self.sub = Sub()
    def forward(self, x: Tensor) -> Tensor:
        return self.sub(x)
    @torch.jit.export
    def loss(self, x: Tensor) -> Tensor:
        return self.sub.helper(x).mean()

def pre_hook(self, input: Tuple[Tensor]) -> Tuple[Tensor]:
    x = input[0]
    return (torch.sigmoid(x),)

def hook(self, input: Tuple[Tensor], output: Tensor) -> Tensor:
    x = output + 1
    return torch.sigmoid(x) + torch.sigmoid(x)

@torch.jit.script
class Holder(object):
    def __init__(self, a: int):
        self.a = a
    def work(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

class InClass(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Holder(1).work(x)

def free(x: Tensor) -> Tensor:
    return torch.sigmoid(x)

class InFunction(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return free(x)

top = nn.Linear(2, 2)
top.register_forward_hook(hook)
below = nn.Linear(2, 2)
below.register_forward_pre_hook(pre_hook)
for name, module in {"InHelper": InHelper(), "InClass": InClass(), "InFunction": InFunction(), "TopHook": top,
                     "SubHook": nn.Sequential(below, nn.ReLU())}.items():
    save("plain", module)
    # Of the same length, so that the lines of the Python file stay where they were.
    bend("plain", name, [(r"code/.*\.py", rb"torch\.sigmoid\((\w+)\)", rb"(\1).resize_([9])")])
)py";

TEST(ModelSafety, OperatorsThatOnlyTheGraphShowsAreRefusedBeforeAnyCall) {
  const TemporaryFolder folder;
  RunPython(folder, std::string(kHead) + kHidden);
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

constexpr const char* kConfused = R"py(
class Narrow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.pair: Tuple[int, int] = (1, 2)
        self.counts: Dict[str, List[int]] = {"a": [7]}
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

save("Narrow", Narrow())
code = r"code/__torch__\.py"
linear = rb"layer : __torch__\.torch\.nn\.modules\.linear\.Linear"
big = b"class Big(Module):\n  __parameters__ = []\n  __buffers__ = []\n" + b"".join(b"  a%d : Tensor\n" % i for i in range(200))
returns = rb"    return \(layer\)\.forward\(x, \)\n"
def cast(name, type, value, use):
    bend("Narrow", name, [(code, returns, b"    y = unchecked_cast(%s, %s)\n    return torch.add(x, %s)\n" % (type, value, use)),
                          (code, rb"\Z", big)])
cast("Cast", b"__torch__.Big", b"layer", b"torch.sum(y.a150)")
cast("CastInList", b"List[__torch__.Big]", b"[layer]", b"torch.sum((y[0]).a150)")
cast("CastToOptional", b"Optional[__torch__.Big]", b"layer", b"torch.len([y])")
cast("CastOfAny", b"__torch__.Big", b"annotate(Any, layer)", b"torch.sum(y.a150)")
cast("CastOfUnion", b"__torch__.Big", b"annotate(Union[__torch__.torch.nn.modules.linear.Linear, __torch__.Big], layer)", b"torch.sum(y.a150)")
cast("CastOfTuple", b"Tuple[int, int, int]", b"(torch.dim(x), 2)", b"y[2]")
cast("CastOfOptional", b"int", b"annotate(Optional[int], 3)", b"y")
bend("Narrow", "Unpacks", [(code, returns, b"    a, b, c = unchecked_cast(Tuple[int, int, int], (1, 2))\n    return torch.add(x, c)\n")])
helper = b"  def helper(self: __torch__.Narrow,\n    p: Tuple[int, int, int]) -> int:\n    a, b, c = p\n    return c\n"
bend("Narrow", "Passes", [(code, returns, b"    return torch.add(x, (self).helper(unchecked_cast(Tuple[int, int, int], (1, 2)), ))\n" + helper)])
helper = b"  def helper(self: __torch__.Narrow) -> Tuple[int, int, int]:\n    return unchecked_cast(Tuple[int, int, int], (1, 2))\n"
bend("Narrow", "Returns", [(code, returns, b"    a, b, c = (self).helper()\n    return torch.add(x, c)\n" + helper)])

def declare(name, before, after):
    bend("Narrow", name, [(code, before, after), (code, returns, b"    return x\n"), (code, rb"layer = self\.layer\n", b"layer = x\n"),
                          (code, rb"\Z", big)])
declare("Object", linear, b"layer : __torch__.Big")
declare("OptionalObject", linear, b"layer : Optional[__torch__.Big]")
declare("Shorter", rb"pair : Tuple\[int, int\]", b"pair : Tuple[int, int, int]")
declare("Element", rb"pair : Tuple\[int, int\]", b"pair : Tuple[int, Tensor]")
declare("InDict", rb"counts : Dict\[str, List\[int\]\]", b"counts : Dict[str, List[__torch__.Big]]")
)py";

TEST(ModelSafety, ObjectsReadAsAnotherClassAreRefusedBeforeAnyCall) {
  const TemporaryFolder folder;
  RunPython(folder, std::string(kHead) + kConfused);
  for (const char* name : {"Cast", "CastInList", "CastToOptional", "CastOfAny", "CastOfUnion", "CastOfTuple"}) {
    EXPECT_THAT(Load(folder, std::string(name) + ".pt"),
                AllOf(StartsWith("model-refused: the model's method forward takes a value of type "),
                      HasSubstr("without looking"), HasSubstr("it was not run")))
        << name;
  }
  EXPECT_THAT(Load(folder, "Unpacks.pt"), StartsWith("model-refused: the model's method forward unpacks 3 values from a "));
  for (const char* name : {"Passes", "Returns"})
    EXPECT_THAT(Load(folder, std::string(name) + ".pt"), HasSubstr("gives a constant tuple to ")) << name;
  const std::pair<const char*, const char*> attributes[] = {
      {"Object", "layer"}, {"OptionalObject", "layer"}, {"Shorter", "pair"}, {"Element", "pair"}, {"InDict", "counts"}};
  for (const auto& [name, attribute] : attributes) {
    EXPECT_THAT(Load(folder, std::string(name) + ".pt"),
                AllOf(StartsWith("model-refused: the model's attribute " + std::string(attribute) + " is declared as "),
                      HasSubstr("nothing was run")))
        << name;
  }
  for (const char* name : {"Narrow", "CastOfOptional"}) EXPECT_EQ(Load(folder, std::string(name) + ".pt"), "fine") << name;
}

// ---- what must stay allowed

constexpr const char* kBenign = R"py(
class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2),
                                 nn.Flatten(), nn.Linear(36, 5))
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 8, num_layers=2, dropout=0.3, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(16, 4, batch_first=True)
        self.head = nn.Linear(4, 20)
    def forward(self, tokens: Tensor, lengths: Optional[Tensor] = None) -> Tensor:
        x = self.embed(tokens)
        if lengths is not None:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            packed, _ = self.lstm(packed)
            x, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        else:
            x, _ = self.lstm(x)
        return self.head(self.gru(x)[0])

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
    def forward(self, x: Tensor) -> Tensor:
        mask = torch.triu(torch.full([x.size(1), x.size(1)], float("-inf")), 1)
        return self.encoder(x, mask)

class Quantile(nn.Module):
    def __init__(self):
        super().__init__()
        self.station = nn.Embedding(5, 3)
        self.net = nn.Sequential(nn.Linear(27, 16), nn.GELU(), nn.Linear(16, 3))
        self.register_buffer("levels", torch.tensor([0.1, 0.5, 0.9]))
    def forward(self, window: Tensor, station: Tensor) -> Dict[str, Tensor]:
        out = self.net(torch.cat([window, self.station(station)], 1))
        return {"low": out[:, 0], "middle": out[:, 1], "high": out[:, 2]}
    @torch.jit.export
    def loss(self, window: Tensor, station: Tensor, future: Tensor) -> Tensor:
        out = self.forward(window, station)
        error = future.unsqueeze(1) - torch.stack([out["low"], out["middle"], out["high"]], 1)
        return torch.maximum(self.levels * error, (self.levels - 1) * error).mean(1)
    @torch.jit.export
    def metrics(self, window: Tensor, station: Tensor, future: Tensor) -> Dict[str, Tensor]:
        if not bool(torch.isfinite(future).all()):
            raise ValueError("future is not finite: {}".format(future.size(0)))
        return {"mae": (self.forward(window, station)["middle"] - future).abs(), "one.weight": torch.ones_like(future)}

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + x)

class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(16, 4), nn.Linear(4, 16)
    def encode(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        mean, log = self.down(x).chunk(2, 1)
        return mean, log
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        mean, log = self.encode(x)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log)
        return self.up(torch.cat([z, z], 1)).sigmoid(), z

class Color(enum.Enum):
    RED = "r"
    BLUE = "b"

class Pair(NamedTuple):
    first: Tensor
    second: int = 3

@torch.jit.script
class Counter(object):
    def __init__(self, start: int):
        self.value = start
    def next(self, x: int) -> int:
        return self.value + x

@torch.jit.interface
class Step(nn.Module):
    def forward(self, input: Tensor) -> Tensor:
        pass

class Language(nn.Module):
    levels: Final[List[int]] = [1, 2]
    none: Final[float] = float("nan")
    step: Step
    def __init__(self):
        super().__init__()
        self.step, self.layer = nn.Tanh(), nn.Linear(4, 4)
        self.color, self.complex, self.kind, self.big = Color.RED, complex(1, 2), torch.int64, 2**40
        self.tuple, self.tensors, self.table = (1, "a", torch.zeros(2)), [torch.ones(2), torch.zeros(0)], {1: [1.5]}
        self.text = "\" ' \\ \n # y = torch.save(x)"
        self.register_buffer("flipped", torch.arange(6.).reshape(2, 3).t())
        self.register_buffer("part", torch.arange(6.)[2:4])
        self.register_buffer("yes", torch.zeros(2, dtype=torch.bool))
        self.counter = Counter(3)
    def forward(self, x: Tensor, a: Optional[str] = "b", b: Tuple[int, float] = (1, 2.5), c: int = 10**12) -> Pair:
        assert x.dim() > 0, "dimensions: %d" % x.dim()
        if self.color == Color.BLUE:
            x = x + 1
        table = {i: f"{i}" for i in [i * 2 for i in range(3)]}
        while bool(x.sum() > 1e6):
            x /= self.counter.next(len(table)) + len("a = torch.save(b) # 'c'")
        best, index = torch.max(self.step(self.layer(x)), -1, keepdim=True)
        return Pair(torch.where(best > 0, best, torch.zeros_like(best)), 4)

class Containers(nn.Module):
    words: Dict[str, int]
    def __init__(self):
        super().__init__()
        self.words = {"a": 1, "b": 2}
        self.steps = nn.ModuleList([nn.Linear(4, 4), nn.Tanh()])
        self.parts = nn.ModuleDict({"x": nn.Linear(4, 2)})
        self.names: List[str] = ["a", "b"]
        self.device = torch.device("cpu")
    def forward(self, x: Tensor, how: str = "mean", scale: float = -1.5, more: Optional[List[int]] = None) -> Tensor:
        for step in self.steps:
            x = step(x)
        with torch.no_grad():
            y = x.detach().clone()
        total = 0
        for name in self.names:
            total += self.words.get(name, 0)
        y[:, 0] = float(total)
        return self.parts["x"](x + y.to(self.device))

modules = Language(), Cnn(), Recurrent(), Attention(), Quantile(), Block(), Coder(), Containers()
for module in modules:
    save("own-" + type(module).__name__, module)
torch.jit.trace(Cnn().eval(), torch.zeros(2, 3, 8, 8)).save("own-traced.pt")
torch.jit.trace(Block(), torch.zeros(2, 4, 8, 8)).save("own-traced-block.pt")

# Everything of torch.nn that can be scripted.
import inspect
sizes = {"Bilinear": (2, 3, 4), "LSTM": (4, 4, 2), "GRU": (4, 4, 2), "RNN": (4, 4, 2), "MultiheadAttention": (4, 2), "GroupNorm": (2, 4),
         "Transformer": (4, 2, 1, 1, 8), "TransformerEncoderLayer": (4, 2), "TransformerDecoderLayer": (4, 2)}
for name, kind in inspect.getmembers(nn, inspect.isclass):
    if not issubclass(kind, nn.Module): continue
    for arguments in [sizes[name]] if name in sizes else [(), (4,), (2, 2), (2, 2, 2)]:
        try:
            save("nn-" + name, kind(*arguments))
            break
        except Exception:
            pass
print(" ".join(sorted(f for f in os.listdir(".") if f.endswith(".pt"))))
)py";

TEST(ModelSafety, OrdinaryModelsAreAllowed) {
  const TemporaryFolder folder;
  std::istringstream names(RunPython(folder, std::string(kHead) + kBenign));
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
