"""The Python that README.md shows, and the notebook: both run from the first line to the last."""
import json
import linecache
import os
import re
import sys
import tempfile
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(TREE / "device/sdk/python"))
import matplotlib

matplotlib.use("agg")
import torch
import tributary


def run(name, cells):
    """The cells one after the other in one namespace, as a notebook's kernel runs them. Returns the namespace."""
    names = {"__name__": "__main__"}
    for number, source in enumerate(cells):
        # Where TorchScript looks for the source of what it compiles; IPython does the same.
        file = f"<{name} {number}>"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(compile(source, file, "exec"), names)
    return names


class ExamplesTest(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(kept.name)

    def test_the_forecaster_of_the_readme(self):
        text = (TREE / "README.md").read_text()
        blocks = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "simulate(" in block]
        self.assertEqual(len(blocks), 1)
        self.assertLessEqual(len(blocks[0].splitlines()), 25)
        names = run("README", blocks)
        self.learned(names["history"], "loss")

    def test_the_notebook(self):
        book = json.loads((TREE / "device/sdk/examples/forecaster.ipynb").read_text())
        code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        self.assertTrue(all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code))
        names = run("notebook", ["".join(cell["source"]) for cell in code])
        self.learned(names["history"], "degrees_off")
        self.assertLess(names["history"][-1]["global"]["degrees_off"], names["history"][0]["global"]["degrees_off"])
        self.assertIn("degrees_off", names["task"]._repr_html_())
        self.assertEqual(len(names["axes"].lines), 3)

    def learned(self, history, metric):
        self.assertLess(history[-1]["personal"][metric], history[0]["local"][metric])
        self.assertEqual(list(history.to_frame()["round"]), list(range(1, len(history) + 1)))
        self.assertGreaterEqual(len(history.plot().lines), 2)
        matplotlib.pyplot.close("all")
        torch.jit.load("weather.pt")


if __name__ == "__main__":
    unittest.main()
