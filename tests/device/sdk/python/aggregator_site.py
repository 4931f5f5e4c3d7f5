"""An aggregator in a folder, without gateways and devices."""
import os
import socket
import time
from pathlib import Path

from tributary import programs
from tributary.client import Client
from tributary.errors import Error

START = 30.0  # seconds within which it is ready


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class AggregatorSite:
    """Call order: start, wait_until_ready, stop."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = programs.Processes(folder)
        self.client = None
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"

    def start(self):
        self.tool("tributary", "ca", "init", "--dir", "ca", "--name", "test")
        self.tool("tributary", "root", "init", "--dir", "aggregator/publication", "--ca", "ca")
        self.tool("tributary", "ca", "issuer", "--ca", "ca", "--out", "aggregator/issuer")
        who = ["--role", "aggregator", "--id", "aggregator", "--out", "aggregator/identity"]
        self.tool("tributary", "ca", "issue", "--ca", "ca", *who)
        http = free_port()
        Path(self.folder, "aggregator.toml").write_text(
            '[aggregator]\ndata_dir = "aggregator/data"\nidentity_dir = "aggregator/identity"\n'
            'publication_dir = "aggregator/publication"\nissuer_dir = "aggregator/issuer"\n'
            f'[listen]\nendpoint = "{self.endpoint}"\n[http]\nport = {http}\n'
        )
        words = ["token", "add", "test", "--role", "admin", "--config", "aggregator.toml"]
        token = self.tool("tributary-aggregator", *words)
        place = os.open(os.path.join(self.folder, "token"), os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(place, "w") as file:
            file.write(token)
        self.client = Client(f"http://127.0.0.1:{http}", token=token.strip())
        self.processes.start("aggregator", "tributary-aggregator", "--config", "aggregator.toml")

    def wait_until_ready(self):
        end = time.monotonic() + START
        while True:
            self.processes.check()
            try:
                if self.client.ready()["ready"]:
                    return
            except Error:
                if time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def stop(self):
        self.processes.stop()

    def tool(self, name, *arguments):
        return programs.run(name, *arguments, folder=self.folder)
