"""Learners in Python, against an agent that this test plays: what they are given, what they answer, and what becomes of
mistakes."""
import json
import os
import sys
import unittest

import numpy as np
from talk import MANIFEST, PACKAGE, Talk

sys.path.insert(0, str(PACKAGE))
import tributary

# A line y = w.x + b by least squares.
LINE = """
import numpy as np
from tributary import learner

def train(weights, examples, config):
    print("hello from train")
    x = np.column_stack([examples["x"], np.ones(len(examples["y"]))])
    found = np.linalg.lstsq(x, examples["y"], rcond=None)[0]
    config.progress(1, 0.25)
    return {"w": found[:2], "b": found[2:]}, len(x), {"loss": 0.25}

def evaluate(weights, examples, config):
    off = examples["x"] @ weights["w"] + weights["b"] - examples["y"]
    return {"loss": (off ** 2).mean(), "near": (float((abs(off) < 0.1).sum()), len(off))}

def predict(weights, inputs, config):
    return inputs["x"] @ weights["w"] + weights["b"]
"""
RUN = LINE + "learner.run(train, evaluate, predict)\n"
SHOW = """
from tributary import learner
def train(w, e, c):
    print({})
    return w, 2, {{}}
learner.run(train)
"""


class LearnerTest(unittest.TestCase):
    def learn(self, script, **options):
        talk = Talk(self, script, **options)
        talk.hear("hello")
        talk.line("training", slice(0, 30))
        talk.line("held_out", slice(30, 40))
        talk.order("learn")
        return talk

    def test_it_learns_and_measures(self):
        talk = self.learn(RUN)
        before, after = talk.hear("evaluated")[0], talk.hear("evaluated")[0]
        self.assertEqual([before["model"], after["model"]], ["global", "personal"])
        self.assertGreater(before["metrics"]["loss"]["sum"], 10)
        self.assertLess(after["metrics"]["loss"]["sum"], 1e-6)
        self.assertEqual(after["metrics"]["near"], {"sum": 10, "weight": 10})
        learned, delta = talk.hear("learned")
        self.assertEqual((learned["examples"], learned["loss"], learned["steps"]), (30, 0.25, 1))
        np.testing.assert_allclose(np.frombuffer(delta, "<f4"), [2, -1, 0.5], atol=1e-5)
        talk.say("bye")
        self.assertIn("hello from train", talk.words())
        self.assertEqual(talk.process.returncode, 0)

    def test_the_update_is_what_changed(self):
        talk = self.learn(RUN, weights=(2, -1, 0))
        talk.hear("evaluated"), talk.hear("evaluated")
        np.testing.assert_allclose(np.frombuffer(talk.hear("learned")[1], "<f4"), [0, 0, 0.5], atol=1e-5)

    def test_it_evaluates(self):
        talk = Talk(self, RUN, weights=(1, 1, 3))
        talk.hear("hello")
        talk.line("held_out", slice(0, 10))
        talk.order("evaluate")
        self.assertEqual(talk.hear("evaluated")[0]["examples"], 10)

    def test_it_predicts_again_and_again(self):
        talk = Talk(self, RUN, weights=(1, 1, 3))
        talk.hear("hello")
        talk.order("load")
        talk.hear("loaded")
        for x in ([[1, 2]], [[0, 0], [4, 5]]):
            talk.request({"x": ("FP32", [2], np.float32(x))})
            predicted, values = talk.hear("predicted")
            self.assertEqual((predicted["model"], predicted["count"]), ("global", len(x)))
            self.assertEqual(predicted["outputs"], [{"name": "line", "dtype": "FP32", "shape": [len(x)]}])
            np.testing.assert_array_equal(np.frombuffer(values, "<f4"), np.sum(x, axis=1) + 3)
        talk.request({"x": ("FP32", [3], np.float32([[1, 2, 3]]))})
        self.assertIn("predict failed: ValueError", talk.hear("error")[0]["message"])
        talk.request({"x": ("FP32", [2], np.float32([[1, 2]]))})
        talk.hear("predicted")

    def test_it_predicts_with_what_the_device_keeps_and_of_any_length(self):
        head = {"tensors": [{"name": "b", "shape": [1], "model": True, "state": True}]}
        manifest = {**MANIFEST, "inputs": [{"name": "x", "dtype": "INT64", "shape": [-1, -1]}]}
        script = """
from tributary import learner
learner.run(None, predict=lambda weights, inputs, config: [sum(x.tolist()) + weights["b"][0] for x in inputs["x"]])"""
        talk = Talk(
            self, script, manifest=manifest, personal=json.dumps(head).encode() + b"\n" + np.float32(7).tobytes()
        )
        talk.hear("hello")
        talk.order("load")
        talk.hear("loaded")
        talk.request({"x": ("INT64", [-1], np.int64([1, 2, 3]))}, ends=[2, 2, 3])
        predicted, values = talk.hear("predicted")
        self.assertEqual((predicted["model"], np.frombuffer(values, "<f4").tolist()), ("personal", [10, 7, 10]))

    def test_one_that_cannot_predict_says_so(self):
        talk = Talk(self, "from tributary import learner\nlearner.run(lambda *_: None)")
        talk.hear("hello")
        talk.order("load")
        self.assertEqual(talk.hear("error")[0]["code"], "not-supported")

    def test_personal_tensors_stay_and_come_back(self):
        manifest = {**MANIFEST, "tensors": {"personal": ["b*"]}}
        talk = self.learn(RUN, manifest=manifest)
        talk.hear("evaluated"), talk.hear("evaluated")
        _, personal = talk.hear("personal")
        head, values = personal.split(b"\n", 1)
        head = json.loads(head)
        # The fit is better than the version with its b alone, so the device predicts with both.
        self.assertEqual((head["task"], head["base"], head["choice"]), ("line", 7, "fit"))
        self.assertEqual(
            head["tensors"],
            [
                {"name": "w", "shape": [2], "model": True, "state": False},
                {"name": "b", "shape": [1], "model": True, "state": True},
            ],
        )
        np.testing.assert_allclose(np.frombuffer(values, "<f4"), [2, -1, 0.5], atol=1e-5)
        self.assertEqual(talk.hear("learned")[1][8:], bytes(4))
        again = self.learn(
            LINE + "learner.run(lambda weights, *_: (weights, 30, {}), evaluate)",
            manifest=manifest,
            personal=personal,
            weights=(2, -1, 9),
        )
        metrics = [again.hear("evaluated")[0]["metrics"]["loss"]["sum"] for _ in range(2)]
        self.assertGreater(metrics[0], 100)
        self.assertLess(metrics[1], 1e-6)
        self.assertEqual(json.loads(again.hear("personal")[1].split(b"\n", 1)[0])["lineage"][0]["base"], 7)
        self.assertEqual(again.hear("learned")[1], bytes(12))
        self.assertEqual(again.process.poll(), None)

    def chosen(self, plan, before=(0, 0, 0), evaluate="evaluate", **options):
        """The head of the personal model after a fit of the line, and the two metrics; None: it keeps nothing."""
        talk = Talk(self, LINE + f"learner.run(train, {evaluate})", weights=before, **options)
        talk.hear("hello")
        talk.line("training", slice(0, 30))
        talk.line("held_out", slice(30, 40))
        talk.order("learn", **plan)
        heard, head = [], None
        while True:
            message = json.loads(talk.inbox.readline())
            body = talk.inbox.read(message["bytes"])
            if message["type"] == "learned":
                return head, heard
            if message["type"] == "personal":
                head = json.loads(body.split(b"\n", 1)[0])
            if message["type"] == "evaluated":
                heard.append((message["model"], message["metrics"]))

    def test_the_device_uses_the_model_that_is_better(self):
        head, measured = self.chosen({})
        self.assertEqual((head["choice"], head["examples"]), ("fit", 10))
        self.assertEqual([head["global"], head["personal"]], [metrics for _, metrics in measured])
        self.assertEqual([which for which, _ in measured], ["global", "personal"])
        # What is not better is not kept, and what is said of the device's model is the version's.
        head, measured = self.chosen({}, before=(2, -1, 0.5))
        self.assertIsNone(head)
        self.assertEqual(measured[0][1], measured[1][1])
        # One wrong answer of ten less may be chance; nine less are not.
        for right, choice in ((9, None), (1, "fit")):
            by_weights = f"lambda w, e, c: {{'loss': 1, 'accuracy': (10 if w['w'][0] else {right}, 10)}}"
            head, _ = self.chosen({}, evaluate=by_weights)
            self.assertEqual(head and head["choice"], choice)

    def test_what_the_strategy_keeps_is_measured_on_the_version(self):
        by_weights = "lambda w, e, c: {'loss': 1.0 + (w['w'][0] != 0)}"
        head, measured = self.chosen({"strategy": "fedper"}, evaluate=by_weights)
        self.assertEqual((head["choice"], head["strategy"]), ("kept", "fedper"))
        # Of tensors without a layer the last one is the head.
        self.assertEqual([tensor["name"] for tensor in head["tensors"]], ["b"])
        self.assertEqual(measured[1][1]["loss"], {"sum": 10, "weight": 10})

    def test_a_function_may_write_into_what_it_is_given(self):
        script = """
from tributary import learner
def train(weights, examples, config):
    weights["w"] += 1
    weights["b"] += 2
    return weights, 30, {}
def evaluate(weights, examples, config):
    loss = 1.0 + weights["w"][0]
    weights["w"][:] = 9
    return {"loss": loss}
learner.run(train, evaluate)"""
        talk = Talk(self, script, weights=(0, 0, 5))
        talk.hear("hello")
        talk.line("training", slice(0, 30))
        talk.line("held_out", slice(30, 40))
        talk.order("learn", strategy="fedper")
        losses = [talk.hear("evaluated")[0]["metrics"]["loss"]["sum"] for _ in range(2)]
        self.assertEqual(losses, [10, 10], "the version's w with the device's b")
        head, values = talk.hear("personal")[1].split(b"\n", 1)
        self.assertEqual((json.loads(head)["choice"], np.frombuffer(values, "<f4").tolist()), ("kept", [7]))
        self.assertEqual(np.frombuffer(talk.hear("learned")[1], "<f4").tolist(), [1, 1, 0])

    def test_what_is_not_finite_is_left_out_or_begun_without(self):
        # Of the device's b, which has grown beyond all measure, nothing finite comes.
        script = """
from tributary import learner
def train(weights, examples, config):
    return {"w": weights["w"] + 1, "b": weights["b"] * weights["b"]}, 30, {}
def evaluate(weights, examples, config):
    return {"loss": float("inf") if weights["b"][0] == 4 else 1.0}
learner.run(train, evaluate)"""
        about = {"strategy": "fedper", "base": 6, "choice": "kept", "global": {}, "personal": {}}
        head = {**about, "tensors": [{"name": "b", "shape": [1], "model": True, "state": True}]}
        personal = json.dumps(head).encode() + b"\n" + np.float32(1e30).tobytes()
        talk = Talk(self, script, weights=(0, 0, 2), personal=personal)
        talk.hear("hello")
        talk.line("training", slice(0, 30))
        talk.line("held_out", slice(30, 40))
        talk.order("learn", strategy="fedper")
        self.assertEqual([talk.hear("evaluated")[0]["model"] for _ in range(2)], ["global", "personal"])
        # Neither the version with the new b nor the whole fit can be measured: the version it is.
        head, values = talk.hear("personal")[1].split(b"\n", 1)
        self.assertEqual((json.loads(head)["choice"], np.frombuffer(values, "<f4").tolist()), ("global", [4]))
        self.assertEqual(np.frombuffer(talk.hear("learned")[1], "<f4").tolist(), [1, 1, 0])

    def test_strategies_that_change_the_training_are_its_own_affair(self):
        for strategy, words in (
            ("fedprox", "or let train do it and say so: learner.run(train, strategies=['fedprox'])"),
            ("apfl", "Make the task with strategy fedavg, fedbn, fedper"),
        ):
            talk = Talk(self, RUN)
            talk.line("training", slice(0, 30))
            talk.order("learn", strategy=strategy)
            talk.hear("hello")
            error = talk.hear("error")[0]
            self.assertEqual(error["code"], "not-supported")
            self.assertIn(words, error["message"])
        script = SHOW.replace("learner.run(train)", "learner.run(train, strategies=['fedrep'])").format("c.kept")
        talk = Talk(self, script)
        talk.line("training", slice(0, 2))
        talk.order("learn", strategy="fedrep")
        talk.hear("hello"), talk.hear("learned")
        talk.say("bye")
        self.assertIn("['b']", talk.words())
        with self.assertRaisesRegex(tributary.Error, "invalid-argument: strategies names ditto"):
            tributary.learner.run(None, strategies=["ditto"])

    def test_an_evaluation_is_scaled_by_what_was_trained_on(self):
        manifest = {**MANIFEST, "inputs": [{**MANIFEST["inputs"][0], "scale": {"kind": "device-standard"}}]}
        script = """
from tributary import learner
learner.run(None, lambda weights, examples, config: {"loss": 1, "seen": examples["x"].sum()})"""
        for training, seen in (([[0, 0], [2, 2]], 8.0), (None, 0.0)):
            talk = Talk(self, script, manifest=manifest)
            if training is not None:
                talk.share("training", {"x": ("FP32", [2], np.float32(training))})
            talk.share("held_out", {"x": ("FP32", [2], np.float32([[2, 2], [4, 4]]))})
            talk.order("evaluate")
            talk.hear("hello")
            metrics = talk.hear("evaluated")[0]["metrics"]
            self.assertEqual(metrics["seen"]["sum"] / metrics["seen"]["weight"], seen)

    def test_inputs_are_typed_scaled_and_of_any_length(self):
        manifest = {
            **MANIFEST,
            "inputs": [
                {
                    "name": "level",
                    "dtype": "FP32",
                    "shape": [-1, 2],
                    "field": "raw",
                    "scale": {"kind": "constant", "mean": 1, "std": 4},
                },
                {
                    "name": "own",
                    "dtype": "FP32",
                    "shape": [-1, 2],
                    "field": "raw",
                    "scale": {"kind": "device-standard"},
                },
            ],
        }
        show = SHOW.format("{k: v.tolist() for k, v in e.items()}")
        talk = Talk(self, show, manifest=manifest)
        talk.share("training", {"raw": ("UINT8", [2], np.uint8([[1, 3], [9, 3]]))})
        talk.order("learn")
        talk.hear("hello"), talk.hear("learned")
        talk.say("bye")
        self.assertIn("{'level': [[0.0, 0.5], [2.0, 0.5]], 'own': [[-1.0, 0.0], [1.0, 0.0]]}", talk.words())
        show = SHOW.format("[t.tolist() for t in e['t']], c.seed")
        talk = Talk(
            self, show, manifest={**MANIFEST, "inputs": [{"name": "t", "dtype": "INT64", "shape": [-1, -1, 2]}]}
        )
        talk.share("training", {"t": ("INT64", [-1, 2], np.int64([1, 2, 3, 4, 5, 6]))}, ends=[4, 4, 6])
        talk.order("learn")
        talk.hear("hello"), talk.hear("learned")
        talk.say("bye")
        self.assertIn("[[[1, 2], [3, 4]], [], [[5, 6]]] ", talk.words())

    def test_without_numpy_arrays_are_memoryviews(self):
        script = """
sys.modules["numpy"] = None
from tributary import learner
def train(weights, examples, config):
    x = examples["x"]
    assert x.shape == (30, 2) and x[1, 0] == 1.0 and examples["y"].tolist()[0] == 0.5
    return {"w": [x[29, 0], weights["w"][1]], "b": weights["b"]}, 30, {}
learner.run(train)"""
        talk = self.learn(script)
        self.assertEqual(np.frombuffer(talk.hear("learned")[1], "<f4").tolist(), [1, 0, 0])

    def test_mistakes_have_codes_and_tell_no_value(self):
        for code, words, body in (
            (
                "child-failed",
                "train failed: ValueError: could not convert string to float: … (own.py, line ",
                "float('secret 36.6')",
            ),
            ("child-failed", "train failed: KeyError", "examples['z']"),
            ("child-failed", "ValueError: matmul: Input operand … has a mismatch", "examples['x'] @ examples['x']"),
            ("not-finite", "weights 'b' that are not finite", "weights['b'][0] = float('nan')"),
            ("wrong-tensor-count", "the weights w; the task has w, b", "del weights['b']"),
            ("wrong-tensor-count", "the weights 'w' in the shape [3]; the task has [2]", "weights['w'] = np.zeros(3)"),
            ("wrong-tensor-count", "no array of numbers", "weights['w'] = ['36.6x', '2']"),
            ("learner-protocol", "train must return", "return weights"),
            ("not-finite", "metric 'loss' that is not finite", "return weights, 30, {'loss': float('inf')}"),
            ("learner-memory", "memory", "raise MemoryError"),
            ("not-supported", "no such codec", "raise learner.Mistake('not-supported', 'no such codec')"),
            ("child-failed", "train failed: KeyboardInterrupt", "raise KeyboardInterrupt('36.6')"),
            ("child-failed", "train failed: SystemExit", "raise SystemExit(36.6)"),
            ("not-finite", "weights 'w' that are not finite", "weights['w'] = np.full(2, 1e300)"),
            ("wrong-tensor-count", "no dict of arrays but list", "return [1, 36.6], 30, {}"),
            ("wrong-tensor-count", "weights 'w' that are no array", "weights['w'] = [[1, 36.6], [2]]"),
            ("learner-protocol", "of no use: ValueError", "return weights, 'x 36.6', {}"),
            ("learner-protocol", "of no use: ValueError", "return weights, float('nan'), {}"),
            ("learner-protocol", "of no use: ", "return weights, 30, 36.6"),
            ("learner-protocol", "metric 'loss' that is no number", "return weights, 30, {'loss': 'x 36.6'}"),
        ):
            with self.subTest(body):
                script = (
                    "import numpy as np\nfrom tributary import learner\n"
                    f"def train(weights, examples, config):\n    {body}\n"
                    "    return weights, 30, {}\nlearner.run(train)\n"
                )
                error = self.learn(script).hear("error")[0]
                self.assertEqual(error["code"], code)
                self.assertIn(words, error["message"])
                self.assertNotIn("36.6", error["message"])

    def test_children_of_the_program_say_nothing(self):
        script = """
import os
from tributary import learner
def train(weights, examples, config):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
    config.progress(3, 0.5)
    print("output", flush=True)
    os.write(1, b"of C")
    return weights, 30, {"loss": 0.5}
learner.run(train)"""
        talk = self.learn(script)
        self.assertEqual(talk.hear("learned")[0]["steps"], 3)
        talk.say("bye")
        self.assertIn("of C", talk.words())
        self.assertEqual(talk.inbox.read(), b"")

    def test_doubles_and_lists_are_weights_too(self):
        script = """
from tributary import learner
learner.run(lambda w, e, c: ({"w": w["w"].astype("float64") + 0.5, "b": [0.25]}, 30.0, None))"""
        self.assertEqual(np.frombuffer(self.learn(script).hear("learned")[1], "<f4").tolist(), [0.5, 0.5, 0.25])

    def test_work_that_is_not_wanted_ends_it(self):
        endless = "def train(w, e, c):\n    while True: c.progress(1, 0.5)\n"
        talk = self.learn("from tributary import learner\n" + endless + "learner.run(train)")
        talk.say("cancel")
        self.assertEqual(talk.process.wait(30), 0)

    def test_examples_can_be_had_before_the_functions(self):
        script = """
from tributary import learner
training, held_out = learner.examples()
assert len(training["y"]) == 30 and len(held_out["y"]) == 10
learner.run(lambda weights, *_: (weights, len(training["y"]), {}))"""
        self.assertEqual(self.learn(script).hear("learned")[0]["examples"], 30)

    def test_by_hand_it_says_who_starts_it(self):
        with self.assertRaisesRegex(tributary.Error, "not-supported: a learner is started by a device"):
            try:
                os.fstat(3)
                self.skipTest("descriptor 3 is in use")
            except OSError:
                tributary.learner.run(None)


# A client as it is written for Flower: nothing in it knows of Tributary.
FLOWER = """
import numpy as np
from tributary import flower
from tributary.learner import examples

class Line(flower.NumPyClient):
    def __init__(self, training, held_out):
        self.training, self.held_out, self.w, self.b = training, held_out, np.zeros(2, np.float32), np.zeros(1,
        np.float32)
    def get_parameters(self, config):
        return [self.w, self.b]
    def fit(self, parameters, config):
        self.w, self.b = parameters
        for _ in range(200 * config["local_epochs"]):
            off = self.training["x"] @ self.w + self.b - self.training["y"]
            self.w -= config["lr"] * (off[:, None] * self.training["x"]).mean(0) / 3
            self.b -= config["lr"] * off.mean()
        return self.get_parameters({}), len(off), {"note": "text is left out", "rounds": config["server_round"]}
    def evaluate(self, parameters, config):
        off = self.held_out["x"] @ parameters[0] + parameters[1] - self.held_out["y"]
        return float((off ** 2).mean()), len(off), {"near": float((abs(off) < 0.1).mean())}
"""


class FlowerTest(unittest.TestCase):
    learn = LearnerTest.learn

    def test_a_client_trains_however_it_gets_its_data(self):
        for run in (
            "training, held_out = examples()\nflower.run(Line(training, held_out))",
            "flower.run(lambda data: Line(*data).to_client())",
        ):
            with self.subTest(run):
                talk = self.learn(FLOWER + run)
                metrics = [talk.hear("evaluated")[0]["metrics"] for _ in range(2)]
                self.assertLess(metrics[1]["loss"]["sum"], metrics[0]["loss"]["sum"] / 100)
                self.assertEqual(metrics[0]["near"]["weight"], 10)
                learned, delta = talk.hear("learned")
                self.assertEqual(learned["examples"], 30)
                np.testing.assert_allclose(np.frombuffer(delta, "<f4"), [2, -1, 0.5], atol=0.1)

    def test_a_wrong_number_of_arrays_has_its_code(self):
        error = self.learn(FLOWER + "Line.get_parameters = lambda *_: [1]\nflower.run(lambda data: Line(*data))")
        error.hear("evaluated")
        self.assertEqual(error.hear("error")[0]["message"], "fit returned 1 arrays; the task has 2")

    def test_what_is_no_client_is_refused(self):
        with self.assertRaisesRegex(tributary.Error, "takes an object with the methods"):
            tributary.flower.run(3)


if __name__ == "__main__":
    unittest.main()
