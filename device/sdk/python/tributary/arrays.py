"""Arrays with and without NumPy: the bytes of Tributary's dtypes, as arrays, and back."""
from __future__ import annotations

import array
import sys
from typing import Any, List, Sequence, Tuple

# dtype: the letter of array and memoryview, NumPy's name
DTYPES = {
    "BOOL": ("?", "bool"),
    "UINT8": ("B", "uint8"),
    "INT8": ("b", "int8"),
    "INT16": ("h", "int16"),
    "INT32": ("i", "int32"),
    "INT64": ("q", "int64"),
    "FP32": ("f", "float32"),
    "FP64": ("d", "float64"),
}
_BY_NAME = {name: dtype for dtype, (_, name) in DTYPES.items()}

assert sys.byteorder == "little", "Tributary's formats are little endian, and so is every machine that it runs on"


def numpy_or_none() -> Any:
    """The module numpy, or None where it is not installed."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def elements(shape: Sequence[int]) -> int:
    """The product of the lengths; 1 of no length."""
    product = 1
    for length in shape:
        product *= length
    return product


def from_bytes(raw: bytes, dtype: str, shape: Sequence[int]) -> Any:
    """An array of that shape over a copy of the bytes: NumPy's, or a memoryview (indices, .shape, .tolist())."""
    letter, name = DTYPES[dtype]
    numpy = numpy_or_none()
    if numpy is not None:
        return numpy.frombuffer(bytearray(raw), dtype=name).reshape(shape)
    flat = memoryview(bytearray(raw)).cast(letter)
    # A memoryview has no length of 0.
    return flat.cast("B").cast(letter, list(shape)) if flat.nbytes else flat


def from_parts(parts: List[bytes], dtype: str, shape: Sequence[int]) -> List[Any]:
    """One array for each example of a field whose length varies: the -1 in `shape`."""
    size = elements([length for length in shape if length != -1]) * itemsize(dtype)
    return [
        from_bytes(part, dtype, [len(part) // size if length == -1 else length for length in shape]) for part in parts
    ]


def itemsize(dtype: str) -> int:
    """Bytes of one element."""
    return array.array(letter_of(dtype)).itemsize


def letter_of(dtype: str) -> str:
    """The letter of Python's array for values of the dtype."""
    return "B" if dtype == "BOOL" else DTYPES[dtype][0]


def _plain(value: Any) -> Any:
    """Without what belongs to a framework: a tensor of PyTorch becomes NumPy's array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # PyTorch can be there without NumPy.
        return value.numpy() if numpy_or_none() is not None else value.tolist()
    return value


def _flatten(value: Any, depth: int, shape: List[int], flat: List[Any]) -> None:
    if not isinstance(value, (list, tuple)):
        if depth != len(shape):
            raise ValueError("its lists are not of one depth")
        flat.append(value)
        return
    if not flat and depth == len(shape):
        shape.append(len(value))
    if depth >= len(shape) or shape[depth] != len(value):
        raise ValueError("its lists are not of one length")
    for each in value:
        _flatten(each, depth + 1, shape, flat)


def dtype_of(value: Any) -> str:
    """The dtype that a device keeps such values in. Real numbers are FP32, but for a tensor of PyTorch in double
    precision."""
    double = "FP64" if hasattr(value, "detach") else "FP32"
    value = _plain(value)
    if hasattr(value, "dtype"):
        name = str(value.dtype)
        if name == "float64":
            return double
        if name in _BY_NAME:
            return _BY_NAME[name]
        raise ValueError(f"values of type {name} are none of {', '.join(_BY_NAME)}")
    if isinstance(value, (memoryview, array.array)):
        letter = value.format if isinstance(value, memoryview) else value.typecode
        return "FP32" if letter == "d" else next((key for key, (l, _) in DTYPES.items() if l == letter), "INT64")
    flat: List[Any] = []
    _flatten(value, 0, [], flat)
    if all(isinstance(each, bool) for each in flat):
        return "BOOL"
    return "INT64" if all(isinstance(each, int) for each in flat) else "FP32"


def to_bytes(value: Any, dtype: str) -> Tuple[bytes, List[int]]:
    """The values in C order, little endian, and the shape. Raises ValueError or TypeError where it is no array."""
    value = _plain(value)
    numpy = numpy_or_none()
    if numpy is not None:
        given = numpy.asarray(value)
        return numpy.ascontiguousarray(given, dtype=DTYPES[dtype][1]).tobytes(), list(given.shape)
    if isinstance(value, array.array):
        value = list(value)
    if isinstance(value, memoryview):
        value = value.tolist()
    shape: List[int] = []
    flat: List[Any] = []
    _flatten(value, 0, shape, flat)
    real = dtype in ("FP32", "FP64")
    return array.array(letter_of(dtype), [float(each) if real else int(each) for each in flat]).tobytes(), shape
