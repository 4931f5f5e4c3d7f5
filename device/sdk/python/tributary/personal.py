"""What a learner keeps on its device: which tensors, and the model that the device uses for itself
(device/learn/PROTOCOL.md, "The personal model")."""
from __future__ import annotations

import fnmatch
import json
import re
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Set, Tuple

from . import arrays as _arrays

#: Strategies in which the tensors that are shared are the whole difference.
BY_TENSORS = ("fedavg", "fedbn", "fedper")
#: Those that change the training itself, so that the function that trains has to do it.
BY_TRAINING = ("fedprox", "fedrep")

_ANCESTORS = 32
_CHI_SQUARE = 2.7055  # of one degree of freedom, 10 % on both sides


def kept_tensors(names: Sequence[str], manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> List[str]:
    """Those of a task's tensors that stay on devices, in their order: as protocol/catalogue/shared_tensors.h has it."""
    tensors, strategy = manifest.get("tensors", {}), plan.get("strategy", "fedavg")
    measured = {name for name in names if name.rpartition(".")[2] in ("running_mean", "running_var")}
    kept = _matching(names, [*tensors.get("personal", []), *tensors.get("local", [])])
    if strategy in ("fedper", "fedrep") and not tensors.get("personal"):
        kept |= _head(names, plan.get("head", ""), measured)
    if plan.get("statistics") == "local":
        kept |= measured
    if strategy == "fedbn":
        layers = set(map(_layer, measured))
        kept |= {name for name in names if _layer(name) in layers}
    return [name for name in names if name in kept]


def _head(names: Sequence[str], patterns: str, measured: Set[str]) -> Set[str]:
    if patterns:
        return _matching(names, [one.strip(" ") for one in patterns.split(",")])
    trained = [name for name in names if name not in measured]
    # Tensors of the module itself are no layer: of these the last one is the head.
    layer = _layer(trained[-1]) if trained else ""
    return {name for name in trained if _layer(name) == layer} if layer else set(trained[-1:])


def _layer(name: str) -> str:
    return name[: name.rfind(".") + 1]


def _matching(names: Iterable[str], patterns: Sequence[str]) -> Set[str]:
    # Only '*' has a meaning: fnmatch's others are taken as they stand.
    plain = [re.sub(r"([\[?])", r"[\1]", pattern) for pattern in patterns]
    return {name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in plain)}


class Kept(NamedTuple):
    """A device's own model as its file has it."""

    head: Dict[str, Any]  # {} of none
    values: Dict[str, bytes]

    def names(self, kind: str, strategy: str = "") -> List[str]:
        """Its tensors of a kind, "model" or "state"; none of another strategy, where one is named."""
        if strategy and self.head.get("strategy") != strategy:
            return []
        return [tensor["name"] for tensor in self.head.get("tensors", []) if tensor.get(kind)]


def read(raw: Any) -> Kept:
    """The file that the agent sent; None: there is none."""
    if raw is None:
        return Kept({}, {})
    line, _, values = raw.partition(b"\n")
    head = json.loads(line)
    tensors, at = {}, 0
    for tensor in head["tensors"]:
        size = 4 * _arrays.elements(tensor["shape"])
        tensors[tensor["name"]] = values[at : at + size]
        at += size
    return Kept(head, tensors)


def write(
    about: Mapping[str, Any], before: Kept, tensors: Sequence[Mapping[str, Any]], values: Mapping[str, bytes]
) -> bytes:
    """The file of the next one. about: task, base, strategy, choice, examples, global, personal."""
    lineage = list(before.head.get("lineage", []))
    if before.head:
        former = {which: _decisive(before.head[which]) for which in ("global", "personal")}
        lineage.append({"base": before.head["base"], "choice": before.head["choice"], **former})
    head = {
        "format": "tributary-personal-1",
        **about,
        "alpha": 0.5,
        "generation": 0,
        "lineage": lineage[-_ANCESTORS:],
        "tensors": list(tensors),
    }
    return json.dumps(head).encode() + b"\n" + b"".join(values[tensor["name"]] for tensor in tensors)


def _decisive(metrics: Mapping[str, Any]) -> float:
    metric = metrics.get("accuracy") or metrics.get("loss") or {"sum": 0, "weight": 0}
    return metric["sum"] / metric["weight"] if metric["weight"] else 0


# ---- which of two models is better, by metrics of name -> {"sum", "weight"}


def _means(first: Mapping[str, Any], second: Mapping[str, Any], name: str) -> Tuple[float, float]:
    one, other = (metrics[name]["sum"] / (metrics[name]["weight"] or 1) for metrics in (first, second))
    return one, other


def is_better(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """A larger accuracy where both have one, else, and where these are equal, a smaller loss."""
    if "accuracy" in first and "accuracy" in second:
        one, other = _means(first, second, "accuracy")
        if one != other:
            return one > other
    one, other = _means(first, second, "loss")
    return one < other


def is_clearly_better(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """By more than chance, where both have an accuracy: McNemar's test as device/learn/personal_model.h has it."""
    if "accuracy" not in first or "accuracy" not in second:
        return is_better(first, second)
    wrong, more = (one["accuracy"]["weight"] - one["accuracy"]["sum"] for one in (first, second))
    surplus = more - wrong - 1
    return surplus > 0 and surplus * surplus > _CHI_SQUARE * (wrong + more)


def best_of(names: Sequence[str], scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The first of the names, unless others are clearly better: then the best of these."""
    best = names[0]
    for name in names[1:]:
        if is_clearly_better(scores[name], scores[names[0]]) and (
            best == names[0] or is_better(scores[name], scores[best])
        ):
            best = name
    return best
