"""A whole federation on this machine, from arrays to a history: the real programs, in a folder of their own."""

from __future__ import annotations

import datetime
import os
import shutil
import sys
import tempfile
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from . import examples
from .client import PathLike, arrays_of, export_module, load_package
from .errors import Error
from .package import Package
from .records import Record, Records
from .site import Site, command_of

_TASK = "simulation"
_LOOK = 0.05  # seconds between looks at a round
_EVALUATION = 60.0  # seconds after which an evaluation is taken for missing


class History(Records):
    """What came of a simulation: a record per round, and the model at its end.

    A record: {"round", "version", "updates", "refused", "bytes_up", "seconds", "digest", "global", "personal",
    "local"}. The last three are means by metric: `global` of the round's version on the test examples, `personal`
    of the models that devices use for themselves, `local` of the version before, both on what the devices held
    back.
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
    folder: a new folder for everything that the programs write; None: a temporary one, in memory if there is room
        and TMPDIR is not set, which is removed if all went well.
    test: a dict like `data`, for an evaluator, which measures every version on it: `global`.
    deal: "iid" or "dirichlet", by the whole numbers of the field `label`; a small `alpha` deals unequal shares.
    held_out_share: of each device's examples, never trained on: `personal` and `local` are measured on it.
    progress: prints a line per round; None: on a terminal and in notebooks.

    Raises tributary.Error, "child-failed" when a round fails or a program ends; the message names the folder with
    the logs. No process is left behind, whatever happens.
    """
    package = _package_of(task)
    manifest = package.manifest or {}
    shares = _shares_of(data, devices, deal, label, alpha, seed)
    test_table = examples.table_of(test) if test is not None else None
    for table in [*shares, *([test_table] if test_table else [])]:
        _check_fields(table, manifest)
    plan = _plan_for(plan, len(shares), seed)
    command = command_of(learner)
    has_module = manifest.get("module") != "none"
    if not has_module and command is None:
        raise Error("needs-learner", "the task has no module; give the program that learns it, as learner=")
    kept = folder is not None
    place = _new_folder(folder) if folder is not None else _temporary_folder(package, shares)
    site = Site(place, len(shares), gateways, command, test is not None, has_module)
    try:
        collection = manifest.get("collection", "examples")
        site.provision()
        site.start()
        _import(site, collection, held_out_share, shares, test_table)
        site.wait_until_ready()
        shown = site.client.create_task(_TASK, package, plan)
        site.add_devices()
        history = History(manifest.get("metrics", {}))
        _run(site, history, rounds, len(shares), test is not None, _Progress(progress, history.metrics))
        history._tensors, history._module = shown["tensors"], package.module
        history._values = site.client.blob(history.digest) if history else package.weights
        history.folder = place if kept else None
        return history
    except Error as failed:
        kept = True
        failed.args = (f"{failed}\nThe configuration and the log of each process are in {place}",)
        raise
    finally:
        site.stop()
        if not kept:
            shutil.rmtree(place, ignore_errors=True)


def _package_of(task: Any) -> Package:
    return task if isinstance(task, Package) else load_package(task)


def _shares_of(
    data: Any, devices: Optional[int], how: str, label: str, alpha: float, seed: int
) -> List[examples.Table]:
    if isinstance(data, Mapping):
        return examples.deal(examples.table_of(data), devices or 10, how, label, alpha, seed)
    shares = [examples.table_of(share) for share in data]
    if not shares or (devices is not None and devices != len(shares)):
        raise Error("invalid-argument", f"data has the examples of {len(shares)} devices, and devices is {devices}")
    return shares


def _check_fields(table: examples.Table, manifest: Mapping[str, Any]) -> None:
    """Devices would say the same, a little later."""
    for one in manifest.get("inputs", []):
        field = one.get("field", one["name"])
        if field not in table:
            have = ", ".join(table)
            sentence = f"the task's input {one['name']} needs the field {field!r}; the examples have: {have}"
            raise Error("missing-field", sentence)


def _plan_for(plan: Optional[Mapping[str, Any]], devices: int, seed: int) -> Dict[str, Any]:
    given = dict(plan or {})
    everybody = {"report_goal": devices, "minimum": devices, "deadline_seconds": 600}
    given["round"] = {**everybody, **given.get("round", {})}
    given["training"] = {"seed": seed, **given.get("training", {})}
    return given


def _new_folder(folder: PathLike) -> str:
    place = os.path.abspath(os.fspath(folder))
    os.makedirs(place, exist_ok=True)
    if os.listdir(place):
        raise Error("already-exists", f"{place} is there and not empty; give folder= a new one")
    return place


def _temporary_folder(package: Package, shares: List[examples.Table]) -> str:
    """In memory, where there is room: the programs sync whatever they acknowledge, and nothing of it has to last.

    Measured with 100 devices: 0.2 s instead of 7 to set up, 3 s instead of 20 for the first round.
    """
    data = sum(len(column.data) for share in shares for column in share.values())
    # Of each device: the module, versions, the model of its own, its update at three places; databases.
    wanted = 4 * data + (len(shares) + 4) * (len(package.module) + 12 * len(package.weights) + (2 << 20))
    memory: Optional[str] = "/dev/shm"
    if "TMPDIR" in os.environ or not os.access("/dev/shm", os.W_OK) or shutil.disk_usage("/dev/shm").free < 2 * wanted:
        memory = None
    return tempfile.mkdtemp(prefix="tributary-simulation-", dir=memory)


def _import(
    site: Site, collection: str, held_out_share: float, shares: List[examples.Table], test: Optional[examples.Table]
) -> None:
    os.mkdir(os.path.join(site.folder, "examples"))
    files = [f"examples/device-{number:03}.npz" for number in range(len(shares))]
    for file, share in zip(files, shares):
        examples.write_npz(os.path.join(site.folder, file), share)
    site.import_examples(collection, held_out_share, files)
    if test is not None:
        examples.write_npz(os.path.join(site.folder, "examples/test.npz"), test)
        site.import_test_examples(collection, "examples/test.npz")
    shutil.rmtree(os.path.join(site.folder, "examples"))


def _run(site: Site, history: History, rounds: int, devices: int, evaluated: bool, progress: "_Progress") -> None:
    if rounds > 0 and not evaluated:
        site.client.start_rounds(_TASK, rounds)
    for number in range(1, rounds + 1):
        # One round at a time: an evaluator goes on to the newest version and would leave some out.
        if evaluated:
            site.client.start_rounds(_TASK, 1)
        found = _wait(site, number, devices, evaluated)
        history.append(found)
        progress.show(found)


def _wait(site: Site, number: int, devices: int, evaluated: bool) -> Record:
    """The record of a round, once it is completed and its version evaluated."""
    closed: Optional[float] = None
    while True:
        site.check()
        shown = _round(site, number)
        if shown["state"] in ("failed", "cancelled"):
            raise Error("child-failed", f"round {number} {shown['state']}: {shown['shortfall']}{_first_failure(site)}")
        if not shown.get("contributions") and sum(shown.get("device_failures", {}).values()) >= devices:
            # They would try again, and fail again.
            raise Error("child-failed", f"no device can do its part of round {number}{_first_failure(site)}")
        if shown["state"] == "completed":
            closed = closed or time.monotonic()
            if not evaluated or shown["metrics"]["global"] or time.monotonic() - closed > _EVALUATION:
                return _record(site, shown)
        time.sleep(_LOOK)


def _round(site: Site, number: int) -> Record:
    try:
        return site.client.round(_TASK, number)
    except Error as unknown:
        if unknown.code != "not-found":
            raise
        return {"state": "wanted"}


def _first_failure(site: Site) -> str:
    """Why the first of the devices that say so cannot do its part."""
    for device in site.client.devices():
        for failure in (device["report"] or {}).get("failures", []):
            return f". {device['id']} says: {failure['code']}: {failure['sentence']}"
    return ""


def _record(site: Site, shown: Record) -> Record:
    opened, closed = (datetime.datetime.fromisoformat(shown[at].replace("Z", "+00:00")) for at in ("opened", "closed"))
    return {
        "round": shown["number"],
        "version": shown["result_version"],
        "updates": shown["contributions"],
        "refused": sum(shown["refused"].values()),
        "bytes_up": shown["bytes_up"],
        "seconds": (closed - opened).total_seconds(),
        "digest": site.client.version(_TASK, shown["result_version"])["weights"]["digest"],
        **{view: shown["metrics"][view] for view in ("global", "personal", "local")},
    }


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
