"""Arrays of examples: how they are dealt out to devices, and the .npz files that `data import` reads."""

from __future__ import annotations

import array
import random
import struct
import zipfile
from typing import Any, Dict, List, Mapping, Sequence

from . import arrays
from .errors import Error

_NPY = {"BOOL": "|b1", "UINT8": "|u1", "INT8": "|i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8"}
_NPY.update({"FP32": "<f4", "FP64": "<f8"})
_FEWEST = 2  # examples of a device, where so many are there: one to train on, one held out


class Column:
    """One field of some examples: the first dimension are the examples."""

    def __init__(self, dtype: str, shape: Sequence[int], data: bytes) -> None:
        self.dtype, self.shape, self.data = dtype, tuple(shape), data

    @staticmethod
    def of(name: str, values: Any) -> "Column":
        """Of an array, a tensor, a pandas column, or nested lists of numbers."""
        try:
            dtype = arrays.dtype_of(values)
            data, shape = arrays.to_bytes(values, dtype)
        except (TypeError, ValueError) as bad:
            sentence = f"the field {name!r} of the examples is no array of numbers: {bad}"
            raise Error("invalid-argument", sentence) from None
        if not shape:
            sentence = f"the field {name!r} is one number; its first dimension must be the examples"
            raise Error("invalid-argument", sentence)
        return Column(dtype, shape, data)

    def take(self, rows: Sequence[int]) -> "Column":
        size = len(self.data) // max(self.shape[0], 1)
        parts = [self.data[row * size : (row + 1) * size] for row in rows]
        return Column(self.dtype, (len(rows), *self.shape[1:]), b"".join(parts))

    def integers(self) -> List[int]:
        if self.dtype.startswith("FP") or len(self.shape) != 1:
            raise Error("invalid-argument", "labels are whole numbers, one for each example")
        return array.array(arrays.letter_of(self.dtype), self.data).tolist()


Table = Dict[str, Column]


def table_of(data: Mapping[str, Any]) -> Table:
    """The columns of a dict of arrays, all with as many examples."""
    table = {name: Column.of(name, values) for name, values in data.items()}
    if not table:
        raise Error("invalid-argument", "the examples have no field")
    counts = {name: column.shape[0] for name, column in table.items()}
    if len(set(counts.values())) != 1:
        raise Error("invalid-argument", f"the fields have different numbers of examples: {counts}")
    return table


def count_of(table: Table) -> int:
    return next(iter(table.values())).shape[0]


def deal(table: Table, devices: int, how: str, label: str, alpha: float, seed: int) -> List[Table]:
    """Deals the examples out to devices; the same arguments give the same shares everywhere.

    iid: shuffled, in equal numbers. dirichlet: each label's examples are divided by a draw from Dirichlet(alpha)
    over the devices (Li et al., "Federated learning on non-IID data silos", 2022): a small alpha gives few labels
    per device and unequal numbers.
    """
    chance = random.Random(seed)
    count = count_of(table)
    if count < devices:
        raise Error("invalid-argument", f"{count} examples are too few for {devices} devices")
    if how == "iid":
        order = list(range(count))
        chance.shuffle(order)
        shares = [order[device::devices] for device in range(devices)]
    elif how == "dirichlet":
        if label not in table:
            raise Error("invalid-argument", f"dirichlet deals by the field {label!r}, which is not there; "
                        f"label= names one of {', '.join(table)}")
        shares = _dirichlet(table[label].integers(), devices, alpha, chance)
    else:
        raise Error("invalid-argument", f"examples are dealt out as 'iid' or 'dirichlet', not {how!r}")
    return [{name: column.take(sorted(share)) for name, column in table.items()} for share in shares]


def _dirichlet(labels: List[int], devices: int, alpha: float, chance: random.Random) -> List[List[int]]:
    shares: List[List[int]] = [[] for _ in range(devices)]
    for label in sorted(set(labels)):
        rows = [row for row, value in enumerate(labels) if value == label]
        chance.shuffle(rows)
        draws = [chance.gammavariate(alpha, 1) for _ in range(devices)]
        total, sum_, begin = sum(draws) or 1.0, 0.0, 0
        for device, drawn in enumerate(draws):
            sum_ += drawn
            end = len(rows) if device == devices - 1 else round(len(rows) * sum_ / total)
            shares[device] += rows[begin:end]
            begin = end
    fewest = min(_FEWEST, len(labels) // devices)
    for share in shares:
        while len(share) < fewest:
            share.append(max(shares, key=len).pop())
    return shares


def write_npz(path: str, table: Table) -> None:
    """As numpy.savez writes it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, column in table.items():
            shape = "".join(f"{size}, " for size in column.shape)
            head = f"{{'descr': '{_NPY[column.dtype]}', 'fortran_order': False, 'shape': ({shape}), }}"
            head += " " * (-(len(head) + 11) % 64) + "\n"
            begin = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head))
            archive.writestr(f"{name}.npy", begin + head.encode() + column.data)
