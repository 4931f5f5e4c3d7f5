"""Writes into the folder of its argument one TorchScript file for each kind of module that devices could not train, or
would train wrongly; pack_test.cc says how each is refused."""
import json, sys, zipfile
from typing import Dict
import torch
from torch import Tensor, nn
import torch.nn.functional as F

torch.manual_seed(1)
folder = sys.argv[1]


def inputs(*names, **more):
    return [{"name": n, "shape": [-1, 4], **more} for n in names]


def manifest(features=("x",), targets=("y",), **more):
    return {"format": "tributary-task-1", "inputs": inputs(*features) + inputs(*targets, role="target"), **more}


def save(name, module, about=manifest(), script=True):
    module = torch.jit.script(module) if script else module
    module.save(f"{folder}/{name}.pt", _extra_files={"tributary.json": json.dumps(about)} if about else {})


def rewrite(name, to, record, change):
    with zipfile.ZipFile(f"{folder}/{name}.pt") as old, zipfile.ZipFile(f"{folder}/{to}.pt", "w") as new:
        for entry in old.namelist():
            data = old.read(entry)
            new.writestr(entry, change(data) if entry.endswith(record) else data)


class Good(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 4)

    def forward(self, x):
        return torch.add(self.last(x), 0.5)


class Modes(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(self.last(x)))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells = kind(4, 4, 2, dropout=0.5, batch_first=True)

    def forward(self, x):
        return self.cells(x.unsqueeze(1))[0][:, 0]


class AroundTraced(nn.Module):
    """A scripted module that looks at its mode, with a part in it that does not."""

    def __init__(self):
        super().__init__()
        self.part = torch.jit.trace(Modes().eval(), torch.randn(3, 4))
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.part(x))


class AlwaysDrops(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return F.dropout(self.norm(self.last(x)), 0.5)


class FixedNorm(Modes):
    def forward(self, x):
        norm = self.norm
        return self.drop(F.batch_norm(self.last(x), norm.running_mean, norm.running_var, norm.weight, norm.bias, False))


class Single(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        return F.linear(x, self.weight)


class Pair(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return x @ self.first @ self.second


class OnCuda(Good):
    def forward(self, x):
        return self.last(x) + torch.zeros(4, device="cuda")


class Predicts(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 4)

    @torch.jit.export
    def predict(self, x):
        return self.last(x)


class TwoArguments(Good):
    def forward(net, a, b):
        return net.last(a) + b

    @torch.jit.export
    def loss(net, a, b, goal):
        return (net.forward(a, b) - goal).pow(2).mean()


class Spare(Good):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(4, 4)


class Detached(Good):
    @torch.jit.export
    def loss(self, x, y):
        return (self.forward(x).detach() - y).pow(2).mean()


class Counting(Good):
    count: int

    def __init__(self):
        super().__init__()
        self.count = 0

    @torch.jit.export
    def loss(self, x, y):
        self.count += 1
        return (self.forward(x) - y).pow(2).mean() * self.count


class Infinite(Good):
    @torch.jit.export
    def loss(self, x, y):
        return (self.forward(x) - y).pow(2).mean() / 0.0


class Shapes(Good):
    @torch.jit.export
    def loss(self, x, y):
        return (self.forward(x) - y).pow(2)


class Names(Good):
    @torch.jit.export
    def metrics(self, x, y) -> Dict[str, Tensor]:
        return {"Mean Error": (self.forward(x) - y).abs().mean(1)}


class Nan(Good):
    @torch.jit.export
    def metrics(self, x, y) -> Dict[str, Tensor]:
        return {"mae": (self.forward(x) - y).abs().mean(1) * float("nan")}


class Hashes(Good):
    @torch.jit.export
    def loss(self, x, y):
        return (self.forward(x) - y).pow(2).mean() * (1 + hash(x) % 7)


class Embeds(nn.Module):
    def __init__(self):
        super().__init__()
        self.places = nn.Embedding(4, 4)

    def forward(self, x):
        return self.places(x)


class Raises(Good):
    def forward(self, x):
        if bool(x.sum() < 1e30):
            raise ValueError("the module's own words")
        return self.last(x)


class Many(Good):
    @torch.jit.export
    def metrics(self, x, y) -> Dict[str, Tensor]:
        to: Dict[str, Tensor] = {}
        for i in range(16):
            to["m" + str(i)] = x.sum(1)
        return to


weight = nn.Parameter(torch.randn(4, 4))
whole = torch.randn(40)
save("good", Good())
save("traced", torch.jit.trace(Modes().eval(), torch.randn(3, 4)), script=False)
save("traced_training", torch.jit.trace(Modes().train(), torch.randn(3, 4), check_trace=False), script=False)
save("traced_lstm", torch.jit.trace(Recurrent(nn.LSTM).eval(), torch.randn(3, 4)), script=False)
save("traced_gru", torch.jit.trace(Recurrent(nn.GRU).train(), torch.randn(3, 4), check_trace=False), script=False)
save("recurrent", Recurrent(nn.LSTM))
save("around_traced", AroundTraced())
save("always_drops", AlwaysDrops())
save("fixed_norm", FixedNorm())
save("hashes", Hashes())
save("raises", Raises())
save("wrong_pattern", Good(), manifest(tensors={"personal": ["lats.*"]}))
save("categories", Embeds(), {"format": "tributary-task-1", "inputs": [
    {"name": "x", "dtype": "INT64", "shape": [-1], "categories": list("abcde")},
    {"name": "y", "shape": [-1, 4], "role": "target"}]})
save("frozen", torch.jit.freeze(torch.jit.script(Good().eval())), script=False)
still = Good()
for parameter in still.parameters():
    parameter.requires_grad = False
save("all_frozen", still)
save("all_frozen_by_name", Good(), manifest(tensors={"frozen": ["last.*"]}))
save("all_personal", Good(), manifest(tensors={"personal": ["*"]}))
save("expanded", Single(nn.Parameter(torch.randn(1, 4).expand(4, 4))))
save("transposed", Pair(weight, nn.Parameter(weight.t())))
save("overlapping", Pair(nn.Parameter(whole[:16].view(4, 4)), nn.Parameter(whole[8:24].view(4, 4))))
save("half", Good().half())
save("bfloat", Good().bfloat16())
save("double", Good().double())
save("cuda", OnCuda())
rewrite("good", "newer_operator", "__torch__.py", lambda code: code.replace(b"torch.add", b"torch.add_of_tomorrow"))
rewrite("good", "newer_file", "/version", lambda _: b"99\n")
save("no_forward", Predicts())
save("unused_input", Good(), manifest(features=("x", "z")))
save("unknown_argument", TwoArguments(), manifest(features=("a",), targets=("goal",)))
save("no_manifest", TwoArguments(), None)
save("no_target", Good(), manifest(targets=()))
save("unknown_key", Good(), manifest(colour="red"))
save("no_shape", Good(), {"format": "tributary-task-1", "inputs": [{"name": "x"}, {"name": "y", "role": "target"}]})
save("wrong_shape", Good(), {"format": "tributary-task-1", "inputs": [{"name": "x", "shape": [-1, 5]},
                                                                      {"name": "y", "role": "target"}]})
save("other_shapes", Good(), {"format": "tributary-task-1",
                              "inputs": inputs("x") + [{"name": "y", "shape": [-1, 3], "role": "target"}]})
save("no_gradient", Spare())
save("detached", Detached())
save("counting", Counting())
save("infinite", Infinite())
save("loss_shape", Shapes())
save("metric_name", Names())
save("metric_nan", Nan())
save("metric_many", Many())
save("metric_missing", Good(), manifest(metrics={"mae": "smaller"}))
save("output_missing", Good(), manifest(outputs=[{"name": "a"}, {"name": "b"}]))
save("output_shape", Good(), manifest(outputs=[{"name": "a", "shape": [-1, 5]}]))
golden = {"x": [[1, 2, 3, 4]], "y": [[0, 0, 0, 0]]}
net = Good()
right = net(torch.tensor([[1.0, 2, 3, 4]])).tolist()
about = lambda **parts: manifest(outputs=[{"name": "out", "shape": [-1, 4]}], golden=parts)
save("golden", net, about(inputs=golden, outputs={"out": right}))
save("golden_off", net, about(inputs=golden, outputs={"out": [[v + 0.5 for v in right[0]]]}))
save("golden_lacks", net, about(inputs={"x": [[1, 2, 3, 4]]}))
save("golden_unknown", net, about(inputs={**golden, "w": [1]}))
save("golden_ragged", net, about(inputs={**golden, "x": [[1, 2], [3]]}))
classes = {"format": "tributary-task-1", "inputs": inputs("x") + [{"name": "y", "dtype": "INT64", "role": "target"}],
           "golden": {"inputs": {"x": [[1, 2, 3, 4]], "y": [4]}}}
save("golden_class", Good(), classes)


class Roles(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 4)
        self.fixed = nn.Linear(4, 4)
        self.fixed.weight.requires_grad = False
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 4)
        self.last = nn.Linear(4, 4, bias=False)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.last.weight

    def forward(self, x):
        return self.tied(self.last(self.head(self.norm(self.fixed(self.base(x))))))


save("roles", Roles(), manifest(tensors={"frozen": ["base.*"], "personal": ["head.*"], "local": ["norm.running_*"]}))
