"""The main line of a learner: a program that trains in a device in the place of LibTorch (device/learn/PROTOCOL.md).

    from tributary import learner

    def train(weights, examples, config):
        ...                                   # NumPy arrays by name, in and out
        return weights, len(examples["label"]), {"loss": loss}

    learner.run(train)

`learner.command` in device.toml names the program: learner.command = ["/usr/bin/python3", "/opt/sgd/learner.py"].
"""
from __future__ import annotations

import fnmatch
import hashlib
import json
import math
import os
import re
import resource
import sys
import time
import traceback
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import arrays as _arrays
from .learner_link import Agent, Share

Arrays = Dict[str, Any]
Metrics = Mapping[str, Union[float, Tuple[float, float]]]
Train = Callable[[Arrays, Arrays, "Config"], Tuple[Mapping[str, Any], int, Metrics]]
Evaluate = Callable[[Arrays, Arrays, "Config"], Metrics]
Predict = Callable[[Arrays, Arrays, "Config"], Any]


class Config(Dict[str, Any]):
    """The plan of the task as a dict ("epochs", "learning_rate", "batch_size", ...: `tributary task create --help`),
    and beside it:

    Attributes:
        task: its name.
        version: the number of the version that is worked on.
        device: this device's name.
        manifest: tributary.json of the task, as a dict.
        seed: a number below 2^32 that differs by task, version and device, and is the same when the work is done again.
    """

    def __init__(self, order: Mapping[str, Any], agent: "Agent") -> None:
        super().__init__(order["plan"])
        self.task: str = order["task"]
        self.version: int = order["version"]
        self.device: str = order["device"]
        self.manifest: Dict[str, Any] = order["manifest"]
        what = f"{self.get('seed', 0)}/{self.task}/{self.version}/{self.device}"
        self.seed: int = int.from_bytes(hashlib.sha256(what.encode()).digest()[:4], "little")
        self._agent = agent

    def progress(self, steps: int, loss: float = 0.0) -> None:
        """Tells the device how far the training is, as often as you like. Ends the program when the work is not wanted
        any more."""
        self._agent.progress(steps, loss)


class Mistake(Exception):
    """A function may raise it to say the code (`tributary explain`) and the sentence that the device reports."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


_agent: Optional[Agent] = None


def _the_agent() -> Agent:
    global _agent
    if _agent is None:
        _agent = Agent()
    return _agent


class Examples(NamedTuple):
    """The device's examples by input of the task, as arrays [n, ...]; {} where there are none."""

    training: Arrays
    held_out: Arrays


def examples() -> Examples:
    """The examples of the device that this program learns for: waits until they are here. To be called before `run` or
    `tributary.flower.run`, by programs that load their data first.

    When the device wants no training now, `training` is what it held back; when it held nothing back, `held_out` has no
    examples. A device that only wants predictions sends none: then both are {}."""
    agent = _the_agent()
    if agent.next_order() is None:
        sys.exit(0)
    try:
        training, held_out = _examples(agent)
    except Mistake as mistake:
        agent.say("error", code=mistake.code, message=str(mistake))
        sys.exit(0)
    return Examples(training or held_out, held_out or {name: values[:0] for name, values in training.items()})


def _examples(agent: Agent) -> Examples:
    manifest = agent.order["manifest"] if agent.order else {}
    return Examples(_inputs(agent, manifest, "training"), _inputs(agent, manifest, "held_out"))


def _inputs(agent: Agent, manifest: Mapping[str, Any], which: str) -> Arrays:
    """The manifest's inputs of a share: of their dtypes, and scaled."""
    share = agent.shares.get(which)
    found: Arrays = {}
    for one in manifest.get("inputs", []) if share else []:
        field = one.get("field", one["name"])
        if field in share.fields:
            found[one["name"]] = _scaled(
                _typed(share.column(field), one.get("dtype", "FP32")), one, agent.shares.get("training")
            )
    return found


def _typed(values: Any, dtype: str) -> Any:
    if isinstance(values, list):
        return [_typed(each, dtype) for each in values]
    numpy = _arrays.numpy_or_none()
    if numpy is not None:
        return values.astype(_arrays.DTYPES[dtype][1], copy=False)
    return (
        values
        if values.format == _arrays.DTYPES[dtype][0]
        else _arrays.from_bytes(_arrays.to_bytes(values, dtype)[0], dtype, values.shape)
    )


def _scaled(values: Any, one: Mapping[str, Any], training: Optional[Share]) -> Any:
    scaling = one.get("scale", {"kind": "none"})
    if scaling["kind"] == "none":
        return values
    numpy = _arrays.numpy_or_none()
    if numpy is None or isinstance(values, list):
        raise Mistake(
            "not-supported",
            f"the input {one['name']} is to be scaled, which this learner can do with NumPy and for fields of one "
            "length only",
        )
    if scaling["kind"] == "constant":
        mean, std = scaling.get("mean", 0), scaling.get("std", 1)
    elif training is None:
        raise Mistake(
            "not-supported",
            f"the input {one['name']} is scaled by the device's own examples, and none came with this work",
        )
    else:
        own = training.column(one.get("field", one["name"])).astype("float64")
        mean, std = own.mean(axis=0), own.std(axis=0)
        std = numpy.where(std > 0, std, 1)
    # In the precision of the input, as LibTorch's learner does it.
    mean, std = numpy.asarray(mean, values.dtype), numpy.asarray(std, values.dtype)
    return (values - mean) / std


# ---- weights: by name, and one after the other


def _split(agent: Agent) -> Arrays:
    found: Arrays = {}
    at = 0
    for tensor in agent.tensors:
        size = 4 * _arrays.elements(tensor["shape"])
        found[tensor["name"]] = _arrays.from_bytes(agent.weights[at : at + size], "FP32", tensor["shape"])
        at += size
    return found


def _join(agent: Agent, weights: Mapping[str, Any], who: str) -> Dict[str, bytes]:
    """By name, as float32. Wrong names, shapes and numbers have codes of their own."""
    if not isinstance(weights, Mapping):
        raise Mistake(
            "wrong-tensor-count", f"{who} returned weights that are no dict of arrays but {type(weights).__name__}"
        )
    wanted = [tensor["name"] for tensor in agent.tensors]
    if set(weights) != set(wanted):
        raise Mistake(
            "wrong-tensor-count",
            f"{who} returned the weights {', '.join(map(str, weights))}; the task has {', '.join(wanted)}",
        )
    joined = {}
    for tensor in agent.tensors:
        name = tensor["name"]
        try:
            raw, shape = _arrays.to_bytes(weights[name], "FP32")
        except (TypeError, ValueError, OverflowError):
            raise Mistake(
                "wrong-tensor-count", f"{who} returned weights '{name}' that are no array of numbers"
            ) from None
        if shape != list(tensor["shape"]):
            raise Mistake(
                "wrong-tensor-count",
                f"{who} returned the weights '{name}' in the shape {shape}; the task has {list(tensor['shape'])}",
            )
        if not all(map(math.isfinite, memoryview(raw).cast("f"))):
            raise Mistake("not-finite", f"{who} returned weights '{name}' that are not finite")
        joined[name] = raw
    return joined


def _difference(after: bytes, before: bytes) -> bytes:
    numpy = _arrays.numpy_or_none()
    if numpy is not None:
        return (numpy.frombuffer(after, "<f4") - numpy.frombuffer(before, "<f4")).tobytes()
    import array

    return array.array(
        "f", [a - b for a, b in zip(memoryview(after).cast("f"), memoryview(before).cast("f"))]
    ).tobytes()


# ---- what the device keeps


def _kept(agent: Agent) -> Tuple[Dict[str, Any], Dict[str, bytes]]:
    """The head of the personal model that the agent sent, and its tensors; nothing, if there is none."""
    if agent.personal is None:
        return {}, {}
    line, _, values = agent.personal.partition(b"\n")
    head = json.loads(line)
    tensors, at = {}, 0
    for tensor in head["tensors"]:
        size = 4 * _arrays.elements(tensor["shape"])
        tensors[tensor["name"]] = values[at : at + size]
        at += size
    return head, tensors


def _is_personal(name: str, manifest: Mapping[str, Any]) -> bool:
    tensors = manifest.get("tensors", {})
    patterns = [*tensors.get("personal", []), *tensors.get("local", [])]
    # Only '*' has a meaning: fnmatch's others are taken as they stand.
    return any(fnmatch.fnmatchcase(name, re.sub(r"([\[?])", r"[\1]", pattern)) for pattern in patterns)


# ---- the work


class _Work:
    """The user's functions, and what the protocol makes of them."""

    def __init__(
        self, agent: Agent, train: Optional[Train], evaluate: Optional[Evaluate], predict: Optional[Predict]
    ) -> None:
        self.agent, self.train, self.evaluate, self.predict = agent, train, evaluate, predict

    def do(self, order: Mapping[str, Any]) -> None:
        if order["type"] == "predict":
            return self.answer()
        config = Config(order, self.agent)
        {"learn": self.learn, "evaluate": self.measure_versions, "load": self.load}[order["type"]](config)

    def learn(self, config: Config) -> None:
        if self.train is None:
            raise Mistake("not-supported", "this learner has no function that trains")
        begin = time.monotonic()
        training, held_out = _examples(self.agent)
        before = self.base(config, {"state"})
        base = _join(self.agent, before, "the device")
        global_metrics = self.measure("global", self.base(config, set()), held_out, config)
        weights, count, metrics = self.call("train", self.train, before, training, config)
        after = _join(self.agent, weights, "train")
        own_metrics = self.measure("personal", weights, held_out, config)
        kept = [tensor["name"] for tensor in self.agent.tensors if _is_personal(tensor["name"], config.manifest)]
        if kept:
            self.keep(config, kept, after, global_metrics, own_metrics, self.agent.shares.get("held_out"))
        delta = b"".join(
            bytes(len(base[name])) if name in kept else _difference(after[name], base[name]) for name in after
        )
        loss = dict(metrics or {}).get("loss", self.agent.loss)
        if isinstance(loss, (tuple, list)):
            loss = loss[0] / loss[1]
        self.agent.say(
            "learned",
            delta,
            examples=int(count),
            loss=_finite("train", "loss", loss),
            steps=self.agent.steps or int(count),
            millis=_millis(begin),
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )

    def base(self, config: Config, kinds: set) -> Arrays:
        """The version's weights; with "state" the device's own tensors as the next fit begins with them, with "model"
        as it predicts."""
        head, kept = _kept(self.agent)
        weights = _split(self.agent)
        for tensor in head.get("tensors", []):
            if tensor["name"] in weights and any(tensor.get(kind) for kind in kinds):
                weights[tensor["name"]] = _arrays.from_bytes(kept[tensor["name"]], "FP32", tensor["shape"])
        return weights

    def keep(
        self,
        config: Config,
        names: Sequence[str],
        weights: Mapping[str, bytes],
        before: Metrics,
        after: Metrics,
        held_out: Optional[Share],
    ) -> None:
        shapes = {tensor["name"]: tensor["shape"] for tensor in self.agent.tensors}
        head, _ = _kept(self.agent)
        lineage = [
            *head.get("lineage", []),
            *([{"base": head["base"], "choice": head["choice"], **_decisive(head)}] if head else []),
        ]
        model = {
            "format": "tributary-personal-1",
            "task": config.task,
            "base": config.version,
            "strategy": config.get("strategy", "fedavg"),
            "choice": "own",
            "examples": held_out.count if held_out else 0,
            "global": before,
            "personal": after,
            "alpha": 0.5,
            "generation": 0,
            "lineage": lineage[-32:],
            "tensors": [{"name": name, "shape": shapes[name], "model": True, "state": True} for name in names],
        }
        self.agent.say("personal", json.dumps(model).encode() + b"\n" + b"".join(weights[name] for name in names))

    def measure_versions(self, config: Config) -> None:
        held_out = _examples(self.agent).held_out
        if self.evaluate is None:
            raise Mistake("not-supported", "this learner has no function that evaluates")
        self.measure("global", self.base(config, set()), held_out, config)
        if self.agent.personal is not None:
            self.measure("personal", self.base(config, {"model"}), held_out, config)

    def measure(self, which: str, weights: Arrays, held_out: Arrays, config: Config) -> Metrics:
        """Says how good the weights are on what was held out; {} where that is nothing."""
        share = self.agent.shares.get("held_out")
        if self.evaluate is None or share is None or share.count == 0:
            return {}
        begin = time.monotonic()
        metrics = self.call("evaluate", self.evaluate, weights, held_out, config)
        if not isinstance(metrics, Mapping) or "loss" not in metrics:
            raise Mistake(
                "learner-protocol", 'evaluate must return a dict with "loss", and may have other metrics beside it'
            )
        sums = {}
        for name, value in metrics.items():
            total, weight = value if isinstance(value, (tuple, list)) else (float(value) * share.count, share.count)
            sums[name] = {"sum": _finite("evaluate", name, total), "weight": _finite("evaluate", name, weight)}
        self.agent.say("evaluated", model=which, examples=share.count, millis=_millis(begin), metrics=sums)
        return sums

    def load(self, config: Config) -> None:
        if self.predict is None:
            raise Mistake("not-supported", "this learner has no function that predicts")
        self.loaded = config, self.base(config, {"model"})
        self.agent.say("loaded")

    def answer(self) -> None:
        begin = time.monotonic()
        config, weights = self.loaded
        share = self.agent.shares["request"]
        inputs = _inputs(self.agent, config.manifest, "request")
        given = self.call("predict", self.predict, dict(weights), inputs, config)
        declared = config.manifest.get("outputs") or [{"name": "output", "dtype": "FP32"}]
        if not isinstance(given, Mapping):
            values = given if isinstance(given, tuple) else (given,)
            given = {one["name"]: value for one, value in zip(declared, values)}
        outputs, bodies = [], []
        for one in declared:
            if one["name"] not in given:
                raise Mistake("learner-protocol", f"predict returned no output '{one['name']}'")
            raw, shape = _arrays.to_bytes(given[one["name"]], one.get("dtype", "FP32"))
            outputs.append({"name": one["name"], "dtype": one.get("dtype", "FP32"), "shape": shape})
            bodies.append(raw)
        which = "personal" if any(tensor["model"] for tensor in _kept(self.agent)[0].get("tensors", [])) else "global"
        self.agent.say(
            "predicted", b"".join(bodies), model=which, count=share.count, millis=_millis(begin), outputs=outputs
        )

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """The user's function. A mistake in it becomes a sentence without any value of an example."""
        try:
            answer = function(*arguments)
        except (MemoryError, Mistake):
            raise
        except Exception as bad:
            traceback.print_exc()
            # Not learner-crashed: with that the device would report the last words of standard error, the traceback.
            raise Mistake("child-failed", f"{name} failed: {_where(bad)}") from None
        if name == "train" and not (isinstance(answer, tuple) and len(answer) == 3):
            raise Mistake("learner-protocol", "train must return (weights, number of examples, metrics)")
        return answer


def _decisive(head: Mapping[str, Any]) -> Dict[str, float]:
    found = {}
    for which in ("global", "personal"):
        metric = head[which].get("accuracy") or head[which].get("loss") or {"sum": 0, "weight": 0}
        found[which] = metric["sum"] / metric["weight"] if metric["weight"] else 0
    return found


def _where(bad: BaseException) -> str:
    """The last line of a traceback and where it was, without numbers and quoted texts: they may be values of an
    example."""
    frames = traceback.extract_tb(bad.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((sys.prefix, "/usr/lib"))] or frames
    place = f" ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if own else ""
    lines = [line for line in str(bad).splitlines() if line.strip()]
    text = re.sub(r"'[^']*'|\"[^\"]*\"|[-+]?\d[\d.eE+-]*", "…", lines[0][:200]) if lines else ""
    return f"{type(bad).__name__}{': ' if text else ''}{text}{place}"


def _finite(who: str, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise Mistake("learner-protocol", f"{who} returned a metric '{name}' that is no number") from None
    if not math.isfinite(number):
        raise Mistake("not-finite", f"{who} returned a metric '{name}' that is not finite")
    return number


def _millis(begin: float) -> int:
    return int((time.monotonic() - begin) * 1000)


def run(train: Optional[Train], evaluate: Optional[Evaluate] = None, predict: Optional[Predict] = None) -> None:
    """Does what the device asks for, until it says that this is all. Does not return before.

    The functions get weights (tensor -> float32 array in the tensor's shape, a copy), examples (input of the task ->
    array [n, ...] of the input's dtype, scaled as the task says; a list of n arrays, where a length varies) and a
    `Config`. Arrays are NumPy's; without NumPy they are memoryviews.

    Args:
        train: (weights, examples, config) -> (weights, n, metrics): the trained weights by the same names, in the same
            shapes; how many distinct examples they were trained on, which is the update's weight; {"loss": of the last
            step} or {}.
        evaluate: (weights, examples, config) -> metrics: means over the examples, or (sum, weight) pairs: {"loss": 0.3,
            "accuracy": 0.9}. "loss" must be among them. It is called with what the device held back, before and after
            training. Without it nothing is measured.
        predict: (weights, examples, config) -> the task's outputs: an array, a tuple of arrays, or a dict by name, each
            [n, ...].

    What is printed goes to standard error. An exception in a function becomes an error that the device reports by its
    type, its place and its text without numbers and quoted parts, so that no value of an example leaves the device; the
    whole traceback goes to standard error. Personal and local tensors of the task stay on the device and come back with
    the next version.
    """
    agent = _the_agent()
    work = _Work(agent, train, evaluate, predict)
    while True:
        order = agent.next_order()
        if order is None:
            return
        try:
            work.do(order)
        except Mistake as mistake:
            agent.say("error", code=mistake.code, message=str(mistake))
        except MemoryError:
            agent.say("error", code="learner-memory", message="the learner needed more memory than it may have")
            raise
        agent.order = None
