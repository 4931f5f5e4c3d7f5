"""Device over the C header: that the structs are the header's, and what a program can do with it."""
import ctypes
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(TREE / "device/sdk/python"))
import numpy as np

import tributary
from tributary import c_header, device

HEADER = TREE / "device/sdk/include/tributary/tributary.h"
STRUCTS = {
    "error": c_header.CError,
    "options": c_header.Options,
    "event": c_header.Event,
    "tensor": c_header.Tensor,
    "field": c_header.Field,
    "collection": c_header.Collection,
    "example": c_header.Example,
    "collection_list": c_header.CollectionList,
    "source": c_header.Source,
    "prediction": c_header.Prediction,
}


class HeaderTest(unittest.TestCase):
    def test_structs_are_the_headers(self):
        text = HEADER.read_text()
        self.assertEqual(set(re.findall(r"typedef struct tributary_(\w+) \{", text)), set(STRUCTS))
        lines = []
        for name, struct in STRUCTS.items():
            lines.append(f'printf("{name} %zu\\n", sizeof(tributary_{name}));')
            lines += [
                f'printf("{name}.{field} %zu\\n", offsetof(tributary_{name}, {field}));' for field, _ in struct._fields_
            ]
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "sizes.c")
            source.write_text(
                f"#include <stdio.h>\n#include <tributary/tributary.h>\nint main(void) {{ {' '.join(lines)} }}\n"
            )
            subprocess.run(["cc", "-I", HEADER.parent.parent, source, "-o", f"{folder}/sizes"], check=True)
            said = subprocess.run([f"{folder}/sizes"], check=True, stdout=subprocess.PIPE, text=True).stdout
        expected = ""
        for name, struct in STRUCTS.items():
            expected += f"{name} {ctypes.sizeof(struct)}\n"
            expected += "".join(f"{name}.{field} {getattr(struct, field).offset}\n" for field, _ in struct._fields_)
        self.assertEqual(said, expected)

    def test_functions_and_numbers_are_the_headers(self):
        text = re.sub(r"//.*|\(\*\w+\)\([^()]*\)", "", HEADER.read_text())
        functions = {
            name: len(arguments.split(","))
            for name, arguments in re.findall(r"^int tributary_(\w+)\(([^;]*)\);", text, re.M)
        }
        self.assertEqual({name: len(arguments) + 1 for name, arguments in c_header.FUNCTIONS.items()}, functions)
        numbers = {name: int(number) for name, number in re.findall(r"TRIBUTARY_(\w+) = (-?\d+)", text)}
        for number, name in enumerate(c_header.DTYPES[1:], 1):
            self.assertEqual(numbers[name], number)
        for number, name in enumerate(c_header.EVENTS[1:], 1):
            self.assertEqual(numbers[name.upper().replace("-", "_")], number)
        for name, number in c_header.LEVELS.items():
            self.assertEqual(numbers[f"LOG_{name.upper()}"], number)
        self.assertEqual(numbers["END"], c_header.END)


def there_is_a_library():
    try:
        return bool(c_header.library())
    except tributary.Error:
        return False


@unittest.skipUnless(there_is_a_library(), "libtributary.so.0 is not built")
class DeviceTest(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name, "device")
        self.device = tributary.Device(self.folder)
        self.addCleanup(self.device.close)

    def create(self):
        fields = {"x": ("FP32", [2, 3]), "label": ("INT64", []), "text": ("UINT8", [-1])}
        self.device.create("own", fields, purpose="to try", max_count=100, held_out_share=0.2)
        return fields

    def examples(self, count):
        x = np.arange(6 * count, dtype=float).reshape(count, 2, 3)
        return {"x": x, "label": list(range(count)), "text": [b"abc"[: i % 4] for i in range(count)]}

    def add(self, count, **options):
        given = self.examples(count)
        given["text"] = [np.frombuffer(text, np.uint8) for text in given["text"]]
        return self.device.add("own", given, **options)

    def refused(self, code, words, function, *arguments, **options):
        with self.assertRaises(tributary.Error) as caught:
            function(*arguments, **options)
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertIn(words, str(caught.exception))
        self.assertNotIn("secret", str(caught.exception))

    def test_collections(self):
        fields = self.create()
        self.assertEqual(self.add(10, ids=[f"id-{i}" for i in range(10)], groups=["even", "odd"] * 5), 10)
        (one,) = self.device.collections()
        self.assertEqual((one["name"], one["examples"], one["purpose"], one["max_count"]), ("own", 10, "to try", 100))
        self.assertEqual(
            (one["fields"], one["held_out_share"]), ({name: tuple(field) for name, field in fields.items()}, 0.2)
        )
        self.assertGreaterEqual(one["bytes"], 10 * (24 + 8) + sum(i % 4 for i in range(10)))
        self.assertEqual(self.device.remove("own", "id-1"), 1)
        self.assertEqual(self.device.remove("own", "id-1"), 0)
        self.assertEqual(self.device.remove_group("own", "odd"), 4)
        self.device.close()
        with tributary.Device(self.folder) as again:
            self.assertEqual(again.count("own"), 5)
            # The fields are known without create.
            self.assertEqual(again.add("own", {"x": np.zeros((1, 2, 3)), "label": [1], "text": [[1, 2]]}), 1)
            self.assertEqual(
                (again.clear("own"), again.count("own"), again.drop("own"), again.collections()), (6, 0, 0, [])
            )

    def test_what_is_wrong_has_a_code_and_tells_no_value(self):
        self.create()
        good = {"x": np.zeros((1, 2, 3)), "label": [1], "text": [[1]]}
        self.refused(
            "missing-field", "own have the fields x, label, text; given are x", self.device.add, "own", {"x": good["x"]}
        )
        self.refused("bad-example", "it has the shape [1, 3]", self.device.add, "own", {**good, "x": np.zeros((1, 3))})
        self.refused("bad-example", "label is no array of INT64", self.device.add, "own", {**good, "label": ["secret"]})
        self.refused("bad-example", "not of one number of examples", self.device.add, "own", {**good, "label": [1, 2]})
        self.refused("bad-example", "", self.device.add, "own", {**good, "x": np.full((1, 2, 3), np.nan)})
        self.refused("not-found", "no collection other", self.device.add, "other", good)
        self.refused("conflict", "the collection own has the fields", self.device.create, "own", {"x": ("FP32", [1])})
        self.refused("invalid-argument", "dtype FLOAT", self.device.create, "new", {"x": ("FLOAT", [1])})
        self.refused("locked", "", tributary.Device, self.folder)
        self.refused("config-invalid", "gateway", self.device.start)
        self.assertEqual(self.device.count("own"), 0)
        self.refused("invalid-argument", "a zero byte", self.device.count, "own\0")
        self.refused("invalid-argument", "3 is no text", self.device.count, 3)
        words = "fields must be a dict of (dtype, shape)"
        self.refused("invalid-argument", words, self.device.create, "new", {"x": "FP32"})
        self.refused("bad-example", "must be a dict of arrays by field, not list", self.device.add, "own", [1])
        self.refused("bad-example", "must be a dict of arrays by name, not list", self.device.predict, "task", [1])
        self.assertEqual(repr(self.device), f"tributary.Device({os.fspath(self.folder)!r})")
        self.device.close()
        self.device.close()
        self.refused("conflict", "the device is closed", self.device.count, "own")
        self.assertIn("closed", repr(self.device))

    def test_closing_waits_for_other_threads(self):
        self.create()
        ends = []

        def use():
            try:
                while True:
                    self.device.status()
                    self.add(3)
            except tributary.Error as over:
                ends.append(over.code)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        while self.device.count("own") < 12:
            pass
        self.device.close()
        for thread in threads:
            thread.join()
        self.assertEqual(ends, ["conflict"] * 4)
        with tributary.Device(self.folder) as again:
            self.assertGreaterEqual(again.count("own"), 12)

    def test_the_log_and_the_status(self):
        lines = []
        device.set_log(lambda level, line: lines.append((level, line)), "debug")
        self.addCleanup(device.set_log, None)
        status = self.device.status()
        self.assertEqual((status["runs"], status["tasks"]), (False, []))

    def test_devices_that_are_left_open_are_closed_at_the_end(self):
        script = f"""
import sys; sys.path.insert(0, {str(TREE / "device/sdk/python")!r})
import tributary
folder, hooks = {str(self.folder) + "-2"!r}, dict(on_event=print, may_train=lambda: True)
one = tributary.Device(folder, "tcp://127.0.0.1:9", "0" * 64, **hooks)
one.host("own", {{"x": ("FP32", [2])}}, lambda: [{{"x": [1, 2]}}])
"""
        subprocess.run([sys.executable, "-B", "-c", script], check=True, env={**os.environ, "PYTHONFAULTHANDLER": "1"})


if __name__ == "__main__":
    unittest.main()
