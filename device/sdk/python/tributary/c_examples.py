"""Examples and tensors of Python as the C header takes them."""
from __future__ import annotations

import os
import sys
import threading
import traceback
from ctypes import c_char_p, c_int64, c_void_p, cast
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from . import arrays as _arrays
from . import c_header as _c
from .errors import Error

_INVALID_ARGUMENT = 93  # what a callback that raised returns to the library


def text_of(value: Any) -> Optional[bytes]:
    """A text or path as C takes it; None stays."""
    if value is None:
        return None
    try:
        text = value.encode() if isinstance(value, str) else os.fsencode(value)
    except (TypeError, UnicodeEncodeError):
        raise Error("invalid-argument", f"{value!r:.100} is no text") from None
    if b"\0" in text:
        raise Error("invalid-argument", f"{value!r:.100} has a zero byte in it")
    return text


_inside = threading.local()


def inside_callback() -> bool:
    """Whether the library has called this thread."""
    return getattr(_inside, "depth", 0) > 0


def guarded(function: Callable[..., Any], otherwise: Any) -> Callable[..., Any]:
    """An exception has no way through C."""

    def call(*arguments: Any) -> Any:
        _inside.depth = getattr(_inside, "depth", 0) + 1
        try:
            return function(*arguments)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return otherwise
        finally:
            _inside.depth -= 1

    return call


def fields_of(fields: Mapping[str, Tuple[str, Sequence[int]]]) -> Any:
    try:
        given = [(name, dtype, [int(length) for length in shape]) for name, (dtype, shape) in fields.items()]
    except (AttributeError, TypeError, ValueError):
        raise Error(
            "invalid-argument", 'fields must be a dict of (dtype, shape): {"x": ("FP32", [64]), "label": ("INT64", [])}'
        ) from None
    declared = (_c.Field * len(given))()
    for one, (name, dtype, shape) in zip(declared, given):
        if dtype not in _c.DTYPES[1:]:
            raise Error(
                "invalid-argument",
                f"the field {name} has the dtype {dtype}, which is none of {', '.join(_c.DTYPES[1:])}",
            )
        one.name, one.dtype, one.ndim = text_of(name), _c.DTYPES.index(dtype), len(shape)
        if shape:
            one.shape = (c_int64 * len(shape))(*shape)
    return declared


def fill(tensor: Any, name: str, dtype: str, shape: Sequence[int], raw: bytes) -> Any:
    """Returns what must live as long as the tensor."""
    tensor.name, tensor.dtype, tensor.ndim, tensor.bytes = text_of(name), _c.DTYPES.index(dtype), len(shape), len(raw)
    if shape:
        tensor.shape = (c_int64 * len(shape))(*shape)
    if raw:
        tensor.data = cast(c_char_p(raw), c_void_p)
    return raw


class Column:
    """A field of examples that are added: its bytes, and where each example lies in them."""

    def __init__(self, name: str, dtype: str, shape: Sequence[int], values: Any) -> None:
        self._name, self._dtype, self._shape = text_of(name), _c.DTYPES.index(dtype), list(shape)
        self._varies = -1 in self._shape
        try:
            if self._varies:
                self._parts = [_arrays.to_bytes(each, dtype) for each in values]
                self._count = len(self._parts)
            else:
                self._raw, given = _arrays.to_bytes(values, dtype)
                if given[1:] != self._shape or not given:
                    raise ValueError(
                        f"it has the shape {given}, not [n{''.join(f', {length}' for length in self._shape)}]"
                    )
                self._count = given[0]
        except (TypeError, ValueError) as bad:
            # Of a wrong value Python's words may show the value.
            why = f": {bad}" if "shape" in str(bad) else ""
            raise Error("bad-example", f"the field {name} is no array of {dtype}{why}") from None

    def __len__(self) -> int:
        return self._count

    def fill(self, tensors: Any, at: int, step: int) -> None:
        """The tensors at, at + step, …"""
        if self._varies:
            self._shapes = [(c_int64 * len(shape))(*shape) for _, shape in self._parts]
            for i, (raw, shape) in enumerate(self._parts):
                one = tensors[at + i * step]
                one.name, one.dtype, one.ndim, one.bytes = self._name, self._dtype, len(shape), len(raw)
                one.shape, one.data = self._shapes[i], cast(c_char_p(raw), c_void_p) if raw else None
            return
        size = len(self._raw) // self._count if self._count else 0
        begin = cast(c_char_p(self._raw), c_void_p).value or 0
        shape = (c_int64 * len(self._shape))(*self._shape) if self._shape else None
        for i in range(self._count):
            one = tensors[at + i * step]
            one.name, one.dtype, one.ndim, one.bytes = self._name, self._dtype, len(self._shape), size
            one.shape, one.data = shape, begin + i * size


def hosted_source(
    fields: Mapping[str, Tuple[str, Sequence[int]]], examples: Callable[[], Iterable[Mapping[str, Any]]]
) -> Any:
    """A source that iterates over what `examples` returns."""
    declared = fields_of(fields)
    iterators: Dict[int, Tuple[Iterator[Mapping[str, Any]], List[Any]]] = {}
    numbers = iter(range(1, sys.maxsize))

    def begin(_: Any, iterator: Any) -> int:
        number = next(numbers)
        iterators[number] = (iter(examples()), [])
        iterator[0] = number
        return 0

    def following(_: Any, iterator: Any, example: Any) -> int:
        more, kept = iterators[iterator]
        kept.clear()
        one = next(more, None)
        if one is None:
            return _c.END
        tensors = (_c.Tensor * len(fields))()
        kept.append(tensors)
        for tensor, (name, (dtype, _)) in zip(tensors, fields.items()):
            raw, shape = _arrays.to_bytes(one[name], dtype)
            kept.append(fill(tensor, name, dtype, shape, raw))
        example.contents.tensor_count, example.contents.tensors = len(tensors), tensors
        for key in ("id", "group"):
            if key in one and key not in fields:
                kept.append(text_of(one[key]))
                setattr(example.contents, key, kept[-1])
        return 0

    def end(_: Any, iterator: Any) -> None:
        iterators.pop(iterator, None)

    return _c.Source(
        field_count=len(declared),
        fields=declared,
        open=_c.OPEN(guarded(begin, _INVALID_ARGUMENT)),
        next=_c.NEXT(guarded(following, _INVALID_ARGUMENT)),
        close=_c.CLOSE(guarded(end, None)),
    )
