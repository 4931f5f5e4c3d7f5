"""Finds and starts Tributary's programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from .errors import Error

_TAIL = 2000  # characters of a log that an error shows


def folders() -> List[str]:
    """Where programs are looked for: TRIBUTARY_BIN, or else beside the package's tree and in PATH."""
    named = os.environ.get("TRIBUTARY_BIN")
    if named:
        return [named]
    tree = Path(__file__).resolve().parents[4]
    built = [str(tree / "build" / preset / "bin") for preset in ("release", "ci", "debug")]
    return built + os.environ.get("PATH", os.defpath).split(os.pathsep)


def find(name: str) -> str:
    """The path of a program. Raises tributary.Error with code "not-found" when it is nowhere."""
    found = shutil.which(name, path=os.pathsep.join(folders()))
    if found is None:
        sentence = f"there is no program {name}; TRIBUTARY_BIN names the folder with Tributary's programs"
        raise Error("not-found", sentence)
    return os.path.abspath(found)


def run(name: str, *arguments: str, folder: Optional[str] = None) -> str:
    """Runs a program to its end. Returns what it printed. Raises "child-failed" with its words when it fails."""
    done = subprocess.run(
        [find(name), *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if done.returncode != 0:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise Error("child-failed", f"{name} {' '.join(arguments[:2])} ended with {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


class Processes:
    """Programs that run in one folder, each with its log, until `stop`.

    Each has a session of its own, so that Ctrl-C reaches this program only, which then ends them. They die with the
    thread that started them, however that ends.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._running: Dict[str, "subprocess.Popen[bytes]"] = {}

    def start(self, id_: str, name: str, *arguments: str, env: Optional[Dict[str, str]] = None) -> None:
        """Starts a program; its output goes to ID.log."""
        # setpriv (util-linux) asks the kernel for the signal and becomes the program.
        command: Sequence[str] = ["setpriv", "--pdeathsig", "KILL", find(name), *arguments]
        with open(self.log(id_), "ab") as log:
            self._running[id_] = subprocess.Popen(
                command,
                cwd=self._folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, id_: str) -> str:
        return os.path.join(self._folder, id_ + ".log")

    def ended(self, id_: str) -> Optional[int]:
        """The exit code of one that has ended."""
        return self._running[id_].poll()

    def check(self) -> None:
        """Raises "child-failed" when one has ended by itself: which, how, and the end of its log."""
        for id_, process in self._running.items():
            code = process.poll()
            if code is not None:
                with open(self.log(id_), errors="replace") as log:
                    tail = log.read()[-_TAIL:]
                sentence = f"{id_} ended with {code}; its log is {self.log(id_)}, and ends so:\n{tail}"
                raise Error("child-failed", sentence)

    def stop(self, patience: float = 10.0) -> None:
        """Ends all, the last started first; by force what still runs after `patience` seconds, or when interrupted."""
        running = list(reversed(self._running.values()))
        try:
            for process in running:
                process.terminate()
            end = time.monotonic() + patience
            for process in running:
                process.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            pass
        finally:
            for process in running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            self._running.clear()
