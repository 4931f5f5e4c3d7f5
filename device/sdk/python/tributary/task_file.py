"""Makes the files that a task is created from: `export` of a PyTorch module, `export_arrays` of arrays alone."""
from __future__ import annotations

import html
import json
import os
import subprocess
import tempfile
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from . import arrays as _arrays, inferred
from .errors import Error
from .programs import find


class TaskFile:
    """The files of a task, and what the trial found.

    Attributes:
        path: of the file that was written: a TorchScript module (.pt) or, of arrays, the package itself.
        package: of the package (.tpkg) that `tributary task create --package`, `Client.create_task` and `simulate`
            take.
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
    """Makes a task of a PyTorch module: tries it as devices will use it, and writes PATH (.pt) and the package beside
    it (.tpkg).

    The module's `forward` predicts. Its methods `loss` and `metrics`, if it has them (`@torch.jit.export`), say what is
    lowered and what is reported; without `loss` the task's plan names a built-in one. Their arguments are bound by name
    to the example.

        tributary.export(Forecast(), {"window": w, "future": f}, "forecast.pt", targets=["future"], metrics={"mae":
        "smaller"})

    Args:
        model: a torch.nn.Module, or one that torch.jit.script made. It is left as it was.
        example: a batch, as devices have their examples: name of an argument -> tensor or array [n, ...]. dtypes and
            shapes are taken from it. Real numbers of NumPy count as float32.
        path: of the TorchScript file.
        targets: the arguments that are to be predicted; devices predict without them.
        weights: an argument that weighs each example, [n].
        personal, local: tensors that stay on each device, as patterns: "head.*".
        frozen: tensors that are not trained.
        metrics: which way is better, by name: {"mae": "smaller"}. The first by name ranks the versions.
        scale: by argument, how the device's values become those that the module gets: (mean, std) for (value - mean) /
            std, or "device-standard" for the mean and deviation of each device's own examples.
        outputs: names of what forward returns, where it is a tuple; a dict has its own.
        varying: by argument, the dimension whose length differs from example to example: {"tokens": 1}.
        fields: by argument, the field of the device's examples, where it has another name.
        pad: by argument, the value that fills shorter examples up.
        categories: by argument, the texts that a field may have, by their number.
        collection: the device's collection that holds the examples.
        classes: the names of a classifier's classes, by the number of the label.
        min_examples: with fewer a device does not take part.
        loss: the built-in loss to try: cross_entropy, binary_cross_entropy, mean_squared_error, l1, huber.
        golden: whether the first examples, at most four, and what forward gives for them travel with the task, for
            everybody to try it on. False, if they are nobody's business: then devices and `pack` make a batch up.

    Raises tributary.Error with the sentence of `tributary-device pack`, which says what to change.
    """
    torch = inferred.import_torch()
    path = os.fspath(path)
    batch = {name: inferred.tensor_of(torch, name, value) for name, value in example.items()}
    inputs = inferred.inputs_of(batch, targets, weights, scale, varying, fields, pad, categories)
    scaled = {one["name"]: inferred.scaled(torch, batch[one["name"]], one.get("scale")) for one in inputs}
    names = inferred.forward_arguments(model, scaled)
    wanted = {name: scaled[name] for name in names}
    given, declared = inferred.run_forward(torch, model, wanted, varying or {}, outputs)
    script, note = inferred.script_of(torch, model, scaled)
    manifest = inferred.manifest_of(
        inputs,
        declared,
        {"frozen": frozen, "personal": personal, "local": local},
        collection=collection,
        min_examples=min_examples,
        metrics=metrics,
        classes=list(classes),
        description=description,
        license=license,
    )
    batch_of_all = inferred.golden_of(scaled, given) if golden else None
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
    """Makes a task of arrays alone, which devices learn with a program of their own (`tributary.learner.run`), and
    writes its package.

        tributary.export_arrays({"coef": zeros((3, 64)), "intercept": zeros(3)}, {"x": x, "label": y}, "sgd.tpkg",
        targets=["label"])

    Args:
        arrays: the initial weights by name: NumPy arrays, tensors, or nested lists; they travel as float32, in this
            order.
        inputs: a batch of examples as in `export`, of which dtypes and shapes are taken, or a list of inputs as
            tributary.json
            has them: [{"name": "x", "dtype": "FP32", "shape": [-1, 64]}, ...].
        path: of the package (.tpkg).
        outputs: what the learner's `predict` returns: [{"name": "scores", "dtype": "FP32", "shape": [-1, 3]}].
        The others are those of `export`.

    A device whose configuration has no learner.command refuses the task (needs-learner). Raises tributary.Error.
    """
    path = os.fspath(path)
    if isinstance(inputs, Mapping):
        declared = inferred.inputs_of(inputs, targets, weights, scale, varying, fields, None, categories)
    else:
        declared = [dict(one) for one in inputs]
    manifest = inferred.manifest_of(
        declared,
        [dict(one) for one in outputs],
        {"personal": personal, "local": local},
        module="none",
        collection=collection,
        min_examples=min_examples,
        metrics=metrics,
        classes=list(classes),
        description=description,
        license=license,
    )
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
            # A sentence may show a manifest, on lines of its own; the last line is what to do.
            *more, remedy = words.splitlines()[number + 1 :] or [""]
            return Error(parts[1], "\n".join([parts[2], *more]), remedy.strip())
    return Error("child-failed", f"tributary-device pack ended with {exit_code}: {words.strip()}")
