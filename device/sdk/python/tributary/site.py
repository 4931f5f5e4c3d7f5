"""The folder of a whole federation on this machine, as an operator would set it up by hand."""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import time
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence

from . import programs
from .client import Client
from .errors import Error

_START = 30.0  # seconds within which an aggregator is ready
_PORTS = range(10_000, 32_000)  # below those that Linux gives to outgoing connections


def free_ports() -> Iterator[int]:
    """TCP ports of the loopback address that nobody listens on."""
    first = random.SystemRandom().randrange(len(_PORTS))
    for step in range(len(_PORTS)):
        port = _PORTS[(first + step) % len(_PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
    raise Error("io", "no free port on the loopback address")


class Site:
    """An aggregator, gateways, a fleet of virtual devices, and an evaluator if it has examples.

    Call order: provision, start, wait_until_ready, add_devices, stop; imports from provision on. Below the folder lie
    ID.toml, ID.log, ID/identity, ID/data.
    """

    def __init__(
        self,
        folder: str,
        devices: int,
        gateways: int,
        learner: Optional[Sequence[str]],
        evaluates: bool,
        has_module: bool = True,  # else the learner evaluates too
    ) -> None:
        self.folder = folder
        self._devices = devices
        self._gateways = [f"gateway-{number:03}" for number in range(gateways)]
        self._learner = learner
        self._evaluates = evaluates
        self._has_module = has_module
        self._processes = programs.Processes(folder)
        self._ports = free_ports()
        self._url = f"http://127.0.0.1:{next(self._ports)}"
        self.client: Client
        self.endpoint: str  # of the aggregator

    def provision(self) -> None:
        """Keys, certificates, configuration files."""
        self._tool("tributary", "ca", "init", "--dir", "ca", "--name", "simulation")
        self._tool("tributary", "root", "init", "--dir", "aggregator/publication", "--ca", "ca")
        self._tool("tributary", "ca", "issuer", "--ca", "ca", "--out", "aggregator/issuer")
        self._issue("aggregator", "aggregator", "aggregator/identity")
        self.endpoint = aggregator = f"tcp://127.0.0.1:{next(self._ports)}"
        self._write("aggregator", f"""
            [aggregator]
            data_dir = "aggregator/data"
            identity_dir = "aggregator/identity"
            publication_dir = "aggregator/publication"
            issuer_dir = "aggregator/issuer"
            [listen]
            endpoint = "{aggregator}"
            [http]
            port = {self._url.rpartition(":")[2]}
            """)
        self._issue("device", "device", "fleet/identities", self._devices)
        if self._gateways:
            self._issue("gateway", "gateway", "gateways", len(self._gateways))
        if self._evaluates:
            self._issue("evaluator", "evaluator", "evaluator/identity")
        new_token = ["token", "add", "simulation", "--role", "admin", "--config", "aggregator.toml"]
        token = self._tool("tributary-aggregator", *new_token).strip()
        descriptor = os.open(os.path.join(self.folder, "token"), os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        self.client = Client(self._url, token=token)
        self._configure(aggregator)

    def _configure(self, aggregator: str) -> None:
        key = self._key("aggregator/identity")
        above, keys = [aggregator], [key]
        if self._gateways:
            above = [f"tcp://127.0.0.1:{next(self._ports)}" for _ in self._gateways]
            keys = [self._key(f"gateways/{name}") for name in self._gateways]
        for name, endpoint in zip(self._gateways, above):
            self._write(name, f"""
                [gateway]
                data_dir = "{name}/data"
                identity_dir = "gateways/{name}"
                [listen]
                endpoint = "{endpoint}"
                [upstream]
                endpoint = "{aggregator}"
                server_key = "{key}"
                retry_cap_seconds = 1
                [http]
                port = {next(self._ports)}
                """)
        learner = f"[learner]\ncommand = {json.dumps(list(self._learner))}" if self._learner else ""
        self._write("fleet", f"""
            [fleet]
            data_dir = "fleet/data"
            identities_dir = "fleet/identities"
            fits_at_once = {max(os.cpu_count() or 1, 1)}
            [gateways]
            endpoints = {json.dumps(above)}
            server_keys = {json.dumps(keys)}
            retry_cap_seconds = 1
            {learner}
            """)
        self._write("evaluator", f"""
            [device]
            data_dir = "evaluator/data"
            identity_dir = "evaluator/identity"
            [gateway]
            endpoint = "{above[0]}"
            server_key = "{keys[0]}"
            retry_cap_seconds = 1
            {"" if self._has_module else learner}
            """)

    def start(self) -> None:
        """Aggregator and gateways."""
        self._processes.start("aggregator", "tributary-aggregator", "--config", "aggregator.toml")
        for name in self._gateways:
            self._processes.start(name, "tributary-gateway", "--config", f"{name}.toml")

    def wait_until_ready(self) -> None:
        """Returns when the aggregator is."""
        end = time.monotonic() + _START
        while True:
            self.check()
            try:
                if self.client.ready()["ready"]:
                    return
                why = "its checks do not hold"
            except Error as not_yet:
                why = not_yet.message
            if time.monotonic() > end:
                raise Error("timeout", f"the aggregator is not ready after {_START:g} s: {why}")
            time.sleep(0.02)

    def import_examples(self, collection: str, held_out_share: float, files: List[str]) -> None:
        """Each file of the fleet's to the device that it is named after."""
        settings = ["--config", "fleet.toml", "--collection", collection, "--held-out-share", str(held_out_share)]
        self._tool("tributary-fleet", "data", "import", *settings, *files)

    def import_test_examples(self, collection: str, file: str) -> None:
        self._tool("tributary-device", "data", "import", "--config", "evaluator.toml", "--collection", collection, file)

    def add_devices(self) -> None:
        """The fleet, and the evaluator."""
        tree = str(Path(__file__).resolve().parents[1])  # so that a learner of Python can import this package
        path = os.pathsep.join(part for part in (tree, os.environ.get("PYTHONPATH")) if part)
        env = {"PYTHONPATH": path}
        self._processes.start("fleet", "tributary-fleet", "--config", "fleet.toml", env=env)
        if self._evaluates:
            self._processes.start("evaluator", "tributary-device", "--config", "evaluator.toml", env=env)

    def check(self) -> None:
        """Raises when a process has ended by itself."""
        self._processes.check()

    def stop(self) -> None:
        self._processes.stop()

    def _tool(self, name: str, *arguments: str) -> str:
        return programs.run(name, *arguments, folder=self.folder)

    def _issue(self, role: str, id_: str, out: str, count: int = 0) -> None:
        authority = "ca" if role in ("aggregator", "gateway") else "aggregator/issuer"
        many = ["--count", str(count)] if count else []
        self._tool("tributary", "ca", "issue", "--ca", authority, "--role", role, "--id", id_, "--out", out, *many)

    def _key(self, identity: str) -> str:
        return self._tool("tributary", "ca", "key", identity).strip()

    def _write(self, id_: str, text: str) -> None:
        lines = [line.strip() for line in text.strip().splitlines()]
        Path(self.folder, f"{id_}.toml").write_text("\n".join(lines) + "\n")


def command_of(learner: Any) -> Optional[List[str]]:
    """A list is a command; a file of Python is run with this Python."""
    if learner is None:
        return None
    if isinstance(learner, (list, tuple)):
        return [os.fspath(word) for word in learner]
    path = os.path.abspath(os.fspath(learner))
    if not os.path.exists(path):
        raise Error("not-found", f"there is no learner {path}")
    return [sys.executable, path] if path.endswith(".py") else [path]
