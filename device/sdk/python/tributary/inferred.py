"""What tributary.json says of a module, inferred from the module and a batch of examples."""
from __future__ import annotations

import inspect
import json
import warnings
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import arrays as _arrays
from .errors import Error

# Of 64 KiB that tributary.json may have.
_GOLDEN_BYTES = 24 * 1024
_GOLDEN_EXAMPLES = 4


def import_torch() -> Any:
    try:
        import torch
    except ImportError:
        raise Error(
            "not-supported",
            "export needs PyTorch, which this Python does not have; install it (Debian: python3-torch), or "
            "make a task of arrays with tributary.export_arrays",
        ) from None
    return torch


def tensor_of(torch: Any, name: str, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    try:
        numpy = _arrays.numpy_or_none()
        dtype = getattr(torch, _arrays.DTYPES[_arrays.dtype_of(value)][1])
        return torch.as_tensor(numpy.ascontiguousarray(value) if numpy is not None else value).to(dtype)
    except (TypeError, ValueError, RuntimeError) as bad:
        raise Error("invalid-argument", f"'{name}' of the example is no array: {bad}") from None


def inputs_of(
    batch: Mapping[str, Any],
    targets: Sequence[str],
    weights: Sequence[str],
    scale: Optional[Mapping[str, Any]],
    varying: Optional[Mapping[str, int]],
    fields: Optional[Mapping[str, str]],
    pad: Optional[Mapping[str, float]],
    categories: Optional[Mapping[str, Sequence[str]]],
) -> List[Dict[str, Any]]:
    """The manifest's inputs."""
    for option, names in (
        ("targets", targets),
        ("weights", weights),
        ("scale", scale),
        ("varying", varying),
        ("fields", fields),
        ("pad", pad),
        ("categories", categories),
    ):
        if isinstance(names, str):
            raise Error("invalid-argument", f"{option} must be a list: [{names!r}]")
        for name in names or ():
            if name not in batch:
                raise Error(
                    "invalid-argument",
                    f"{option} names '{name}', which is not in the example; it has {', '.join(batch)}",
                )
    inputs = []
    for name, value in batch.items():
        try:
            one: Dict[str, Any] = {"name": name, "dtype": _arrays.dtype_of(value), "shape": _shape_of(value)}
        except (TypeError, ValueError) as bad:
            raise Error("invalid-argument", f"'{name}' of the example is no array: {bad}") from None
        if not one["shape"]:
            raise Error(
                "invalid-argument",
                f"'{name}' of the example is one number; its first dimension must be the examples of a batch",
            )
        one["shape"][0] = -1
        dimension = (varying or {}).get(name)
        if dimension is not None:
            if not 0 < dimension < len(one["shape"]):
                raise Error(
                    "invalid-argument",
                    f"varying: '{name}' has the dimensions 1 to {len(one['shape']) - 1}; 0 is the batch",
                )
            one["shape"][dimension] = -1
        if name in targets:
            one["role"] = "target"
        elif name in weights:
            one["role"] = "weight"
        if fields and name in fields:
            one["field"] = fields[name]
        if scale and name in scale:
            one["scale"] = _scaling(name, scale[name])
        if pad and name in pad:
            one["pad"] = pad[name]
        if categories and name in categories:
            one["categories"] = list(categories[name])
        inputs.append(one)
    return inputs


def _shape_of(value: Any) -> List[int]:
    shape = getattr(value, "shape", None)
    return (
        [int(length) for length in shape] if shape is not None else _arrays.to_bytes(value, _arrays.dtype_of(value))[1]
    )


def _scaling(name: str, wanted: Any) -> Dict[str, Any]:
    if isinstance(wanted, str):
        return {"kind": wanted}
    if isinstance(wanted, Mapping):
        return dict(wanted)
    try:
        mean, std = wanted
        return {"kind": "constant", "mean": float(mean), "std": float(std)}
    except (TypeError, ValueError):
        raise Error("invalid-argument", f"scale of '{name}' must be (mean, std) or \"device-standard\"") from None


def scaled(torch: Any, value: Any, scaling: Optional[Mapping[str, Any]]) -> Any:
    """As the module gets it. Of device-standard, by the example itself."""
    if not scaling or scaling["kind"] == "none":
        return value
    if scaling["kind"] == "constant":
        return (value - scaling.get("mean", 0)) / scaling.get("std", 1)
    std = value.double().std(dim=0, unbiased=False)
    return ((value - value.double().mean(dim=0)) / torch.where(std > 0, std, torch.ones_like(std))).to(value.dtype)


def forward_arguments(model: Any, batch: Mapping[str, Any]) -> List[str]:
    """Those of forward that the example has, in forward's order."""
    schema = getattr(getattr(model, "forward", None), "schema", None)
    if schema is not None:  # of TorchScript
        arguments = [(one.name, one.has_default_value()) for one in schema.arguments[1:]]
    elif callable(getattr(model, "forward", None)):
        known = inspect.signature(model.forward).parameters.values()
        arguments = [
            (one.name, one.default is not one.empty)
            for one in known
            if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
    else:
        raise Error("invalid-argument", "the model has no method forward; give a torch.nn.Module")
    for name, optional in arguments:
        if name not in batch and not optional:
            raise Error(
                "invalid-argument",
                f"forward takes the argument '{name}', which is not in the example; it has {', '.join(batch)}",
            )
    return [name for name, _ in arguments if name in batch]


def run_forward(
    torch: Any, model: Any, batch: Dict[str, Any], varying: Mapping[str, int], names: Optional[Sequence[str]]
) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """What forward returns for the batch, and the manifest's outputs. A length that differs for a smaller batch
    varies."""
    given = _outputs(torch, model, batch, names)
    count = len(next(iter(batch.values())))
    smaller = {name: value[: max(1, count - 1)] for name, value in batch.items()}
    for name, dimension in varying.items():
        if name in smaller and smaller[name].shape[dimension] > 1:
            smaller[name] = smaller[name].narrow(dimension, 0, smaller[name].shape[dimension] - 1)
    try:
        less = _outputs(torch, model, smaller, names)
    except Error:  # not every module takes one example, or a length that is not even
        less = given
    outputs = []
    for name, value in given.items():
        shape = list(value.shape)
        if shape and shape[0] == count:
            shape[0] = -1
        if name in less and less[name].dim() == value.dim():
            shape = (
                [length if length == other else -1 for length, other in zip(shape, less[name].shape)]
                if less is not given
                else shape
            )
            if shape and value.shape[0] == count:
                shape[0] = -1
        outputs.append({"name": name, "dtype": _arrays.dtype_of(value), "shape": shape})
    return given, outputs


def _outputs(torch: Any, model: Any, batch: Mapping[str, Any], names: Optional[Sequence[str]]) -> Dict[str, Any]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            given = model(**batch)
    except Exception as bad:
        raise Error("invalid-argument", f"forward failed on the example: {_last_line(bad)}") from bad
    finally:
        model.train(training)
    if isinstance(given, torch.Tensor):
        given = {(names or ["output"])[0]: given}
    elif isinstance(given, (list, tuple)):
        given = dict(zip(names or [f"output_{i}" for i in range(len(given))], given))
    if not isinstance(given, dict) or not all(isinstance(value, torch.Tensor) for value in given.values()):
        raise Error("invalid-argument", "forward must return a tensor, a tuple of tensors or a dict of tensors")
    return given


def script_of(torch: Any, model: Any, batch: Mapping[str, Any]) -> Tuple[Any, str]:
    """The module as TorchScript, and a sentence where it was traced."""
    if isinstance(model, torch.jit.ScriptModule):
        return model, ""
    try:
        return torch.jit.script(model), ""
    except Exception as bad:
        why = _last_line(bad)
    methods = {}
    for method in ("forward", "loss", "metrics"):
        if callable(getattr(model, method, None)):
            methods[method] = tuple(batch[name] for name in _arguments_of(model, method) if name in batch)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace_module(model, methods, check_trace=False)
    except Exception as bad:
        raise Error(
            "not-supported", f"the module can neither be scripted ({why}) nor traced ({_last_line(bad)})"
        ) from bad
    return traced, (
        f"torch.jit.script refused the module ({why}), so it was traced: whatever forward decides by the values of a "
        "batch is decided for ever as for the example"
    )


def _arguments_of(model: Any, method: str) -> List[str]:
    return list(inspect.signature(getattr(model, method)).parameters)


def _last_line(bad: BaseException) -> str:
    """One line of an exception's text that says something: TorchScript's have many, the first of which does."""
    lines = [line.strip() for line in str(bad).splitlines() if line.strip()]
    return (lines[0] if lines else type(bad).__name__).rstrip(":.")


def manifest_of(
    inputs: List[Dict[str, Any]], outputs: List[Dict[str, Any]], tensors: Mapping[str, Sequence[str]], **members: Any
) -> Dict[str, Any]:
    """tributary.json; of `tensors` and `members` without what is empty."""
    members["tensors"] = {role: list(patterns) for role, patterns in tensors.items() if patterns}
    manifest: Dict[str, Any] = {"format": "tributary-task-1", "inputs": inputs, "outputs": outputs}
    for key, value in members.items():
        if value:
            manifest[key] = (
                dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
            )
    return manifest


def golden_of(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """The first examples of the batch and what forward gives for them, as long as they are short. Each has its own
    output then."""
    count = min(len(value) for value in inputs.values())
    # Modules that normalise by the batch need two; an output that is not of each example cannot be cut.
    if count < 2 or any(not value.dim() or len(value) != count for value in outputs.values()):
        return None
    for examples in range(min(count, _GOLDEN_EXAMPLES), 1, -1):
        golden = {
            "inputs": {name: _lists(value[:examples]) for name, value in inputs.items()},
            "outputs": {name: _lists(value[:examples]) for name, value in outputs.items()},
            "tolerance": 1e-4,
        }
        if len(json.dumps(golden)) <= _GOLDEN_BYTES:
            return golden
    return None


def _lists(value: Any) -> Any:
    """Nested lists of numbers with as many digits as a float32 has."""

    def short(each: Any) -> Any:
        if isinstance(each, list):
            return [short(one) for one in each]
        return float(f"{each:.9g}") if isinstance(each, float) else each

    return short(value.tolist())
