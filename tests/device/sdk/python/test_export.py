"""Task files from Python: what export writes is what pack takes, and what pack refuses is what export says."""
import json
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "device/sdk/python"))
import tributary
from tributary import arrays
from tributary.package import read_package


class Forecast(nn.Module):
    """The forecaster of README.md."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 36))

    def forward(self, window: Tensor) -> Tensor:
        return window[:, -1:].unsqueeze(2) + self.net(window).view(-1, 12, 3)

    @torch.jit.export
    def loss(self, window: Tensor, future: Tensor) -> Tensor:
        quantiles = torch.tensor([0.1, 0.5, 0.9])
        miss = future.unsqueeze(2) - self.forward(window)
        return torch.maximum(quantiles * miss, (quantiles - 1) * miss).mean(dim=[1, 2])

    @torch.jit.export
    def metrics(self, window: Tensor, future: Tensor) -> Dict[str, Tensor]:
        return {"degrees_off": 8 * (future - self.forward(window).unbind(2)[1]).abs().mean(dim=1)}


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.head, self.other = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        hidden = torch.relu(self.base(x))
        return {"scores": self.head(hidden), "level": self.other(hidden)}

    @torch.jit.export
    def loss(self, x: Tensor, label: Tensor, level: Tensor) -> Tensor:
        given = self.forward(x)
        return nn.functional.cross_entropy(given["scores"], label) + (given["level"] - level).pow(2).mean()


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(16, 8), nn.Linear(8, 16)

    def forward(self, text: Tensor) -> Tensor:
        return self.out(self.embed(text))


class Unscriptable(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 1)

    def forward(self, x):
        return self.out(x, **{})


class Tuples(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        return self.out(x), self.out(x).sum(1)


class ExportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kept = tempfile.TemporaryDirectory()
        cls.path = Path(cls.kept.name)
        torch.manual_seed(1)

    @classmethod
    def tearDownClass(cls):
        cls.kept.cleanup()

    def export(self, *arguments, **options):
        return tributary.export(*arguments, self.path / "task.pt", **options)

    def refused(self, code, words, *arguments, **options):
        with self.assertRaises(tributary.Error) as caught:
            self.export(*arguments, **options)
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertIn(words, caught.exception.message)
        self.assertEqual(list(self.path.glob("*.new")), [])

    def test_the_forecaster_of_the_readme(self):
        model = Forecast()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        batch = {"window": 55 + 8 * np.random.default_rng(1).standard_normal((8, 48)), "future": np.full((8, 12), 60.0)}
        scale = {"window": (55, 8), "future": (55, 8)}
        made = self.export(
            model,
            batch,
            targets=["future"],
            scale=scale,
            collection="weather",
            min_examples=100,
            metrics={"degrees_off": "smaller"},
            description="Three quantiles",
        )
        self.assertEqual((made.path, made.package), (str(self.path / "task.pt"), str(self.path / "task.tpkg")))
        self.assertEqual(made.note, "")
        self.assertIn("loss(window, future)", made.table)
        self.assertIn(("output", "output FP32 [4, 12, 3]"), made.rows())
        self.assertIn("the golden batch", str(made))
        self.assertIn("<th>parameters</th><td>shared 5476 in 4 tensors</td>", made._repr_html_())
        inside = {"tributary.json": ""}
        loaded = torch.jit.load(made.path, _extra_files=inside)
        self.assertEqual(json.loads(inside["tributary.json"]), made.manifest)
        self.assertEqual(made.manifest["outputs"], [{"name": "output", "dtype": "FP32", "shape": [-1, 12, 3]}])
        self.assertEqual(
            made.manifest["inputs"][1],
            {
                "name": "future",
                "dtype": "FP32",
                "shape": [-1, 12],
                "role": "target",
                "scale": {"kind": "constant", "mean": 55.0, "std": 8.0},
            },
        )
        golden = torch.tensor(made.manifest["golden"]["inputs"]["window"])
        torch.testing.assert_close(loaded(golden), torch.tensor(made.manifest["golden"]["outputs"]["output"]))
        self.assertTrue(model.training)
        self.assertTrue(all(torch.equal(before[name], value) for name, value in model.state_dict().items()))

    def test_outputs_by_name_and_personal_tensors(self):
        batch = {"x": torch.randn(5, 3), "label": torch.tensor([0, 1, 0, 1, 1]), "level": torch.randn(5, 1)}
        made = self.export(
            torch.jit.script(TwoHeads()),
            batch,
            targets=["label", "level"],
            personal=["other.*"],
            classes=["low", "high"],
        )
        self.assertEqual(
            {one["name"]: one["shape"] for one in made.manifest["outputs"]}, {"scores": [-1, 2], "level": [-1, 1]}
        )
        self.assertIn("personal 5 in 2 tensors", made.table)
        self.assertEqual(made.manifest["inputs"][1]["dtype"], "INT64")

    def test_tokens_of_unequal_length(self):
        text = torch.randint(0, 16, (4, 7))
        made = self.export(
            Tokens(),
            {"text": text, "next": text},
            targets=["next"],
            varying={"text": 1, "next": 1},
            fields={"text": "tokens"},
        )
        self.assertEqual(made.manifest["outputs"][0]["shape"], [-1, -1, 16])
        self.assertEqual(
            made.manifest["inputs"][0], {"name": "text", "dtype": "INT64", "shape": [-1, -1], "field": "tokens"}
        )

    def test_outputs_of_a_tuple_have_names(self):
        batch = {"x": torch.randn(4, 2), "y": torch.randn(4, 2)}
        made = self.export(Tuples(), batch, targets=["y"], outputs=["both", "sum"], golden=False)
        self.assertEqual(
            [(one["name"], one["shape"]) for one in made.manifest["outputs"]], [("both", [-1, 2]), ("sum", [-1])]
        )
        self.assertNotIn("golden", made.manifest)
        self.assertIn("a made batch", made.table)

    def test_what_cannot_be_scripted_is_traced_and_said(self):
        made = self.export(Unscriptable(), {"x": torch.randn(4, 2), "y": torch.randn(4, 1)}, targets=["y"])
        self.assertRegex(made.note, "torch.jit.script refused the module .*, so it was traced")
        self.assertIn(made.note, str(made))
        self.assertIn("forward(x)", made.table)

    def test_what_is_wrong_has_a_sentence(self):
        batch = {"x": torch.randn(4, 3), "y": torch.randn(4, 1)}
        linear = nn.Linear(3, 1)
        self.refused(
            "invalid-argument",
            "forward takes the argument 'input', which is not in the example; it has x, y",
            linear,
            batch,
        )
        batch = {"input": batch["x"], "y": batch["y"]}
        self.refused("invalid-argument", "targets names 'z', which is not in the example", linear, batch, targets=["z"])
        self.refused("invalid-argument", "targets must be a list: ['y']", linear, batch, targets="y")
        self.refused("invalid-argument", "no input of role target", linear, batch)
        self.refused(
            "invalid-argument",
            "the pattern 'haed.*' of \"personal\"",
            linear,
            batch,
            targets=["y"],
            personal=["haed.*"],
        )
        self.refused(
            "invalid-argument", "forward failed on the example: mat1 and mat2", nn.Linear(4, 1), batch, targets=["y"]
        )
        self.refused(
            "invalid-argument",
            "metrics.loss_rate must be one of smaller, larger",
            linear,
            batch,
            targets=["y"],
            metrics={"loss_rate": "less"},
        )
        self.refused("not-supported", "all 2 parameters are frozen", linear, batch, targets=["y"], frozen=["*"])
        self.refused(
            "invalid-argument",
            "varying: 'input' has the dimensions 1 to 1",
            linear,
            batch,
            targets=["y"],
            varying={"input": 2},
        )
        self.refused(
            "invalid-argument", "'y' of the example is no array", linear, {**batch, "y": ["a", "b"]}, targets=["y"]
        )
        self.refused("invalid-argument", "the model has no method forward", object(), batch, targets=["y"])

    def export_arrays(self, given, inputs, **options):
        return tributary.export_arrays(given, inputs, self.path / "arrays.tpkg", **options)

    def test_a_task_of_arrays(self):
        inputs = {"x": np.zeros((4, 3), np.float32), "label": [0, 1, 0, 1]}
        options = {"targets": ["label"], "metrics": {"accuracy": "larger"}, "personal": ["shift"]}
        made = self.export_arrays({"coef": [[1, 2, 3]], "shift": torch.tensor(0.5)}, inputs, **options)
        self.assertEqual([value for name, value in made.rows() if name == "array"], ["coef [1, 3]", "shift []"])
        self.assertIn("devices need the program that learns this task", str(made))
        package = read_package(made.package)
        self.assertEqual(package.tensors, [{"name": "coef", "shape": [1, 3]}, {"name": "shift", "shape": []}])
        self.assertEqual(np.frombuffer(package.weights, "<f4").tolist(), [1, 2, 3, 0.5])
        self.assertEqual(package.manifest["module"], "none")
        self.assertEqual(package.manifest["inputs"][1]["role"], "target")
        again = self.export_arrays({"coef": [[1, 2, 3]], "shift": 0.5}, made.manifest["inputs"])
        self.assertEqual(again.manifest["inputs"], made.manifest["inputs"])

    def test_arrays_that_are_wrong_have_a_sentence(self):
        for code, words, given, options in (
            (
                "invalid-argument",
                "the pattern 'nope' of \"personal\" in tributary.json is of no tensor; the arrays are c",
                [1],
                {"personal": ["nope"]},
            ),
            ("not-finite", "the array c has values that are not finite", [float("nan")], {}),
            ("invalid-argument", "the array c cannot be written as float32", ["a"], {}),
            ("invalid-argument", "scale of 'x' must be", [1], {"scale": {"x": 3}}),
        ):
            with self.subTest(words), self.assertRaises(tributary.Error) as caught:
                self.export_arrays({"c": given}, {"x": [[1.0]]}, **options)
            self.assertEqual(caught.exception.code, code)
            self.assertIn(words, caught.exception.message)

    def test_arrays_are_written_with_and_without_numpy(self):
        values = [[1, 2.5], [3, -4]]
        expected = np.float32(values).tobytes(), [2, 2]
        self.assertEqual(arrays.to_bytes(values, "FP32"), expected)
        self.assertEqual(arrays.to_bytes(torch.tensor(values), "FP32"), expected)
        self.assertEqual(arrays.to_bytes(np.asfortranarray(values), "FP32"), expected)
        real, arrays.numpy_or_none = arrays.numpy_or_none, lambda: None
        try:
            self.assertEqual(arrays.to_bytes(values, "FP32"), expected)
            self.assertEqual(arrays.to_bytes(torch.tensor(values), "FP32"), expected)
            self.assertEqual(arrays.to_bytes(7, "INT64"), (np.int64(7).tobytes(), []))
            self.assertEqual(arrays.from_bytes(expected[0], "FP32", [2, 2]).tolist(), values)
            self.assertEqual([part.tolist() for part in arrays.from_parts([bytes(8), b""], "INT64", [-1])], [[0], []])
            for bad in ([[1], [2, 3]], [1, [2]], ["a"]):
                with self.assertRaises((ValueError, TypeError)):
                    arrays.to_bytes(bad, "FP32")
        finally:
            arrays.numpy_or_none = real


if __name__ == "__main__":
    unittest.main()
