"""Makes the tasks that learn_kinds_test.cc trains, in the folder of its argument: for each kind a folder with the
TorchScript file m.pt, and the fields of its examples. fields.txt has a line for each: name, dtype, shape; name.bin its
values, and name.ends the ends of a field that varies. With the arguments `loop FOLDER` it trains each kind by a loop of
its own instead, over the batches of the file order, and writes the weights."""
import json, os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # it has a pool beside LibTorch's, which sums in another order
import numpy as np
import torch
from torch import Tensor, nn
from typing import Dict, Tuple
import torch.nn.functional as F

torch.set_num_threads(1)
SKLEARN = "/usr/lib/python3/dist-packages/sklearn/datasets/data/"
VEGA = "/usr/lib/python3/dist-packages/vega_datasets/_data/"


def field(name, dtype, shape, role="feature", **more):
    return {"name": name, "dtype": dtype, "shape": shape, "role": role, **more}


STANDARD = {"kind": "device-standard"}


class Diabetes(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(10, 16)
        self.last = nn.Linear(16, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.hidden(x)))


class Forecast(nn.Module):
    """Quantiles of the next four hours."""
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(24, 32)
        self.last = nn.Linear(32, 12)
        self.register_buffer("quantiles", torch.tensor([0.1, 0.5, 0.9]), persistent=True)

    def forward(self, window):
        return self.last(torch.relu(self.hidden(window))).reshape(-1, 4, 3) + window[:, -1:].unsqueeze(2)

    @torch.jit.export
    def loss(self, window, future):
        off = future.unsqueeze(2) - self.forward(window)
        return torch.maximum(self.quantiles * off, (self.quantiles - 1) * off).mean(dim=(1, 2))

    @torch.jit.export
    def metrics(self, window, future) -> Dict[str, Tensor]:
        out = self.forward(window)
        inside = (future >= out[:, :, 0]) & (future <= out[:, :, 2])
        return {"mae": (future - out[:, :, 1]).abs().mean(1), "covered": inside.float().sum(1),
                "covered.weight": torch.full((future.size(0),), 4.0)}


class Characters(nn.Module):
    def __init__(self, symbols=64):
        super().__init__()
        self.embed = nn.Embedding(symbols, 16)
        self.rnn = nn.GRU(16, 32, batch_first=True)
        self.last = nn.Linear(32, symbols)

    def forward(self, text):
        return self.last(self.rnn(self.embed(text))[0])


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Linear(64, 12)
        self.up = nn.Linear(12, 64)

    def forward(self, image):
        code = torch.tanh(self.down(image))
        return {"code": code, "image": torch.sigmoid(self.up(code))}


class Colours(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.25)
        self.last = nn.Linear(8 * 4 * 4, 10)

    def forward(self, pixels):
        x = F.max_pool2d(torch.relu(self.norm(self.conv(pixels))), 2)
        return self.last(self.drop(x.flatten(1)))


class Cancer(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(30, 1)

    def forward(self, x) -> Tuple[Tensor, Tensor]:
        logit = self.last(x)
        return logit, torch.sigmoid(logit)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.sex = nn.Embedding(2, 4)
        self.hidden = nn.Linear(13, 16)
        self.last = nn.Linear(16, 1)

    def forward(self, blood, sex):
        return self.last(torch.relu(self.hidden(torch.cat([blood, self.sex(sex)], 1)))).squeeze(1)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(1, 12, num_layers=2, dropout=0.3, batch_first=True)
        self.last = nn.Linear(12, 4)

    def forward(self, window):
        return self.last(self.rnn(window.unsqueeze(2))[0][:, -1])


class Words(nn.Module):
    """Sequences of unequal length with a loss and a metric by the token."""
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(32, 8)
        self.last = nn.Linear(8, 32)

    def forward(self, text):
        return self.last(self.embed(text))

    @torch.jit.export
    def loss(self, text):
        logits = self.forward(text)[:, :-1]
        target = text[:, 1:]
        there = (target > 0).float()
        each = F.cross_entropy(logits.transpose(1, 2), target, reduction="none")
        return (each * there).sum() / there.sum()

    @torch.jit.export
    def metrics(self, text) -> Dict[str, Tensor]:
        target = text[:, 1:]
        there = target > 0
        hits = (self.forward(text)[:, :-1].argmax(2) == target) & there
        return {"tokens.accuracy": hits.float().sum(1), "tokens.accuracy.weight": there.float().sum(1)}


def temperatures():
    values = [float(line.rsplit(",", 1)[1]) for line in open(VEGA + "seattle-temps.csv").read().split("\n")[1:] if line]
    starts = range(0, 28 * 220, 28)
    return (np.float32([values[s:s + 24] for s in starts]), np.float32([values[s + 24:s + 28] for s in starts]))


def text_tokens():
    return np.frombuffer(open("/usr/share/common-licenses/GPL-3", "rb").read(), np.uint8).astype(np.int64) % 64


def kinds():
    table = np.loadtxt(SKLEARN + "diabetes_data_raw.csv.gz").astype(np.float32)
    progress = np.loadtxt(SKLEARN + "diabetes_target.csv.gz").astype(np.float32)
    window, future = temperatures()
    tokens = text_tokens()[:33 * 200].reshape(200, 33)
    digits = np.loadtxt(SKLEARN + "digits.csv.gz", delimiter=",")[:400]
    images, labels = digits[:, :64].astype(np.uint8), digits[:, 64].astype(np.uint8)
    colour = np.stack([images, 16 - images, images // 2], 1).reshape(-1, 3, 8, 8)
    cancer = np.loadtxt(SKLEARN + "breast_cancer.csv", delimiter=",", skiprows=1)
    target = {"kind": "constant", "mean": 150, "std": 75}
    degrees = {"kind": "constant", "mean": 50, "std": 10}
    sixteen = {"kind": "constant", "mean": 0, "std": 16}
    lines = [line for line in open("/usr/share/common-licenses/GPL-3").read().split("\n") if len(line) > 3][:200]
    words = [np.int64([ord(c) % 31 + 1 for c in line]) for line in lines]
    mse = lambda out, y: F.mse_loss(out.flatten(), y)
    ce = lambda out, y: F.cross_entropy(out.reshape(-1, out.size(-1)), y.flatten())
    return {
        "diabetes": (Diabetes(), [field("x", "FP32", [-1, 10], scale=STANDARD),
                                  field("progress", "FP32", [-1], "target", scale=target)],
                     {"x": table, "progress": progress}, {}, lambda m, x, progress: mse(m(x), progress)),
        "forecast": (Forecast(), [field("window", "FP32", [-1, 24], scale=degrees),
                                  field("future", "FP32", [-1, 4], "target", scale=degrees)],
                     {"window": window, "future": future}, {"metrics": {"mae": "smaller", "covered": "larger"}},
                     lambda m, window, future: m.loss(window, future).mean()),
        "characters": (Characters(), [field("text", "INT64", [-1, 32]), field("next", "INT64", [-1, 32], "target")],
                       {"text": tokens[:, :-1].astype(np.uint8), "next": tokens[:, 1:]}, {},
                       lambda m, text, next: ce(m(text), next)),
        "autoencoder": (Autoencoder(), [field("image", "FP32", [-1, 64], scale=sixteen),
                                        field("same", "FP32", [-1, 64], "target", field="image", scale=sixteen)],
                        {"image": images},
                        {"outputs": [{"name": "image", "shape": [-1, 64]}, {"name": "code", "shape": [-1, 12]}]},
                        lambda m, image, same: F.mse_loss(m(image)["image"], same)),
        "colours": (Colours(), [field("pixels", "FP32", [-1, 3, 8, 8], scale={"kind": "constant", "mean": 8, "std": 4}),
                                field("label", "INT64", [-1], "target")],
                    {"pixels": colour, "label": labels}, {"classes": [str(i) for i in range(10)]},
                    lambda m, pixels, label: ce(m(pixels), label)),
        "cancer": (Cancer(), [field("x", "FP32", [-1, 30], scale=STANDARD), field("benign", "FP32", [-1], "target")],
                   {"x": cancer[:, :30], "benign": cancer[:, 30].astype(np.uint8)},
                   {"outputs": [{"name": "logit", "shape": [-1, 1]}, {"name": "probability"}]},
                   lambda m, x, benign: F.binary_cross_entropy_with_logits(m(x)[0].flatten(), benign)),
        "two": (TwoInputs(), [field("blood", "FP32", [-1, 9], scale=STANDARD), field("sex", "INT64", [-1]),
                              field("progress", "FP32", [-1, 1], "target", scale=target),
                              field("importance", "FP32", [-1], "weight")],
                {"blood": np.delete(table, 1, 1), "sex": (table[:, 1] == 2).astype(np.uint8), "progress": progress,
                 "importance": np.float32(np.arange(len(table)) % 3)}, {},
                lambda m, blood, sex, progress, importance:
                    (importance * F.huber_loss(m(blood, sex), progress.flatten(), reduction="none")).sum()
                    / importance.sum()),
        "lstm": (Lstm(), [field("window", "FP32", [-1, 24], scale=degrees),
                          field("future", "FP32", [-1, 4], "target", scale=degrees)],
                 {"window": window, "future": future}, {}, lambda m, window, future: F.l1_loss(m(window), future)),
        "words": (Words(), [field("text", "INT64", [-1, -1])], {"text": words},
                  {"metrics": {"tokens.accuracy": "larger"}}, lambda m, text: m.loss(text)),
    }


NAMES = {np.dtype(np.uint8): "UINT8", np.dtype(np.int64): "INT64", np.dtype(np.float32): "FP32",
         np.dtype(np.float64): "FP64"}


def make(folder):
    for name, (module, inputs, data, more, _) in kinds().items():
        at = os.path.join(folder, name)
        os.makedirs(at)
        manifest = {"format": "tributary-task-1", "inputs": inputs, **more}
        torch.jit.script(module).save(at + "/m.pt", _extra_files={"tributary.json": json.dumps(manifest)})
        with open(at + "/fields.txt", "w") as fields:
            for key, values in data.items():
                varies = isinstance(values, list)
                flat = np.concatenate(values) if varies else values
                shape = ["-1"] if varies else [str(d) for d in values.shape[1:]]
                fields.write(" ".join([key, NAMES[flat.dtype]] + shape) + "\n")
                np.ascontiguousarray(flat).tofile(f"{at}/{key}.bin")
                if varies:
                    np.cumsum([len(v) for v in values]).astype(np.uint64).tofile(f"{at}/{key}.ends")


def scaled(values, scale):
    if scale and scale["kind"] == "constant":
        return ((values.astype(np.float32) - np.float32(scale["mean"])) / np.float32(scale["std"]))
    if scale:
        mean, std = values.astype(np.float64).mean(0), values.astype(np.float64).std(0)
        return (values.astype(np.float32) - mean.astype(np.float32)) / std.astype(np.float32)
    return values


def loop(folder):
    for name, (module, inputs, data, _, loss_of) in kinds().items():
        at = os.path.join(folder, name)
        plan = json.load(open(at + "/plan.json"))
        module.load_state_dict(torch.jit.load(at + "/m.pt").state_dict())
        module.train()
        columns = {}
        for i in inputs:
            values = data[i.get("field", i["name"])]
            if isinstance(values, list):
                columns[i["name"]] = [torch.from_numpy(v) for v in values]
                continue
            tensor = torch.from_numpy(scaled(values, i.get("scale")))
            columns[i["name"]] = tensor.long() if i["dtype"] == "INT64" else tensor.float()
        optimizer = torch.optim.SGD(module.parameters(), lr=plan["learning_rate"], momentum=plan["momentum"])
        torch.manual_seed(plan["seed"])
        for line in open(at + "/order"):
            batch = [int(i) for i in line.split()]
            arguments = {key: nn.utils.rnn.pad_sequence([values[i] for i in batch], batch_first=True)
                         if isinstance(values, list) else values[batch] for key, values in columns.items()}
            optimizer.zero_grad()
            loss_of(module, **arguments).backward()
            optimizer.step()
        tensors = list(module.parameters()) + [b for b in module.buffers() if b.is_floating_point()]
        np.concatenate([t.detach().numpy().flatten() for t in tensors]).tofile(at + "/expected")


torch.manual_seed(7)
if __name__ == "__main__":
    if sys.argv[1] == "loop":
        loop(sys.argv[2])
    else:
        make(sys.argv[1])
