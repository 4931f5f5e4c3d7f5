"""The main line of a learner: a program that trains in a device in the place of LibTorch (device/learn/PROTOCOL.md).

    from tributary import learner

    def train(weights, examples, config):
        ...                                   # NumPy arrays by name, in and out
        return weights, len(examples["label"]), {"loss": loss}

    learner.run(train)

`learner.command` in device.toml names the program: learner.command = ["/usr/bin/python3", "/opt/sgd/learner.py"].
"""
from __future__ import annotations

import hashlib
import json
import math
import resource
import sys
import time
import traceback
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import arrays as _arrays, personal as _personal
from .errors import Error
from .learner_link import Agent, Share
from .mistakes import Mistake, finite, where

Arrays = Dict[str, Any]
Metrics = Mapping[str, Union[float, Tuple[float, float]]]
Measured = Dict[str, Dict[str, float]]  # name -> {"sum", "weight"}
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
        kept: the names of the tensors that stay on this device, by the task and the plan's strategy: they come back
            with the next version as they were trained, and no change of theirs is sent.
    """

    def __init__(self, order: Mapping[str, Any], agent: "Agent") -> None:
        super().__init__(order["plan"])
        self.task: str = order["task"]
        self.version: int = order["version"]
        self.device: str = order["device"]
        self.manifest: Dict[str, Any] = order["manifest"]
        what = f"{self.get('seed', 0)}/{self.task}/{self.version}/{self.device}"
        self.seed: int = int.from_bytes(hashlib.sha256(what.encode()).digest()[:4], "little")
        names = [tensor["name"] for tensor in agent.tensors]
        self.kept: List[str] = _personal.kept_tensors(names, self.manifest, self)
        self._agent = agent

    def progress(self, steps: int, loss: float = 0.0) -> None:
        """Tells the device how far the training is, as often as you like. Ends the program when the work is not wanted
        any more."""
        self._agent.progress(steps, loss)


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
    else:
        # An evaluator trains on nothing: what it evaluates on is all that it has.
        field = one.get("field", one["name"])
        own = (values if training is None else training.column(field)).astype("float64")
        mean, std = own.mean(axis=0), own.std(axis=0)
        std = numpy.where(std > 0, std, 1)
    # In the precision of the input, as LibTorch's learner does it.
    mean, std = numpy.asarray(mean, values.dtype), numpy.asarray(std, values.dtype)
    return (values - mean) / std


# ---- weights: by name, and one after the other


def _version(agent: Agent) -> Dict[str, bytes]:
    found, at = {}, 0
    for tensor in agent.tensors:
        size = 4 * _arrays.elements(tensor["shape"])
        found[tensor["name"]] = agent.weights[at : at + size]
        at += size
    return found


def _arrays_of(agent: Agent, values: Mapping[str, bytes]) -> Arrays:
    """Copies: a function may write into them."""
    return {
        tensor["name"]: _arrays.from_bytes(values[tensor["name"]], "FP32", tensor["shape"]) for tensor in agent.tensors
    }


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


# ---- the work


class _Work:
    """The user's functions, and what the protocol makes of them."""

    def __init__(
        self,
        agent: Agent,
        train: Optional[Train],
        evaluate: Optional[Evaluate],
        predict: Optional[Predict],
        strategies: Sequence[str],
    ) -> None:
        self.agent, self.train, self.evaluate, self.predict = agent, train, evaluate, predict
        self.strategies = strategies
        self.took = 0  # milliseconds, of the last evaluation

    def do(self, order: Mapping[str, Any]) -> None:
        if order["type"] == "predict":
            return self.answer()
        config = Config(order, self.agent)
        {"learn": self.learn, "evaluate": self.measure_versions, "load": self.load}[order["type"]](config)

    def learn(self, config: Config) -> None:
        if self.train is None:
            raise Mistake("not-supported", "this learner has no function that trains")
        self.check_strategy(config)
        examples = _examples(self.agent)
        version, kept = _version(self.agent), _personal.read(self.agent.personal)
        state = [name for name in kept.names("state", config.get("strategy", "fedavg")) if name in config.kept]
        measured = self.measure(version, examples.held_out, config)
        self.say_measured("global", measured)
        try:
            self.fit(config, {**version, **{name: kept.values[name] for name in state}}, kept, measured, examples)
        except Mistake as mistake:
            # Nothing finite came of what the device has kept, and nothing would at any later version.
            if mistake.code != "not-finite" or not state:
                raise
            self.fit(config, version, kept, measured, examples)

    def fit(
        self, config: Config, base: Mapping[str, bytes], kept: _personal.Kept, measured: Measured, examples: Examples
    ) -> None:
        """Trains from `base`, chooses the device's own model and says what was learned."""
        begin = time.monotonic()
        start = _arrays_of(self.agent, base)
        weights, count, metrics = self.call("train", self.train, start, examples.training, config)
        after = _join(self.agent, weights, "train")
        loss = dict(metrics or {}).get("loss", self.agent.loss)
        if isinstance(loss, (tuple, list)):
            loss = loss[0] / loss[1]
        loss, count = finite("train", "loss", loss), int(count)
        self.choose(config, kept, after, measured, examples.held_out)
        delta = b"".join(
            bytes(len(base[name])) if name in config.kept else _difference(after[name], base[name]) for name in after
        )
        self.agent.say(
            "learned",
            delta,
            examples=count,
            loss=loss,
            steps=self.agent.steps or count,
            millis=_millis(begin),
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )

    def check_strategy(self, config: Config) -> None:
        strategy = config.get("strategy", "fedavg")
        if strategy in _personal.BY_TENSORS or strategy in self.strategies:
            return
        itself = (
            f", or let train do it and say so: learner.run(train, strategies=['{strategy}'])"
            if strategy in _personal.BY_TRAINING
            else ""
        )
        raise Mistake(
            "not-supported",
            f"the plan's strategy {strategy} changes the training itself, which this learner does not do; nothing was "
            f"trained. Make the task with strategy {', '.join(_personal.BY_TENSORS)}{itself}",
        )

    def choose(
        self, config: Config, before: _personal.Kept, after: Mapping[str, bytes], measured: Measured, held_out: Arrays
    ) -> None:
        """Which model the device uses for itself from now on: as device/learn/strategies/strategy.h says."""
        version = _version(self.agent)
        own = {**version, **{name: after[name] for name in config.kept}}
        # The first is the one that is used unless another is clearly better.
        models = {**({"kept": own} if config.kept else {}), "global": version, "fit": after}
        scores = {"global": measured}
        for name in models if measured else ():
            try:
                scores[name] = scores.get(name) or self.measure(models[name], held_out, config)
            except Mistake as mistake:
                if mistake.code != "not-finite":  # the update is good without it
                    raise
        known = [name for name in models if name in scores]
        best = _personal.best_of(known, scores) if measured else next(iter(models))
        self.say_measured("personal", scores.get(best, {}))
        if best == "global" and not config.kept and not before.head:
            return
        tensors = [
            {**tensor, "model": models[best][name] != version[name], "state": name in config.kept}
            for name, tensor in ((tensor["name"], tensor) for tensor in self.agent.tensors)
            if models[best][name] != version[name] or name in config.kept
        ]
        about = {
            "task": config.task,
            "base": config.version,
            "strategy": config.get("strategy", "fedavg"),
            "choice": best,
            "examples": self.agent.shares["held_out"].count if measured else 0,
            "global": measured,
            "personal": scores.get(best, {}),
        }
        self.agent.say("personal", _personal.write(about, before, tensors, after))

    def measure_versions(self, config: Config) -> None:
        held_out = _examples(self.agent).held_out
        if self.evaluate is None:
            raise Mistake("not-supported", "this learner has no function that evaluates")
        self.say_measured("global", self.measure(_version(self.agent), held_out, config))
        if self.agent.personal is not None:
            self.say_measured("personal", self.measure(self.own(), held_out, config))

    def own(self) -> Dict[str, bytes]:
        """The weights that the device predicts with."""
        version, kept = _version(self.agent), _personal.read(self.agent.personal)
        return {**version, **{name: kept.values[name] for name in kept.names("model") if name in version}}

    def measure(self, values: Mapping[str, bytes], held_out: Arrays, config: Config) -> Measured:
        """How good the weights are on what was held out; {} where that is nothing."""
        share = self.agent.shares.get("held_out")
        if self.evaluate is None or share is None or share.count == 0:
            return {}
        begin = time.monotonic()
        metrics = self.call("evaluate", self.evaluate, _arrays_of(self.agent, values), held_out, config)
        if not isinstance(metrics, Mapping) or "loss" not in metrics:
            raise Mistake(
                "learner-protocol", 'evaluate must return a dict with "loss", and may have other metrics beside it'
            )
        self.took = _millis(begin)
        sums = {}
        for name, value in metrics.items():
            pair = isinstance(value, (tuple, list)) and len(value) == 2
            total, weight = value if pair else (finite("evaluate", name, value) * share.count, share.count)
            sums[name] = {"sum": finite("evaluate", name, total), "weight": finite("evaluate", name, weight)}
        return sums

    def say_measured(self, which: str, metrics: Measured) -> None:
        if metrics:
            count = self.agent.shares["held_out"].count
            self.agent.say("evaluated", model=which, examples=count, millis=self.took, metrics=metrics)

    def load(self, config: Config) -> None:
        if self.predict is None:
            raise Mistake("not-supported", "this learner has no function that predicts")
        self.loaded = config, _arrays_of(self.agent, self.own())
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
        which = "personal" if _personal.read(self.agent.personal).names("model") else "global"
        self.agent.say(
            "predicted", b"".join(bodies), model=which, count=share.count, millis=_millis(begin), outputs=outputs
        )

    def call(self, name: str, function: Optional[Callable[..., Any]], *arguments: Any) -> Any:
        """The user's function. A mistake in it becomes a sentence without any value of an example."""
        assert function is not None
        try:
            answer = function(*arguments)
        except (MemoryError, Mistake):
            raise
        except BaseException as bad:  # KeyboardInterrupt and SystemExit are none that a device sends
            traceback.print_exc()
            # Not learner-crashed: with that the device would report the last words of standard error, the traceback.
            raise Mistake("child-failed", f"{name} failed: {where(bad)}") from None
        if name == "train" and not (isinstance(answer, tuple) and len(answer) == 3):
            raise Mistake("learner-protocol", "train must return (weights, number of examples, metrics)")
        return answer


def _millis(begin: float) -> int:
    return int((time.monotonic() - begin) * 1000)


def run(
    train: Optional[Train],
    evaluate: Optional[Evaluate] = None,
    predict: Optional[Predict] = None,
    strategies: Sequence[str] = (),
) -> None:
    """Does what the device asks for, until it says that this is all. Does not return before.

    The functions get weights (tensor -> float32 array in the tensor's shape, a copy), examples (input of the task ->
    array [n, ...] of the input's dtype, scaled as the task says; a list of n arrays, where a length varies) and a
    `Config`. Arrays are NumPy's; without NumPy they are memoryviews.

    Args:
        train: (weights, examples, config) -> (weights, n, metrics): the trained weights by the same names, in the same
            shapes; how many distinct examples they were trained on, which is the update's weight; {"loss": of the last
            step} or {}.
        evaluate: (weights, examples, config) -> metrics: means over the examples, or (sum, weight) pairs: {"loss": 0.3,
            "accuracy": 0.9}. "loss" must be among them. It is called with what the device held back, for the version
            and for each model that the device could use instead. Without it nothing is measured.
        predict: (weights, examples, config) -> the task's outputs: an array, a tuple of arrays, or a dict by name, each
            [n, ...].
        strategies: those of "fedprox" and "fedrep" that `train` does itself, by `config`. With fedavg, fedbn and fedper
            there is nothing for it to do: tensors that the plan or the task keeps on the device (`config.kept`) come
            back as they were trained. A plan with another strategy is refused: not-supported.

    The device predicts with the version and its kept tensors, or with what it trained where `evaluate` finds that
    clearly better, or with the version where that is.

    What is printed goes to standard error. An exception in a function becomes an error that the device reports by its
    type, its place and its text without numbers and quoted parts, so that no value of an example leaves the device; the
    whole traceback goes to standard error.
    """
    unknown = [name for name in strategies if name not in _personal.BY_TRAINING]
    if unknown:
        raise Error(
            "invalid-argument",
            f"strategies names {', '.join(map(str, unknown))}; a function can do {', '.join(_personal.BY_TRAINING)}",
        )
    agent = _the_agent()
    work = _Work(agent, train, evaluate, predict, strategies)
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
        except Exception as bad:  # what the functions returned is of no use
            traceback.print_exc()
            sentence = f"what a function returned is of no use: {where(bad)}"
            agent.say("error", code="learner-protocol", message=sentence)
        agent.order = None
