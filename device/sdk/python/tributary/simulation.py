"""A whole federation on this machine, from arrays to a history: `tributary experiment` on a folder made for it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from . import examples, programs
from .client import PathLike, arrays_of, export_module, plan_tables
from .errors import Error
from .package import read_package
from .records import Record, Records

_LOOK = 0.05  # seconds between looks at the rounds


class History(Records):
    """What came of a simulation: a record per round, and the model at its end.

    A record is what `tributary experiment` writes of a round, and its "seconds": {"round", "version", "base_version",
    "updates", "refused", "bytes_up", "bytes_down", "digest", "global", "personal", "local", …}. The last three are
    means by metric: `global` of the round's version on the test examples, `personal` of the models that devices use for
    themselves, `local` of the version before, both on what the devices held back.
    """

    def __init__(self, metrics: Mapping[str, str]) -> None:
        super().__init__()
        self.metrics = metrics  #: that the task declares, with the better direction: "smaller" or "larger"
        self._tensors: List[Record] = []
        self._module = self._values = b""
        self.folder: Optional[str] = None  #: where the logs are; None: it was removed

    @property
    def digest(self) -> str:
        """SHA-256 of the last version's weights: the same for the same arguments on one kind of processor."""
        return self[-1]["digest"] if self else ""

    @property
    def weights(self) -> Dict[str, Any]:
        """The last version's shared weights: tensor's name -> float32 array (numpy's, where it is installed)."""
        return arrays_of(self._tensors, self._values)

    def export(self, path: PathLike) -> str:
        """Writes the last version as TorchScript that torch.jit.load opens. Returns a note, such as how inputs are
        scaled."""
        return export_module(self._module, self._values, path)

    def plot(self, metric: Optional[str] = None, ax: Any = None) -> Any:
        """Draws a metric over the rounds with matplotlib: a line each for global, personal and local. Returns the axes.

        metric: its name; None: the first that the task declares, or else the loss.
        """
        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots()
        metric = metric or next(iter(self.metrics), "loss")
        for view in ("global", "personal", "local"):
            points = [(record["round"], record[view][metric]) for record in self if metric in record[view]]
            if points:
                ax.plot(*zip(*points), marker=".", label=view)
        ax.set_xlabel("round")
        ax.set_ylabel(metric)
        if ax.lines:
            ax.legend()
        return ax


def simulate(
    task: Any,
    data: Union[Mapping[str, Any], Sequence[Mapping[str, Any]]],
    devices: Optional[int] = None,
    rounds: int = 10,
    plan: Optional[Mapping[str, Any]] = None,
    gateways: int = 1,
    learner: Any = None,
    seed: int = 1,
    folder: Optional[PathLike] = None,
    test: Optional[Mapping[str, Any]] = None,
    deal: str = "iid",
    label: str = "label",
    alpha: float = 0.5,
    held_out_share: float = 0.1,
    progress: Optional[bool] = None,
) -> History:
    """Runs a federation of virtual devices on this machine, through the real protocol, and returns its History.

    >>> history = simulate("forecast.pt", {"window": windows, "future": futures}, rounds=5, plan={"epochs": 2})
    >>> history.plot("degrees_off")
    >>> history.export("weather.pt")

    task: what `tributary.export` returned, a TorchScript file (.pt), or a package of `tributary-device pack` (.tpkg).
    data: a dict from each field of the task's examples to an array [examples, …], which is dealt out to the
        devices; or a list of such dicts, one for each device. Arrays are numpy's, torch's, or nested lists.
    devices: how many; None: 10, or as many as `data` has dicts.
    plan: as Client.create_task takes it. All devices take part in every round, unless its table "round" says otherwise.
    gateways: 0 connects the devices to the aggregator itself. It changes no bit of the result.
    learner: a program in LibTorch's place: a file of Python whose last line is learner.run(…), or a command as a
        list. A process for each fit, as many at once as there are cores.
    seed: of dealing out and of training. The same arguments give the same digest on one kind of processor.
    folder: a new folder for everything that is written: simulation.toml, which `tributary experiment run` runs again to
        the same bits, and results/ with tables and a report; None: a temporary one, in memory if there is room and
        TMPDIR is not set, which is removed if all went well.
    test: a dict like `data`, for an evaluator, which measures every version on it: `global`.
    deal: "iid", "shards" or "dirichlet", by the whole numbers of the field `label`; a small `alpha` deals unequal
        shares.
    held_out_share: of each device's examples, never trained on: `personal` and `local` are measured on it.
    progress: prints a line per round; None: on a terminal and in notebooks.

    Raises tributary.Error, "child-failed" when a round fails or a program ends; the message names the folder with
    the logs. No process is left behind, whatever happens.
    """
    plan = {**(plan or {})}
    command = command_of(learner)
    whole = examples.table_of(data) if isinstance(data, Mapping) else None
    shares = [whole] if whole is not None else [examples.table_of(share) for share in data]
    if whole is None:
        if not shares or (devices is not None and devices != len(shares)):
            raise Error("invalid-argument", f"data has the examples of {len(shares)} devices, and devices is {devices}")
        devices = len(shares)
    test_table = examples.table_of(test) if test is not None else None
    kept = folder is not None
    place = _new_folder(folder) if folder is not None else _temporary_folder(task, devices or 10, shares)
    try:
        file = _package_file(task, place)
        package = read_package(file)
        manifest = package.manifest or {}
        for table in [*shares, *([test_table] if test_table else [])]:
            _check_fields(table, manifest)
        experiment: Dict[str, Any] = {
            "experiment": {"rounds": rounds, "devices": devices or 10, "gateways": gateways, "seed": seed},
            "data": {"held_out_share": held_out_share, **_write(place, whole, shares, test_table)},
            "model": {"file": file},
            "learner": {"command": command or []},
            **{f"task.{name}": table for name, table in plan_tables(plan).items()},
        }
        if whole is not None:
            experiment["data"]["deal"] = deal
            if deal != "iid":
                experiment["data"]["label"] = label
            if deal == "dirichlet":
                experiment["data"]["alpha"] = alpha
        with open(os.path.join(place, "simulation.toml"), "w") as to:
            to.write(_toml(experiment))
        history = History(manifest.get("metrics", {}))
        results = os.path.join(place, "results")
        _run(place, results, history, _Progress(progress, history.metrics))
        history._tensors, history._module = package.tensors, package.module
        with open(os.path.join(results, "weights.f32"), "rb") as weights:
            history._values = weights.read()
        history.folder = place if kept else None
        return history
    except Error as failed:
        kept = True
        failed.args = (f"{failed}\nThe configuration and the log of each process are below {place}",)
        raise
    finally:
        if not kept:
            shutil.rmtree(place, ignore_errors=True)


def _package_file(task: Any, place: str) -> str:
    """Of the task; tributary-device makes one of a TorchScript file."""
    path = os.path.abspath(os.fspath(getattr(task, "package", task)))  # of a TaskFile
    if path.endswith(".tpkg"):
        return path
    packed = os.path.join(place, "model.tpkg")
    programs.run("tributary-device", "pack", path, "--out", packed)
    return packed


def _check_fields(table: examples.Table, manifest: Mapping[str, Any]) -> None:
    """Devices would say the same, a little later."""
    for one in manifest.get("inputs", []):
        field = one.get("field", one["name"])
        if field not in table:
            have = ", ".join(table)
            sentence = f"the task's input {one['name']} needs the field {field!r}; the examples have: {have}"
            raise Error("missing-field", sentence)


def _new_folder(folder: PathLike) -> str:
    place = os.path.abspath(os.fspath(folder))
    os.makedirs(place, exist_ok=True)
    if os.listdir(place):
        raise Error("already-exists", f"{place} is there and not empty; give folder= a new one")
    return place


def _temporary_folder(task: Any, devices: int, shares: List[examples.Table]) -> str:
    """In memory, where there is room: the programs sync whatever they acknowledge, and nothing of it has to last.

    Measured with 100 devices: 0.2 s instead of 7 to set up, 3 s instead of 20 for the first round.
    """
    data = sum(len(column.data) for share in shares for column in share.values())
    model = os.path.getsize(getattr(task, "package", task))
    # Of each device: the module, versions, the model of its own, its update at three places; databases.
    wanted = 6 * data + (devices + 4) * (12 * model + (2 << 20))
    memory: Optional[str] = "/dev/shm"
    if "TMPDIR" in os.environ or not os.access("/dev/shm", os.W_OK) or shutil.disk_usage("/dev/shm").free < 2 * wanted:
        memory = None
    return tempfile.mkdtemp(prefix="tributary-simulation-", dir=memory)


def _write(
    place: str, whole: Optional[examples.Table], shares: List[examples.Table], test: Optional[examples.Table]
) -> Dict[str, List[str]]:
    """Writes the examples. Returns the keys of an experiment that name their files."""
    os.mkdir(os.path.join(place, "examples"))
    names = ["all"] if whole is not None else [f"device-{number:03}" for number in range(len(shares))]
    files = [f"examples/{name}.npz" for name in names]
    for file, share in zip(files, shares):
        examples.write_npz(os.path.join(place, file), share)
    keys = {"files" if whole is not None else "device_files": files}
    if test is not None:
        examples.write_npz(os.path.join(place, "examples/test.npz"), test)
        keys["test_files"] = ["examples/test.npz"]
    return keys


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Numbers, texts, truth values and lists of texts, which JSON writes in the same way."""
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _run(place: str, results: str, history: History, progress: "_Progress") -> None:
    tree = str(Path(__file__).resolve().parents[1])  # so that a learner of Python can import this package
    path = os.pathsep.join(part for part in (tree, os.environ.get("PYTHONPATH")) if part)
    command = ["experiment", "run", "simulation.toml", "--dir", results, "--keep-site", "--output", "json"]
    processes = programs.Processes(place)
    processes.start("simulation", "tributary", *command, env={"PYTHONPATH": path})
    try:
        code = None
        while code is None:
            time.sleep(_LOOK)
            code = processes.ended("simulation")
            for record in _records(results)[len(history) :]:
                history.append(record)
                progress.show(record)
    finally:
        processes.stop()
    if code != 0:
        with open(processes.log("simulation"), errors="replace") as log:
            said = log.read().strip()
        try:
            problem = json.loads(said.rpartition("\n")[2])
            raise Error(problem["code"], problem["detail"])
        except (ValueError, KeyError):
            raise Error("child-failed", f"the simulation ended with {code}: {said[-2000:]}") from None


def _records(results: str) -> List[Record]:
    """Of the rounds that are over: what `tributary experiment` wrote of each, and how long it took."""
    times, metrics = (_lines(os.path.join(results, name)) for name in ("times.jsonl", "metrics.jsonl"))
    seconds = {each["round"]: each["seconds"] for each in times}
    return [{**record, "seconds": seconds[record["round"]]} for record in metrics if record["round"] in seconds]


def _lines(path: str) -> List[Record]:
    try:
        with open(path) as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


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


class _Progress:
    """A line per round, for people."""

    def __init__(self, wanted: Optional[bool], metrics: Mapping[str, str]) -> None:
        self._shown = "ipykernel" in sys.modules or sys.stdout.isatty() if wanted is None else wanted
        self._metric = next(iter(metrics), "loss")
        self._begun = False

    def show(self, record: Record) -> None:
        if not self._shown:
            return
        if not self._begun:
            self._begun = True
            print(f"round  updates    MB up  seconds  {self._metric}: global  personal     local", flush=True)
        means = (record[view].get(self._metric) for view in ("global", "personal", "local"))
        columns = "".join(f"{'-' if mean is None else format(mean, '.4f'):>10}" for mean in means)
        wide = " " * len(self._metric)
        counts = f"{record['round']:>5}  {record['updates']:>7}"
        print(f"{counts}  {record['bytes_up'] / 1e6:>7.1f}  {record['seconds']:>7.2f}{wide}{columns}", flush=True)
