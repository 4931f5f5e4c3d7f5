#!/usr/bin/python3
"""Writes the model files of this folder with Debian's python3-torch (1.13). Run it in the folder."""
import torch
from torch import Tensor, nn


class Small(nn.Module):
    """A module that may be loaded: a submodule, a float and an integer buffer, a list, constants, default arguments."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)
        self.sizes = [1, 2, 3]

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x)) + torch.tensor([0.5, 1.0, 2.0])

    @torch.jit.export
    def loss(self, x: Tensor, label: Tensor, weight: float = 0.5, how: str = "mean") -> Tensor:
        return nn.functional.cross_entropy(self.forward(x), label, reduction=how) * weight


torch.manual_seed(1)
torch.jit.script(Small()).save("small.pt", _extra_files={"tributary.json": '{"format": "tributary-task-1"}\n'})
torch.save(nn.Linear(2, 2), "pickled.pt")
torch.save(nn.Linear(2, 2).state_dict(), "state_dict.pt")
