"""device/sdk/include/tributary/tributary.h for ctypes: its structs, its functions, and where its library is."""
from __future__ import annotations

import ctypes
import glob
import os
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, List, Optional

from .errors import Error
from .programs import folders

END = -1
DTYPES = ("", "BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FP32", "FP64")
EVENTS = (
    "",
    "connected",
    "disconnected",
    "version-arrived",
    "training-started",
    "trained",
    "model-changed",
    "delivered",
    "waiting",
    "failed",
)
LEVELS = {"debug": 1, "info": 2, "warning": 3, "error": 4}


class _Sized(Structure):
    """One that begins with its own size."""

    def __init__(self, **members: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(type(self)), **members)


class CError(_Sized):
    _fields_ = [("struct_size", c_uint32), ("code", c_int32), ("message", c_char * 512)]


class Options(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("retry_cap_seconds", c_uint32),
        ("folder", c_char_p),
        ("gateway", c_char_p),
        ("server_key", c_char_p),
        ("identity_folder", c_char_p),
        ("learner", POINTER(c_char_p)),
        ("learner_memory_mib", c_uint64),
        ("learner_cores", c_uint32),
        ("learner_seconds", c_uint32),
        ("outbox_max_mib", c_uint64),
        ("no_reports", c_uint32),
        ("reserved", c_uint32),
    ]


class Event(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("code", c_int32),
        ("reserved", c_uint32),
        ("version", c_uint64),
        ("task", c_char_p),
        ("text", c_char_p),
    ]


class Tensor(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("dtype", c_uint32),
        ("ndim", c_uint32),
        ("shape", POINTER(c_int64)),
        ("data", c_void_p),
        ("bytes", c_size_t),
    ]


class Field(Structure):
    _fields_ = [("name", c_char_p), ("dtype", c_uint32), ("ndim", c_uint32), ("shape", POINTER(c_int64))]


class Collection(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("field_count", c_uint32),
        ("name", c_char_p),
        ("fields", POINTER(Field)),
        ("purpose", c_char_p),
        ("max_age_seconds", c_uint64),
        ("max_count", c_uint64),
        ("max_bytes", c_uint64),
        ("held_out_share", c_double),
    ]


class Example(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("tensor_count", c_uint32),
        ("tensors", POINTER(Tensor)),
        ("id", c_char_p),
        ("group", c_char_p),
    ]


class CollectionList(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("count", c_uint32),
        ("collections", POINTER(Collection)),
        ("examples", POINTER(c_uint64)),
        ("bytes", POINTER(c_uint64)),
    ]


class Prediction(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("output_count", c_uint32),
        ("outputs", POINTER(Tensor)),
        ("version", c_uint64),
        ("personal", c_uint32),
        ("reserved", c_uint32),
    ]


ON_LOG = CFUNCTYPE(None, c_void_p, c_int, c_char_p)
ON_EVENT = CFUNCTYPE(None, c_void_p, POINTER(Event))
MAY_TRAIN = CFUNCTYPE(c_int, c_void_p)
OPEN = CFUNCTYPE(c_int, c_void_p, POINTER(c_void_p))
NEXT = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(Example))
CLOSE = CFUNCTYPE(None, c_void_p, c_void_p)


class Source(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("field_count", c_uint32),
        ("collection", c_char_p),
        ("fields", POINTER(Field)),
        ("held_out_share", c_double),
        ("open", OPEN),
        ("next", NEXT),
        ("close", CLOSE),
        ("user", c_void_p),
    ]


_DEVICE, _ERROR, _TEXT, _COUNT = c_void_p, POINTER(CError), c_char_p, POINTER(c_uint64)
FUNCTIONS = {
    "set_log": [ON_LOG, c_void_p, c_int],
    "open": [POINTER(Options), POINTER(c_void_p)],
    "close": [_DEVICE],
    "enrol": [_DEVICE, _TEXT, _TEXT, c_uint32],
    "set_events": [_DEVICE, ON_EVENT, c_void_p],
    "set_conditions": [_DEVICE, MAY_TRAIN, c_void_p],
    "start": [_DEVICE],
    "tick": [_DEVICE, c_uint32, POINTER(c_uint32)],
    "stop": [_DEVICE],
    "status": [_DEVICE, POINTER(c_void_p)],
    "create": [_DEVICE, POINTER(Collection)],
    "add": [_DEVICE, _TEXT, POINTER(Example), c_size_t],
    "remove": [_DEVICE, _TEXT, _TEXT, _COUNT],
    "remove_group": [_DEVICE, _TEXT, _TEXT, _COUNT],
    "clear": [_DEVICE, _TEXT, _COUNT],
    "drop": [_DEVICE, _TEXT, _COUNT],
    "count": [_DEVICE, _TEXT, _COUNT],
    "list": [_DEVICE, POINTER(POINTER(CollectionList))],
    "host": [_DEVICE, POINTER(Source)],
    "host_changed": [_DEVICE, _TEXT],
    "host_erased": [_DEVICE, _TEXT],
    "predict": [_DEVICE, _TEXT, POINTER(Tensor), c_size_t, POINTER(POINTER(Prediction))],
}


def places() -> List[str]:
    """Where libtributary.so.0 is looked for: what TRIBUTARY_LIBRARY names, or else beside the programs, or where the
    system looks."""
    named = os.environ.get("TRIBUTARY_LIBRARY")
    if named:
        return [named]
    found = []
    for folder in folders():
        for pattern in ("lib", "lib/*-linux-gnu", "lib64"):
            found += sorted(
                glob.glob(os.path.join(os.path.dirname(os.path.abspath(folder)), pattern, "libtributary.so.0"))
            )
    return [*found, "libtributary.so.0"]


class Library:
    """The library's functions, which raise tributary.Error."""

    def __init__(self) -> None:
        wrong = ""
        for place in places():
            try:
                self._functions = ctypes.CDLL(place)
                break
            except OSError as bad:
                wrong = str(bad)
        else:
            raise Error(
                "not-found", f"libtributary.so.0 is nowhere ({wrong}); build it, or name its file in TRIBUTARY_LIBRARY"
            )
        for name, arguments in FUNCTIONS.items():
            function = getattr(self._functions, "tributary_" + name)
            function.argtypes, function.restype = [*arguments, _ERROR], c_int
        for name, argument, result in (
            ("version", [], c_char_p),
            ("code_name", [c_int], c_char_p),
            ("code_explain", [c_int], c_char_p),
            ("free", [c_void_p], None),
        ):
            function = getattr(self._functions, "tributary_" + name)
            function.argtypes, function.restype = argument, result
        self.free = self._functions.tributary_free

    def version(self) -> str:
        return self._functions.tributary_version().decode()

    def code_name(self, code: int) -> str:
        return self._functions.tributary_code_name(code).decode()

    def call(self, name: str, *arguments: Any) -> None:
        error = CError()
        code = getattr(self._functions, "tributary_" + name)(*arguments, ctypes.byref(error))
        if code != 0:
            raise Error(
                self.code_name(code),
                error.message.decode(errors="replace"),
                self._functions.tributary_code_explain(code).decode(),
            )


_library: Optional[Library] = None


def library() -> Library:
    """Loaded when it is first asked for."""
    global _library
    if _library is None:
        _library = Library()
    return _library
