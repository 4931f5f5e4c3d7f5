"""tributary.Client against a real aggregator, and against servers that answer wrongly."""

import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(SOURCE / "device/sdk/python"))
import tributary
from tributary import programs
from tributary.client import Client, arrays_of, plan_tables
from tributary.operations import OPERATIONS
from tributary.records import Records

from aggregator_site import AggregatorSite


def operations_of_openapi():
    """operationId → (METHOD, path, {query parameters}, whether it takes a body). openapi.yaml has a key per line."""
    found, path, method = {}, "", ""
    queries, shared, name, place = set(), set(), "", None
    body = False
    for line in (SOURCE / "aggregator/api/openapi.yaml").read_text().splitlines():
        if line.startswith("components:"):
            break
        begin = re.match(r"  (/\S+):$", line)
        if begin:
            path = begin[1]
        verb = re.match(r"    (get|put|post|delete):$", line)
        if verb:
            method, queries, body = verb[1].upper(), set(), False
        named = re.search(r"name: ([\w-]+)", line)
        if named and "- " in line:
            name = named[1]
        if "in: query" in line:
            queries.add(name)
        if "requestBody:" in line:
            body = True
        id_ = re.match(r"      operationId: (\w+)$", line)
        if id_:
            name = id_[1]
            found[name] = [method, path, queries, False]
            current = name
        if found and path == found[current][1] and method == found[current][0]:
            found[current][2], found[current][3] = queries, body
    return {name: tuple(value) for name, value in found.items()}


class TestOperations(unittest.TestCase):
    def test_every_operation_of_the_api_is_reachable(self):
        ours = {
            name: (operation.method, operation.path, set(operation.query), operation.body != "none")
            for name, operation in OPERATIONS.items()
        }
        theirs = operations_of_openapi()
        self.assertGreater(len(theirs), 40)
        self.assertEqual(ours, theirs)

    def test_what_a_call_lacks_or_has_too_much_is_named(self):
        client = Client("http://127.0.0.1:1", token="t")
        for operation, params, words in [
            ("getTask", {}, "getTask needs task"),
            ("getTask", {"task": "a", "bogus": 1}, "getTask takes no bogus"),
            ("bogus", {}, "no operation 'bogus'"),
        ]:
            with self.assertRaisesRegex(tributary.Error, words) as raised:
                client.call(operation, **params)
            self.assertEqual(raised.exception.code, "invalid-argument")


class TestValues(unittest.TestCase):
    def test_weights_have_the_shapes_of_the_table(self):
        tensors = [{"name": "w", "shape": [2, 3]}, {"name": "b", "shape": []}]
        values = bytes(range(28))
        arrays = arrays_of(tensors, values)
        self.assertEqual([tuple(array.shape) for array in arrays.values()], [(2, 3), ()])
        self.assertEqual(arrays["w"].tobytes() + arrays["b"].tobytes(), values)
        with self.assertRaisesRegex(tributary.Error, "24 bytes"):
            arrays_of(tensors, values[:24])

    def test_a_plan_has_tables_or_keys_of_training(self):
        self.assertEqual(plan_tables(None), {})
        loose = plan_tables({"epochs": 2, "round": {"minimum": 1}})
        self.assertEqual(loose, {"plan": {"epochs": 2}, "policy": {"minimum": 1}})
        tables = {"training": {"epochs": 2}, "bounds": {"norm": 1}, "some_day": {"x": 1}}
        self.assertEqual(plan_tables(tables), {"plan": {"epochs": 2}, "bounds": {"norm": 1}, "some_day": {"x": 1}})

    def test_records_are_tables(self):
        records = Records([{"a": {"b": 1.23456, "c": None}, "d": "<x>"}, {"a": {}, "d": "y"}], columns=["a", "d"])
        self.assertIn("<th>a.b</th>", records._repr_html_())
        self.assertIn("<td>1.235</td>", records._repr_html_())
        self.assertIn("&lt;x&gt;", records._repr_html_())
        try:
            import pandas  # noqa: F401
        except ImportError:
            return
        self.assertEqual(list(records.to_frame()["d"]), ["<x>", "y"])


class Answers(http.server.BaseHTTPRequestHandler):
    """Gives the answers of a list in turn, each (status, headers, body)."""

    answers = []
    asked = []

    def do_GET(self):
        self.asked.append((self.path, self.headers))
        status, headers, body = self.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class TestWrongAnswers(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        Answers.asked = []
        self.client = Client(f"http://127.0.0.1:{self.server.server_port}", token="secret", timeout=5)

    def fails(self, code, words, *answer):
        Answers.answers = [answer]
        with self.assertRaisesRegex(tributary.Error, words) as raised:
            self.client.task("a")
        self.assertEqual(raised.exception.code, code)
        return raised.exception

    def test_problems_carry_code_sentence_and_remedy(self):
        problem = {"code": "busy", "detail": "too much", "remedy": "ask again", "transient": True}
        error = self.fails("busy", "busy: too much\nask again", 503, {"Retry-After": "3"}, json.dumps(problem).encode())
        said = (error.message, error.remedy, error.transient, error.retry_after)
        self.assertEqual(said, ("too much", "ask again", True, 3))

    def test_other_servers_are_recognised(self):
        self.fails("malformed", "not JSON", 200, {}, b"<html>")
        self.fails("not-found", "answered 404", 404, {}, b"<html>")
        # A redirection is not followed: the token would go along.
        self.fails("malformed", "answered 302", 302, {"Location": "http://127.0.0.1:1/"}, b"")

    def test_nobody_listens(self):
        with self.assertRaises(tributary.Error) as raised:
            Client("http://127.0.0.1:1", token="").tasks()
        self.assertEqual((raised.exception.code, raised.exception.transient), ("unreachable", True))
        for url in ("127.0.0.1:8080", "http://host/path", "ftp://host"):
            with self.assertRaisesRegex(tributary.Error, "invalid-argument"):
                Client(url)

    def test_a_certificate_is_believed_by_its_authority(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
            names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
            files = ["-keyout", key, "-out", certificate]
            make = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", *files, *names]
            subprocess.run(make, check=True, stderr=subprocess.DEVNULL)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            url = f"https://127.0.0.1:{self.server.server_port}"
            Answers.answers = [(200, {}, b'{"id": "a"}')]
            self.assertEqual(Client(url, token="t", ca_file=certificate).task("a"), {"id": "a"})
            with self.assertRaises(tributary.Error) as raised:
                Client(url, token="t").task("a")
            self.assertEqual(raised.exception.code, "unknown-certificate")
            self.assertEqual(len(Answers.asked), 1)

    def test_a_broken_stream_goes_on_behind_the_last_event(self):
        def event(id_, name, data):
            return f"id: {id_}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()

        broken = b": alive\n\nid: x-3\ndata: {"
        Answers.answers = [
            (200, {}, event("x-1", "hello", {}) + event("x-2", "round.opened", {"round": 1}) + broken),
            (503, {}, json.dumps({"code": "busy", "detail": "", "remedy": "", "transient": True}).encode()),
            (200, {}, event("x-3", "round.closed", {"round": 1})),
            (403, {}, json.dumps({"code": "forbidden", "detail": "no", "remedy": "", "transient": False}).encode()),
        ]
        seen, pauses = [], []
        with unittest.mock.patch("tributary.http.time.sleep", pauses.append):
            with self.assertRaisesRegex(tributary.Error, "forbidden"):
                for found in self.client.watch("a b"):
                    seen.append((found["name"], found["round"], found["id"]))
        self.assertEqual(pauses, [0, 0.5, 0])
        self.assertEqual(seen, [("round.opened", 1, "x-2"), ("round.closed", 1, "x-3")])
        self.assertEqual([headers["Last-Event-ID"] for _, headers in Answers.asked], [None, "x-2", "x-2", "x-3"])
        self.assertEqual(Answers.asked[0][0], "/api/v1/events?task=a+b")
        self.assertEqual(Answers.asked[0][1]["Authorization"], "Bearer secret")


class TestAggregator(unittest.TestCase):
    """Without devices."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="tributary-client-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.site = AggregatorSite(cls.folder)
        cls.addClassCleanup(cls.site.stop)
        cls.site.start()
        cls.site.wait_until_ready()
        cls.client = cls.site.client
        programs.run("tributary-device", "new-model", "--seed", "1", "--out", os.path.join(cls.folder, "model.pt"))
        cls.model = os.path.join(cls.folder, "model.pt")

    def test_a_task_and_its_weights(self):
        events = self.client.watch()
        made = []
        watching = threading.Thread(target=lambda: made.append(next(events)), daemon=True)
        watching.start()
        plan = {"epochs": 3, "round": {"report_goal": 2, "minimum": 2}}
        task = self.client.create_task("digits", self.model, plan=plan)
        self.assertEqual((task["plan"]["epochs"], task["policy"]["report_goal"]), (3, 2))
        self.assertEqual([found["id"] for found in self.client.tasks()], ["digits"])
        weights = self.client.weights("digits")
        shapes = {tensor["name"]: tensor["shape"] for tensor in task["tensors"]}
        self.assertEqual({name: list(value.shape) for name, value in weights.items()}, shapes)
        self.client.start_rounds("digits", 2)
        rounds = self.client.rounds("digits")
        self.assertEqual([found["state"] for found in rounds], ["collecting"])
        self.assertEqual(self.client.round("digits", 1)["number"], 1)
        watching.join(10)
        self.assertEqual(len(made), 1)
        self.assertEqual(self.client.cancel_rounds("digits")["rounds_wanted"], 0)
        with self.assertRaisesRegex(tributary.Error, "version 1 is the latest already"):
            self.client.rollback("digits", to=1, reason="try")
        self.client.start_rounds("digits", 1)
        pages = list(self.client.pages("listRounds", task="digits", limit=1))
        self.assertEqual([found["state"] for found in pages], ["cancelled", "collecting"])
        self.assertEqual([found["version"] for found in self.client.versions("digits")], [1])
        self.assertEqual(self.client.call("pinVersion", task="digits", version=1, reason="2.1")["pinned"], "2.1")
        exported = os.path.join(self.folder, "out.pt")
        self.assertEqual(self.client.export("digits", exported, version=1)["version"], 1)
        self.assertGreater(os.path.getsize(exported), 1000)
        self.assertGreater(len(self.client.audit()), 5)

    def test_a_task_of_arrays_is_exported_for_numpy(self):
        import numpy

        arrays = {"coef": numpy.float32([[1, -2.5, 3]]), "layer.shift": numpy.float32(0.5)}
        path = os.path.join(self.folder, "arrays.tpkg")
        task = tributary.export_arrays(arrays, {"x": [[1.0]], "y": [1.0]}, path, targets=["y"])
        self.client.create_task("sums", task)
        out = os.path.join(self.folder, "sums.npz")
        place = ["--url", self.client.url, "--token-file", os.path.join(self.folder, "token")]
        programs.run("tributary", *place, "models", "export", "sums", "--out", out)
        with numpy.load(out) as found:
            self.assertEqual(set(found), set(arrays))
            for name, value in arrays.items():
                self.assertEqual((found[name].dtype, found[name].shape), ("<f4", value.shape))
                numpy.testing.assert_array_equal(found[name], value)
        with self.assertRaisesRegex(tributary.Error, "not-supported: the task has no module"):
            self.client.export("sums", os.path.join(self.folder, "sums.pt"))

    def test_members_and_the_rest(self):
        invitation = self.client.create_token("spring", uses=2, device_class="phone")
        self.assertTrue(invitation["token"].startswith("tri_"))
        self.assertEqual([token["uses"] for token in self.client.tokens()], [2])
        self.client.remove_token("spring")
        self.assertEqual((self.client.devices(), self.client.gateways(), list(self.client.tokens())), ([], [], []))
        with self.assertRaises(tributary.Error) as raised:
            self.client.device("nobody")
        self.assertEqual(raised.exception.code, "not-found")
        self.assertTrue(raised.exception.remedy)
        self.assertTrue(self.client.ready()["ready"])
        self.assertEqual(self.client.call("isAlive"), "alive\n")
        self.assertIn("tributary_", self.client.call("readMetrics"))
        self.assertIn(b"signatures", self.client.call("getTufMetadata", file="1.root.json"))
        for operation in ("getClock", "listSealingKeys", "listStaging", "getAccount", "listCodes"):
            self.assertIsInstance(self.client.call(operation), dict)
        with self.assertRaises(tributary.Error) as raised:
            Client(self.client.url, token="wrong").tasks()
        self.assertEqual(raised.exception.code, "unauthorized")
        data = b"x" * 1000
        self.assertEqual(self.client.put_blob(data), self.client.put_blob(data))
        self.assertEqual(self.client.blob(self.client.put_blob(data)["digest"]), data)


if __name__ == "__main__":
    unittest.main()
