"""Arrays of examples, and the .npz files that `data import` reads."""

from __future__ import annotations

import struct
import zipfile
from typing import Any, Dict, Mapping, Sequence

from . import arrays
from .errors import Error

_NPY = {"BOOL": "|b1", "UINT8": "|u1", "INT8": "|i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8"}
_NPY.update({"FP32": "<f4", "FP64": "<f8"})


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


def write_npz(path: str, table: Table) -> None:
    """As numpy.savez writes it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, column in table.items():
            shape = "".join(f"{size}, " for size in column.shape)
            head = f"{{'descr': '{_NPY[column.dtype]}', 'fortran_order': False, 'shape': ({shape}), }}"
            head += " " * (-(len(head) + 11) % 64) + "\n"
            begin = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head))
            archive.writestr(f"{name}.npy", begin + head.encode() + column.data)
