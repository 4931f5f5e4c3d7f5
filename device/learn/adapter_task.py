#!/usr/bin/python3
"""Makes a task that trains adapters over a frozen base: adapter_task.py adapters.pt [base.pt]

Each adapted layer computes base(x) + (x A) B (LoRA, Hu et al. 2022). A is random, the same for all devices, and
frozen; only B is trained and travels (FFA-LoRA, Sun et al. 2024). So the mean of the devices' B gives exactly the
mean of their changes A B. If A were trained as well, mean(A) mean(B) would be something else than mean(A B).

Here the base is a small network for Fashion-MNIST with random weights, or one of the same form that base.pt holds.
For a model of your own, replace Base and name the layers to adapt. The base travels once, inside of the module; an
update has the adapters only.
"""
import json
import sys

import torch
from torch import Tensor, nn


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 256)
        self.output = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(torch.relu(self.hidden(torch.flatten(x, 1))))


class Adapted(nn.Module):
    """A linear layer and its adapter of rank `rank`."""

    def __init__(self, base: nn.Linear, rank: int):
        super().__init__()
        self.base = base
        self.A = nn.Parameter(torch.randn(base.in_features, rank) / base.in_features**0.5, requires_grad=False)
        self.B = nn.Parameter(torch.zeros(rank, base.out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.A @ self.B


def main():
    torch.manual_seed(1)
    model = Base()
    if len(sys.argv) > 2:
        model.load_state_dict(torch.jit.load(sys.argv[2]).state_dict())
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.hidden = Adapted(model.hidden, rank=8)
    model.output = Adapted(model.output, rank=4)
    manifest = {
        "format": "tributary-task-1",
        "inputs": [
            {"name": "x", "dtype": "FP32", "shape": [-1, 1, 28, 28], "field": "image",
             "scale": {"kind": "constant", "mean": 0, "std": 255}},
            {"name": "label", "dtype": "INT64", "shape": [-1], "role": "target"},
        ],
        "outputs": [{"name": "output", "dtype": "FP32", "shape": [-1, 10]}],
        # Tensors without requires_grad are frozen anyway; this says so to people.
        "tensors": {"frozen": ["*.base.*", "*.A"]},
    }
    torch.jit.script(model).save(sys.argv[1], _extra_files={"tributary.json": json.dumps(manifest)})


main()
