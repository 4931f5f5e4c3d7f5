"""The learner's end of the conversation with an agent: device/learn/PROTOCOL.md, message by message."""
from __future__ import annotations

import json
import math
import os
import select
import sys
import time
from typing import Any, Dict, List, Mapping, Optional

from . import arrays as _arrays
from .errors import Error

_AGENT = 3  # the descriptor
_PART = 1 << 20
_BETWEEN_PROGRESS = 0.2  # seconds


class Share:
    """The examples of one share, as they come in."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.count: int = schema["count"]
        self.fields: Dict[str, Mapping[str, Any]] = {field["name"]: field for field in schema["fields"]}
        self.values: Dict[str, bytearray] = {name: bytearray() for name in self.fields}
        self.ends: Dict[str, bytearray] = {name: bytearray() for name in self.fields}

    @classmethod
    def of_request(cls, message: Mapping[str, Any], body: bytes) -> "Share":
        """Of a message `predict`: of each field its ends, if its length varies, then its values."""
        share, at = cls(message), 0
        for name, field in share.fields.items():
            one = _arrays.itemsize(field["dtype"]) * _arrays.elements([n for n in field["shape"] if n != -1])
            count = share.count
            if -1 in field["shape"]:
                share.ends[name] += body[at : at + 8 * count]
                at += 8 * count
                # Ends count elements.
                one, count = _arrays.itemsize(field["dtype"]), share._total(name)
            share.values[name] += body[at : at + one * count]
            at += one * count
        return share

    def column(self, name: str) -> Any:
        """[n, ...], or of a field whose length varies a list of n arrays."""
        field, raw = self.fields[name], bytes(self.values[name])
        shape = field["shape"]
        if -1 not in shape:
            return _arrays.from_bytes(raw, field["dtype"], [self.count, *shape])
        size = len(raw) // max(1, self._total(name))
        ends = [end * size for end in memoryview(bytes(self.ends[name])).cast("Q")]
        parts = [raw[begin:end] for begin, end in zip([0, *ends], ends)]
        return _arrays.from_parts(parts, field["dtype"], shape)

    def _total(self, name: str) -> int:
        ends = memoryview(bytes(self.ends[name])).cast("Q")
        return ends[-1] if len(ends) else 0


class Agent:
    """The conversation with the agent that started this program, seen from its side."""

    def __init__(self) -> None:
        try:
            os.set_inheritable(_AGENT, False)
            self._out = os.fdopen(_AGENT, "wb", buffering=0, closefd=False)
        except OSError:
            raise Error(
                "not-supported",
                "a learner is started by a device, which talks to it over descriptor 3; name this program in "
                "learner.command of device.toml. tributary.simulate(..., learner=[...]) tries it out",
            ) from None
        self._read = b""  # and not taken yet
        # What is printed goes to the device's log of the learner, in order.
        sys.stdout = sys.stderr
        self.tensors: List[Mapping[str, Any]] = []
        self.weights = b""
        self.personal: Optional[bytes] = None
        self.shares: Dict[str, Share] = {}
        self.order: Optional[Mapping[str, Any]] = None  # that is not done yet
        self.steps = 0
        self.loss = 0.0
        self._said = -math.inf
        self._process = os.getpid()

    def say(self, kind: str, body: Any = b"", **members: Any) -> None:
        if os.getpid() != self._process:
            os._exit(0)  # a child that the program left running: the device talks to its parent
        head = json.dumps({"type": kind, "bytes": len(body), **members}).encode() + b"\n"
        for part in (head, memoryview(body)):
            while len(part):
                part = part[self._out.write(part) :]

    def _line(self) -> bytes:
        """Empty: the agent has closed its end."""
        while b"\n" not in self._read:
            part = os.read(_AGENT, _PART)
            if not part:
                return b""
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _bytes(self, count: int) -> bytes:
        body = bytearray(count)
        at = min(count, len(self._read))
        body[:at], self._read = self._read[:at], self._read[at:]
        while at < count:
            got = os.readv(_AGENT, [memoryview(body)[at:]])
            if got == 0:
                sys.exit(0)
            at += got
        return bytes(body)

    def next_order(self) -> Optional[Mapping[str, Any]]:
        """The one that is asked for: the work of the device is read up to it. None: there is none any more."""
        while self.order is None:
            line = self._line()
            if not line:
                return None
            message = json.loads(line)
            body = self._bytes(message["bytes"])
            if not self._take(message["type"], message, body):
                return None
        return self.order

    def _take(self, kind: str, message: Mapping[str, Any], body: bytes) -> bool:
        if kind == "hello":
            self.say("hello", protocol=1, formats=["none"], program=os.path.basename(sys.argv[0]) or "python")
        elif kind == "weights":
            self.weights = body
        elif kind == "tensors":
            self.tensors = json.loads(body)
        elif kind == "personal":
            self.personal = body
        elif kind == "examples":
            self.shares[message["share"]] = Share(message)
        elif kind == "values":
            self.shares[message["share"]].values[message["field"]] += body
        elif kind == "ends":
            self.shares[message["share"]].ends[message["field"]] += body
        elif kind in ("learn", "evaluate", "load", "predict"):
            if kind == "predict":
                self.shares["request"] = Share.of_request(message, body)
            self.order = message
        elif kind in ("bye", "cancel"):
            return False
        return True

    def progress(self, steps: int, loss: float) -> None:
        if os.getpid() != self._process:
            return
        self.steps, self.loss = int(steps), float(loss) if math.isfinite(loss) else 0.0
        now = time.monotonic()
        if now - self._said >= _BETWEEN_PROGRESS:
            self._said = now
            self.say("progress", steps=self.steps, loss=self.loss)
        # While it works, only cancel or the end can come.
        if self._read or select.select([_AGENT], [], [], 0)[0]:
            os._exit(0)
