#pragma once

// Scripts that make TorchScript files: hostile ones, and ordinary ones that must stay allowed.
namespace tributary {

// Written by `save(name, module)` of kModulesHead; `bend` rewrites records of such a file.
inline constexpr const char* kModulesHead = R"py(
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

inline constexpr const char* kHiddenModules = R"py(
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

inline constexpr const char* kConfusedModules = R"py(
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
many = b"(" + b"0, " * 3000 + b")"
bend("Narrow", "UnpacksFewer", [(code, returns, b"    a, b = unchecked_cast(Tuple[int, int], " + many + b")\n    return torch.add(x, a)\n")])
cast("OptionalTuple", b"Tuple[int, int]", b"annotate(Optional[Tuple[int, int]], (1, 2))", b"y[1]")
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

inline constexpr const char* kBenignModules = R"py(
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

}  // namespace tributary
