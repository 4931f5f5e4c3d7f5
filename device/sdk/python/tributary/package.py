"""The file that `tributary-device pack` makes (protocol/catalogue/model_package.h), read without any program."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from .errors import Error

_MAGIC = b"TRBPKG1\n"


class Package(NamedTuple):
    """A module and the weights that a task begins with."""

    tensors: List[Dict[str, Any]]  # {"name", "shape"}, in the order of the weights
    module: bytes  # TorchScript
    weights: bytes  # float32, little endian
    manifest: Optional[Dict[str, Any]]  # tributary.json; None: one image of bytes and its label


class _Struct:
    """A struct of a canonical Cap'n Proto message: one segment, so all pointers are near."""

    def __init__(self, words: bytes, start: int, data: int, pointers: int) -> None:
        self._words, self._start, self._data, self._pointers = words, start, data, pointers

    def number(self, at: int) -> int:
        return struct.unpack_from("<Q", self._words, 8 * (self._start + at))[0] if at < self._data else 0

    def _list(self, at: int) -> Tuple[int, int]:
        """Where the list begins, and its size as its pointer has it; (0, 0): there is none."""
        if at >= self._pointers:
            return 0, 0
        place = self._start + self._data + at
        low, high = struct.unpack_from("<iI", self._words, 8 * place)
        return (place + 1 + (low >> 2), high >> 3) if low or high else (0, 0)

    def text(self, at: int) -> str:
        start, size = self._list(at)
        return self._words[8 * start : 8 * start + max(size - 1, 0)].decode()

    def numbers(self, at: int) -> List[int]:
        start, size = self._list(at)
        return list(struct.unpack_from(f"<{size}q", self._words, 8 * start))

    def structs(self, at: int) -> List["_Struct"]:
        start, size = self._list(at)
        if size == 0:
            return []
        count, shape = struct.unpack_from("<iI", self._words, 8 * start)
        data, pointers = shape & 0xFFFF, shape >> 16
        step = data + pointers
        return [_Struct(self._words, start + 1 + i * step, data, pointers) for i in range(count >> 2)]


def read_package(path: Union[str, "os.PathLike[str]"]) -> Package:
    """Reads a .tpkg file. Raises tributary.Error with code "malformed" when it is none."""
    with open(path, "rb") as file:
        whole = file.read()
    try:
        if whole[:8] != _MAGIC:
            raise ValueError("it does not begin as one")
        (size,) = struct.unpack_from("<I", whole, 8)
        words, rest = whole[12 : 12 + size], whole[12 + size :]
        low, high = struct.unpack_from("<iI", words, 0)
        root = _Struct(words, 1 + (low >> 2), high & 0xFFFF, high >> 16)
        tensors = [{"name": tensor.text(0), "shape": tensor.numbers(1)} for tensor in root.structs(0)]
        manifest = root.text(3)
        module = root.number(0)
        return Package(tensors, rest[:module], rest[module:], json.loads(manifest) if manifest else None)
    except (ValueError, struct.error) as wrong:
        raise Error(
            "malformed", f"{os.fspath(path)} is no model package: {wrong}. Make one with tributary-device pack"
        ) from None
