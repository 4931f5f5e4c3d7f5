"""Makes the files that a task is created from: `export` of a PyTorch module, `export_arrays` of arrays alone."""
from __future__ import annotations

import html
import json
import os
import subprocess
import tempfile
import warnings
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from . import arrays as _arrays
from .errors import Error
from .programs import find

# Of 64 KiB that tributary.json may have.
_GOLDEN_BYTES = 24 * 1024
_GOLDEN_EXAMPLES = 4


class TaskFile:
    """The files of a task, and what the trial found.

    Attributes:
        path: of the file that was written: a TorchScript module (.pt) or, of arrays, the package itself.
        package: of the package (.tpkg) that `tributary task create --package`, `Client.create_task` and `simulate` take.
        manifest: tributary.json, as a dict.
        table: what `tributary-device pack` printed, line by line.
        note: a sentence about what was done other than asked, or "".
    """

    def __init__(self, path: str, package: str, manifest: Dict[str, Any], table: str, note: str = "") -> None:
        self.path = path
        self.package = package
        self.manifest = manifest
        self.table = table
        self.note = note

    def rows(self) -> List[Tuple[str, str]]:
        """The table's lines: what a line is about, and what was found."""
        lines = [line.strip().split(None, 1) for line in self.table.splitlines()[1:]]
        return [(line[0], line[1] if len(line) > 1 else "") for line in lines if line]

    def __str__(self) -> str:
        return self.table + (f"  note       {self.note}\n" if self.note else "")

    def __repr__(self) -> str:
        return f"TaskFile({self.package!r})"

    def _repr_html_(self) -> str:
        head = html.escape(self.table.splitlines()[0] if self.table else self.package)
        found = self.rows() + ([("note", self.note)] if self.note else [])
        cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in found)
        return f"<table><caption>{head}</caption>{cells}</table>"


def export(
    model: Any,
    example: Mapping[str, Any],
    path: Union[str, "os.PathLike[str]"],
    *,
    targets: Sequence[str] = (),
    weights: Sequence[str] = (),
    personal: Sequence[str] = (),
    local: Sequence[str] = (),
    frozen: Sequence[str] = (),
    metrics: Optional[Mapping[str, str]] = None,
    scale: Optional[Mapping[str, Any]] = None,
    outputs: Optional[Sequence[str]] = None,
    varying: Optional[Mapping[str, int]] = None,
    fields: Optional[Mapping[str, str]] = None,
    pad: Optional[Mapping[str, float]] = None,
    categories: Optional[Mapping[str, Sequence[str]]] = None,
    collection: str = "examples",
    classes: Sequence[str] = (),
    min_examples: int = 1,
    description: str = "",
    license: str = "",
    loss: Optional[str] = None,
    golden: bool = True,
) -> TaskFile:
    """Makes a task of a PyTorch module: tries it as devices will use it, and writes PATH (.pt) and the package beside it (.tpkg).

    The module's `forward` predicts. Its methods `loss` and `metrics`, if it has them (`@torch.jit.export`), say what is lowered
    and what is reported; without `loss` the task's plan names a built-in one. Their arguments are bound by name to the example.

        tributary.export(Forecast(), {"window": w, "future": f}, "forecast.pt", targets=["future"], metrics={"mae": "smaller"})

    Args:
        model: a torch.nn.Module, or one that torch.jit.script made. It is left as it was.
        example: a batch, as devices have their examples: name of an argument -> tensor or array [n, ...]. dtypes and shapes are
            taken from it. Real numbers of NumPy count as float32.
        path: of the TorchScript file.
        targets: the arguments that are to be predicted; devices predict without them.
        weights: an argument that weighs each example, [n].
        personal, local: tensors that stay on each device, as patterns: "head.*".
        frozen: tensors that are not trained.
        metrics: which way is better, by name: {"mae": "smaller"}. The first by name ranks the versions.
        scale: by argument, how the device's values become those that the module gets: (mean, std) for (value - mean) / std, or
            "device-standard" for the mean and deviation of each device's own examples.
        outputs: names of what forward returns, where it is a tuple; a dict has its own.
        varying: by argument, the dimension whose length differs from example to example: {"tokens": 1}.
        fields: by argument, the field of the device's examples, where it has another name.
        pad: by argument, the value that fills shorter examples up.
        categories: by argument, the texts that a field may have, by their number.
        collection: the device's collection that holds the examples.
        classes: the names of a classifier's classes, by the number of the label.
        min_examples: with fewer a device does not take part.
        loss: the built-in loss to try: cross_entropy, binary_cross_entropy, mean_squared_error, l1, huber.
        golden: whether the first examples, at most four, and what forward gives for them travel with the task, for everybody to
            try it on. False, if they are nobody's business: then devices and `pack` make a batch up.

    Raises tributary.Error with the sentence of `tributary-device pack`, which says what to change.
    """
    torch = _torch()
    path = os.fspath(path)
    batch = {name: _tensor(torch, name, value) for name, value in example.items()}
    inputs = _inputs(batch, targets, weights, scale, varying, fields, pad, categories)
    scaled = {one["name"]: _scaled(torch, batch[one["name"]], one.get("scale")) for one in inputs}
    names = _forward_arguments(model, scaled)
    given, manifest_outputs = _run_forward(torch, model, {name: scaled[name] for name in names}, varying or {}, outputs)
    script, note = _script(torch, model, scaled)
    manifest = _manifest(inputs, manifest_outputs, metrics, personal, local, frozen, collection, classes, min_examples, description, license)
    batch_of_all = _golden(scaled, given) if golden else None
    if batch_of_all:
        manifest["golden"] = batch_of_all
    beside = path + ".new"
    try:
        script.save(beside, _extra_files={"tributary.json": json.dumps(manifest)})
        package = os.path.splitext(path)[0] + ".tpkg"
        table = _pack(beside, package, loss)
        os.replace(beside, path)
    finally:
        if os.path.exists(beside):
            os.remove(beside)
    return TaskFile(path, package, manifest, table, note)


def export_arrays(
    arrays: Mapping[str, Any],
    inputs: Union[Mapping[str, Any], Sequence[Mapping[str, Any]]],
    path: Union[str, "os.PathLike[str]"],
    *,
    targets: Sequence[str] = (),
    weights: Sequence[str] = (),
    personal: Sequence[str] = (),
    local: Sequence[str] = (),
    metrics: Optional[Mapping[str, str]] = None,
    scale: Optional[Mapping[str, Any]] = None,
    outputs: Sequence[Mapping[str, Any]] = (),
    varying: Optional[Mapping[str, int]] = None,
    fields: Optional[Mapping[str, str]] = None,
    categories: Optional[Mapping[str, Sequence[str]]] = None,
    collection: str = "examples",
    classes: Sequence[str] = (),
    min_examples: int = 1,
    description: str = "",
    license: str = "",
) -> TaskFile:
    """Makes a task of arrays alone, which devices learn with a program of their own (`tributary.learner.run`), and writes its package.

        tributary.export_arrays({"coef": zeros((3, 64)), "intercept": zeros(3)}, {"x": x, "label": y}, "sgd.tpkg", targets=["label"])

    Args:
        arrays: the initial weights by name: NumPy arrays, tensors, or nested lists; they travel as float32, in this order.
        inputs: a batch of examples as in `export`, of which dtypes and shapes are taken, or a list of inputs as tributary.json
            has them: [{"name": "x", "dtype": "FP32", "shape": [-1, 64]}, ...].
        path: of the package (.tpkg).
        outputs: what the learner's `predict` returns: [{"name": "scores", "dtype": "FP32", "shape": [-1, 3]}].
        The others are those of `export`.

    A device whose configuration has no learner.command refuses the task (needs-learner). Raises tributary.Error.
    """
    path = os.fspath(path)
    if isinstance(inputs, Mapping):
        declared = _inputs(inputs, targets, weights, scale, varying, fields, None, categories)
    else:
        declared = [dict(one) for one in inputs]
    manifest = _manifest(declared, list(outputs), metrics, personal, local, (), collection, classes, min_examples, description, license)
    manifest["module"] = "none"
    tensors, values = [], []
    for name, value in arrays.items():
        try:
            raw, shape = _arrays.to_bytes(value, "FP32")
        except (TypeError, ValueError) as bad:
            raise Error("invalid-argument", f"the array {name} cannot be written as float32: {bad}") from None
        tensors.append({"name": name, "shape": shape})
        values.append(raw)
    with tempfile.NamedTemporaryFile(suffix=".arrays") as file:
        file.write(f"tributary-arrays-1\n{json.dumps(manifest)}\n{json.dumps(tensors)}\n".encode())
        file.writelines(values)
        file.flush()
        table = _pack(file.name, path, None)
    return TaskFile(path, path, manifest, table)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise Error("not-supported", "export needs PyTorch, which this Python does not have; install it (Debian: python3-torch), or "
                    "make a task of arrays with tributary.export_arrays") from None
    return torch


def _tensor(torch: Any, name: str, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    try:
        numpy = _arrays.numpy_or_none()
        dtype = getattr(torch, _arrays.DTYPES[_arrays.dtype_of(value)][1])
        return torch.as_tensor(numpy.ascontiguousarray(value) if numpy is not None else value).to(dtype)
    except (TypeError, ValueError, RuntimeError) as bad:
        raise Error("invalid-argument", f"'{name}' of the example is no array: {bad}") from None


def _inputs(
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
    for option, names in (("targets", targets), ("weights", weights), ("scale", scale), ("varying", varying), ("fields", fields),
                          ("pad", pad), ("categories", categories)):
        if isinstance(names, str):
            raise Error("invalid-argument", f"{option} must be a list: [{names!r}]")
        for name in names or ():
            if name not in batch:
                raise Error("invalid-argument", f"{option} names '{name}', which is not in the example; it has {', '.join(batch)}")
    inputs = []
    for name, value in batch.items():
        try:
            one: Dict[str, Any] = {"name": name, "dtype": _arrays.dtype_of(value), "shape": _shape_of(value)}
        except (TypeError, ValueError) as bad:
            raise Error("invalid-argument", f"'{name}' of the example is no array: {bad}") from None
        if not one["shape"]:
            raise Error("invalid-argument", f"'{name}' of the example is one number; its first dimension must be the examples of a batch")
        one["shape"][0] = -1
        dimension = (varying or {}).get(name)
        if dimension is not None:
            if not 0 < dimension < len(one["shape"]):
                raise Error("invalid-argument", f"varying: '{name}' has the dimensions 1 to {len(one['shape']) - 1}; 0 is the batch")
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
    return [int(length) for length in shape] if shape is not None else _arrays.to_bytes(value, _arrays.dtype_of(value))[1]


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


def _scaled(torch: Any, value: Any, scaling: Optional[Mapping[str, Any]]) -> Any:
    """As the module gets it. Of device-standard, by the example itself."""
    if not scaling or scaling["kind"] == "none":
        return value
    if scaling["kind"] == "constant":
        return (value - scaling.get("mean", 0)) / scaling.get("std", 1)
    std = value.double().std(dim=0, unbiased=False)
    return ((value - value.double().mean(dim=0)) / torch.where(std > 0, std, torch.ones_like(std))).to(value.dtype)


def _forward_arguments(model: Any, batch: Mapping[str, Any]) -> List[str]:
    """Those of forward that the example has, in forward's order."""
    import inspect

    schema = getattr(getattr(model, "forward", None), "schema", None)
    if schema is not None:  # of TorchScript
        arguments = [(one.name, one.has_default_value()) for one in schema.arguments[1:]]
    elif callable(getattr(model, "forward", None)):
        known = inspect.signature(model.forward).parameters.values()
        arguments = [(one.name, one.default is not one.empty) for one in known if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    else:
        raise Error("invalid-argument", "the model has no method forward; give a torch.nn.Module")
    for name, optional in arguments:
        if name not in batch and not optional:
            raise Error("invalid-argument", f"forward takes the argument '{name}', which is not in the example; it has {', '.join(batch)}")
    return [name for name, _ in arguments if name in batch]


def _run_forward(
    torch: Any, model: Any, batch: Dict[str, Any], varying: Mapping[str, int], names: Optional[Sequence[str]]
) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """What forward returns for the batch, and the manifest's outputs. A length that differs for a smaller batch varies."""
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
            shape = [length if length == other else -1 for length, other in zip(shape, less[name].shape)] if less is not given else shape
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


def _script(torch: Any, model: Any, batch: Mapping[str, Any]) -> Tuple[Any, str]:
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
        raise Error("not-supported", f"the module can neither be scripted ({why}) nor traced ({_last_line(bad)})") from bad
    return traced, (f"torch.jit.script refused the module ({why}), so it was traced: whatever forward decides by the values of a batch is "
                    "decided for ever as for the example")


def _arguments_of(model: Any, method: str) -> List[str]:
    import inspect

    return list(inspect.signature(getattr(model, method)).parameters)


def _last_line(bad: BaseException) -> str:
    """One line of an exception's text that says something: TorchScript's have many, the first of which does."""
    lines = [line.strip() for line in str(bad).splitlines() if line.strip()]
    return (lines[0] if lines else type(bad).__name__).rstrip(":.")


def _manifest(
    inputs: List[Dict[str, Any]],
    outputs: List[Dict[str, Any]],
    metrics: Optional[Mapping[str, str]],
    personal: Sequence[str],
    local: Sequence[str],
    frozen: Sequence[str],
    collection: str,
    classes: Sequence[str],
    min_examples: int,
    description: str,
    license: str,
) -> Dict[str, Any]:
    manifest: Dict[str, Any] = {"format": "tributary-task-1", "collection": collection, "min_examples": min_examples,
                                "inputs": inputs, "outputs": outputs}
    tensors = {role: list(patterns) for role, patterns in (("frozen", frozen), ("personal", personal), ("local", local)) if patterns}
    for key, value in (("tensors", tensors), ("metrics", dict(metrics or {})), ("classes", list(classes)),
                       ("description", description), ("license", license)):
        if value:
            manifest[key] = value
    return manifest


def _golden(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """The first examples of the batch and what forward gives for them, as long as they are short. Each has its own output then."""
    count = min(len(value) for value in inputs.values())
    # Modules that normalise by the batch need two; an output that is not of each example cannot be cut.
    if count < 2 or any(not value.dim() or len(value) != count for value in outputs.values()):
        return None
    for examples in range(min(count, _GOLDEN_EXAMPLES), 1, -1):
        golden = {"inputs": {name: _lists(value[:examples]) for name, value in inputs.items()},
                  "outputs": {name: _lists(value[:examples]) for name, value in outputs.items()}, "tolerance": 1e-4}
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


def _pack(file: str, package: str, loss: Optional[str]) -> str:
    """Runs `tributary-device pack`. Returns its table."""
    command = [find("tributary-device"), "pack", file, "--out", package, *(["--loss", loss] if loss else [])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode == 0:
        return done.stdout.decode(errors="replace")
    raise _error_in(done.stderr.decode(errors="replace"), done.returncode)


def _error_in(words: str, exit_code: int) -> Error:
    """A program ends with "program: code: message", and below it what to do."""
    for number, line in enumerate(words.splitlines()):
        parts = line.split(": ", 2)
        if line.startswith("tributary-device: ") and len(parts) == 3:
            return Error(parts[1], "\n".join([parts[2], *words.splitlines()[number + 1:]]))
    return Error("child-failed", f"tributary-device pack ended with {exit_code}: {words.strip()}")
