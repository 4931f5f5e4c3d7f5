"""tributary.simulate: the real programs, from arrays to a history."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(TREE / "device/sdk/python"))
import torch
import tributary
from tributary import examples, programs


def manifest(target, dtype, outputs):
    return {
        "format": "tributary-task-1",
        "collection": "dots",
        "inputs": [
            {"name": "x", "dtype": "FP32", "shape": [-1, 2]},
            {"name": target, "dtype": dtype, "shape": [-1], "role": "target"},
        ],
        "outputs": [{"name": "output", "dtype": "FP32", "shape": [-1, outputs]}],
    }


class Sides(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.net(x)


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.net(x)

    @torch.jit.export
    def loss(self, x, y):
        return (self.forward(x)[:, 0] - y) ** 2


PLAN = {"learning_rate": 0.5, "epochs": 3}


def dots(count, seed=5):
    """Points, and on which side of a line they lie."""
    chance = random.Random(seed)
    x = [[chance.uniform(-1, 1), chance.uniform(-1, 1)] for _ in range(count)]
    return {"x": x, "label": [int(a + b > 0) for a, b in x]}


def processes_in(folder):
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd").startswith(os.fspath(folder)):
                found.append((process / "comm").read_text().strip())
        except OSError:
            pass
    return found


class SimulationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # In memory, if this machine has it: the programs sync a lot.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        cls.folder = Path(tempfile.mkdtemp(prefix="tributary-test-", dir=memory))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        torch.manual_seed(1)
        cls.sides = cls.save(Sides(), manifest("label", "INT64", 2))
        cls.line = cls.save(Line(), manifest("y", "FP32", 1))

    @classmethod
    def save(cls, module, its_manifest):
        path = os.fspath(cls.folder / f"{type(module).__name__}.pt")
        torch.jit.script(module).save(path, _extra_files={"tributary.json": json.dumps(its_manifest)})
        # Once for all tests: a .pt is packed by each simulation.
        programs.run("tributary-device", "pack", path, "--out", path[:-3] + ".tpkg")
        return path[:-3] + ".tpkg"

    def test_the_same_seed_gives_the_same_bits_over_other_gateways(self):
        arguments = dict(devices=4, rounds=2, plan=PLAN, deal="dirichlet", seed=3)
        one = tributary.simulate(self.sides, dots(400), test=dots(200, seed=6), **arguments)
        counts = [(record["round"], record["updates"], record["refused"]) for record in one]
        self.assertEqual(counts, [(1, 4, 0), (2, 4, 0)])
        self.assertGreater(one[-1]["global"]["accuracy"], 0.8)
        self.assertIn("loss", one[-1]["personal"])
        self.assertIn("loss", one[-1]["local"])
        self.assertGreater(one[-1]["bytes_up"], 0)
        shapes = {name: list(value.shape) for name, value in one.weights.items()}
        self.assertEqual(shapes, {"net.weight": [2, 2], "net.bias": [2]})
        out = self.folder / "out.pt"
        one.export(out)
        self.assertTrue((torch.jit.load(os.fspath(out)).net.weight.detach().numpy() == one.weights["net.weight"]).all())
        self.assertIn("<th>global.accuracy</th>", one._repr_html_())
        self.assertIsNone(one.folder)

        module = self.sides.replace(".tpkg", ".pt")
        two = tributary.simulate(module, dots(400), gateways=2, folder=self.folder / "two", **arguments)
        self.assertEqual([record["digest"] for record in two], [record["digest"] for record in one])
        self.assertTrue((self.folder / "two/results/site/fleet.log").exists())
        self.assertTrue((self.folder / "two/results/report.html").exists())
        self.assertEqual(processes_in(self.folder), [])

    def test_a_list_has_the_examples_of_each_device_and_a_program_learns(self):
        shares = [dots(60, seed) for seed in range(3)]
        for share in shares:
            share.pop("label")
            share["y"] = [2 * a - b + 0.5 for a, b in share["x"]]
        learner = TREE / "device/learn/example_learner.py"
        plan = {"epochs": 5, "learning_rate": 0.05, "bounds": {"first_norm": 0}}
        history = tributary.simulate(self.line, shares, rounds=2, learner=learner, gateways=0, plan=plan)
        self.assertEqual([record["updates"] for record in history], [3, 3])
        for name, wanted in (("net.weight", [2, -1]), ("net.bias", [0.5])):
            for value, exact in zip(history.weights[name].flatten(), wanted):
                self.assertAlmostEqual(value, exact, places=2)

    def test_what_goes_wrong_is_said_with_the_place_of_the_logs(self):
        place = self.folder / "wrong"
        arguments = dict(devices=2, rounds=1, folder=place)
        words = "missing-field: .*label needs the field 'label'; the examples have: x"
        with self.assertRaisesRegex(tributary.Error, words):
            tributary.simulate(self.sides, {"x": dots(9)["x"]}, devices=2, rounds=1, folder=self.folder / "fields")
        for wrong, words in [
            (dict(deal="poker"), "config-invalid: .*'data.deal' must be one of iid, dirichlet, shards, not 'poker'"),
            (dict(deal="dirichlet", label="side"), "child-failed: .*side"),
            (dict(plan={"epoch": 1}), "config-unknown-key: .*unknown key 'task.plan.epoch'; keys of .task.plan.: "),
            (dict(devices=50), "child-failed: .*9 examples are too few for 50 devices"),
        ]:
            with self.assertRaisesRegex(tributary.Error, words):
                tributary.simulate(self.sides, dots(9), **{**dict(devices=2, rounds=1), **wrong})
        words = "no device can do its part of round 1. device-00. says: learner-crashed(.|\n)*process are below .*wrong"
        with self.assertRaisesRegex(tributary.Error, words):
            tributary.simulate(self.sides, dots(100), learner=["/bin/false"], **arguments)
        self.assertTrue((place / "results/site/fleet.log").exists())
        self.assertEqual(processes_in(place), [])
        with self.assertRaisesRegex(tributary.Error, "already-exists"):
            tributary.simulate(self.sides, dots(100), **arguments)

    def test_ctrl_c_leaves_no_process_behind(self):
        place = self.folder / "stopped"
        script = (f"import sys; sys.path[:0] = {sys.path[:1] + [os.path.dirname(__file__)]!r}\n"
                  f"import tributary, test_simulation as t\n"
                  f"arguments = dict(devices=2, rounds=100000, folder={os.fspath(place)!r}, progress=True)\n"
                  f"tributary.simulate({os.fspath(self.sides)!r}, t.dots(200), **arguments)")
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        running = subprocess.Popen([sys.executable, "-c", script], **pipes)
        with running:
            for line in running.stdout:
                if line.startswith("    1"):
                    break
            self.assertIn("tributary-fleet", processes_in(place))
            running.send_signal(signal.SIGINT)
        self.assertNotEqual(running.returncode, 0)
        self.assertEqual(processes_in(place), [])


class ExperimentTest(unittest.TestCase):
    """The same as `tributary experiment` on a file."""

    def test_a_sweep_over_a_csv_file_gives_the_digests_of_simulations(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
            folder = Path(name)
            torch.manual_seed(1)
            declared = {"tributary.json": json.dumps(manifest("label", "INT64", 2))}
            torch.jit.script(Sides()).save(os.fspath(folder / "sides.pt"), _extra_files=declared)
            tables = {"train": dots(200), "test": dots(100, seed=6)}
            for file, table in tables.items():
                table["x"] = [[round(value, 3) for value in point] for point in table["x"]]
                rows = [f"{x[0]},{x[1]},{label}\n" for x, label in zip(table["x"], table["label"])]
                (folder / f"{file}.csv").write_text("a,b,label\n" + "".join(rows))
            (folder / "dots.toml").write_text("""
                [experiment]
                rounds = 2
                devices = 3
                gateways = 0
                [data]
                files = ["train.csv"]
                test_files = ["test.csv"]
                import = ["--field=x=a,b", "--field=label=label:INT64"]
                alpha = 0.4
                [model]
                file = "sides.pt"
                [task.plan]
                learning_rate = 0.5
                epochs = 3
                [sweep]
                "experiment.seed" = [3, 4]
                """)
            sweep = [programs.find("tributary"), "experiment", "sweep", "dots.toml"]
            run = subprocess.run(sweep, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(run.returncode, 0, run.stdout)
            self.assertIn("REACHED IN ROUND", run.stdout)
            self.assertEqual(len((folder / "dots/comparison.csv").read_text().splitlines()), 3)
            self.assertTrue((folder / "dots/report.html").exists())
            for seed in (3, 4):
                lines = (folder / f"dots/seed={seed}/metrics.jsonl").read_text().splitlines()
                records = [json.loads(line) for line in lines]
                history = tributary.simulate(
                    folder / "sides.pt", tables["train"], devices=3, rounds=2, gateways=1, seed=seed,
                    test=tables["test"], deal="dirichlet", alpha=0.4, plan=PLAN)
                for record in history:
                    del record["seconds"]
                self.assertEqual(list(history), records)
                self.assertFalse((folder / f"dots/seed={seed}/site").exists())
            # What is complete is not run again.
            again = subprocess.run(sweep, cwd=folder, stdout=subprocess.PIPE, text=True)
            self.assertEqual((again.returncode, again.stdout.count("is complete")), (0, 2))


class ArraysTest(unittest.TestCase):
    def test_arrays_of_many_kinds(self):
        import numpy

        table = examples.table_of({"a": numpy.arange(6, dtype="i4").reshape(3, 2)[:, ::-1], "b": torch.ones(3),
                                   "c": [True, False, True]})
        self.assertEqual([column.dtype for column in table.values()], ["INT32", "FP32", "BOOL"])
        self.assertEqual(table["a"].data, numpy.array([1, 0, 3, 2, 5, 4], dtype="<i4").tobytes())
        with tempfile.TemporaryDirectory() as folder:
            examples.write_npz(folder + "/a.npz", table)
            read = numpy.load(folder + "/a.npz")
            self.assertEqual(read["a"].tolist(), [[1, 0], [3, 2], [5, 4]])
            self.assertEqual(read["b"].shape, (3,))

    def test_what_is_no_table_is_refused(self):
        for data, words in [
            ({"a": [1, 2], "b": [1]}, "different numbers of examples"),
            ({"a": [[1, 2], [1]]}, "field 'a'"),
            ({"a": ["x"]}, "no array of numbers"),
            ({"a": 1}, "one number"),
            ({}, "no field"),
        ]:
            with self.assertRaisesRegex(tributary.Error, words):
                examples.table_of(data)


if __name__ == "__main__":
    unittest.main()
