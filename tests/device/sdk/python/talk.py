"""One learner in Python seen by its agent, which the test plays."""
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PACKAGE = Path(__file__).resolve().parents[4] / "device/sdk/python"

X = np.float32([[i % 7, i % 5] for i in range(40)])
Y = X @ np.float32([2, -1]) + np.float32(0.5)
MANIFEST = {
    "format": "tributary-task-1",
    "module": "none",
    "inputs": [
        {"name": "x", "dtype": "FP32", "shape": [-1, 2]},
        {"name": "y", "dtype": "FP32", "shape": [-1], "role": "target"},
    ],
    "outputs": [{"name": "line", "dtype": "FP32", "shape": [-1]}],
}
TENSORS = [{"name": "w", "shape": [2]}, {"name": "b", "shape": [1]}]
PLAN = {"epochs": 3, "learning_rate": 0.1, "seed": 5, "strategy": "fedavg"}


class Talk:
    """One learner's process, seen by its agent."""

    def __init__(self, test, script, *, manifest=MANIFEST, weights=(0, 0, 0), tensors=TENSORS, personal=None):
        self.test, self.manifest = test, manifest
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        file = Path(folder.name) / "own.py"
        file.write_text(f"import sys; sys.path.insert(0, {str(PACKAGE)!r})\n" + script)
        mine, theirs = socket.socketpair()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(file)],
            preexec_fn=lambda: os.dup2(theirs.fileno(), 3),
            close_fds=False,
            stdout=self.log,
            stderr=self.log,
        )
        theirs.close()
        mine.settimeout(60)
        self.out, self.inbox = mine.makefile("wb", buffering=0), mine.makefile("rb")
        mine.close()
        test.addCleanup(self.end)
        self.say("hello", protocol=1)
        self.say("module")
        self.say("weights", np.float32(weights).tobytes())
        self.say("tensors", json.dumps(tensors).encode())
        if personal is not None:
            self.say("personal", personal)

    def say(self, kind, body=b"", **members):
        self.out.write(json.dumps({"type": kind, "bytes": len(body), **members}).encode() + b"\n" + body)

    def share(self, name, columns, ends=None):
        fields = [{"name": field, "dtype": dtype, "shape": shape} for field, (dtype, shape, _) in columns.items()]
        count = len(ends) if ends is not None else len(next(iter(columns.values()))[2])
        self.say("examples", share=name, count=count, fields=fields)
        for field, (_, _, values) in columns.items():
            raw = values.tobytes()
            if ends is not None:
                self.say("ends", np.uint64(ends).tobytes(), share=name, field=field)
            half = len(raw) // 8 * 4
            for part in (raw[:half], raw[half:]):
                self.say("values", part, share=name, field=field)

    def line(self, name, which):
        self.share(name, {"x": ("FP32", [2], X[which]), "y": ("FP32", [], Y[which])})

    def request(self, columns, ends=None):
        fields = [{"name": field, "dtype": dtype, "shape": shape} for field, (dtype, shape, _) in columns.items()]
        body = np.uint64(ends or []).tobytes() + b"".join(values.tobytes() for _, _, values in columns.values())
        count = len(ends) if ends is not None else len(next(iter(columns.values()))[2])
        self.say("predict", body, count=count, fields=fields)

    def order(self, kind, **plan):
        self.say(
            kind, task="line", version=7, device="device-1", plan={**PLAN, **plan}, manifest=self.manifest, parameters=3
        )

    def hear(self, kind):
        """The next message, which must be of that kind; but for progress and, unless asked for, the personal model."""
        while True:
            line = self.inbox.readline()
            if not line:
                self.test.fail(f"it ended: {self.words()}")
            message = json.loads(line)
            body = self.inbox.read(message["bytes"])
            if message["type"] in {"progress", "personal"} - {kind}:
                continue
            self.test.assertEqual(message["type"], kind, message)
            return message, body

    def words(self):
        self.process.wait(30)
        self.log.seek(0)
        return self.log.read().decode()

    def end(self):
        for end in (self.out, self.inbox):
            end.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()
