#!/usr/bin/python3
"""A linear regression by hand: y = w.x + b, from the fields "x" (FP32 [n]) and "y" (FP32); the parameters are w, b."""
import array, json, os, sys

agent = os.fdopen(3, "r+b", buffering=0)
inbox = os.fdopen(os.dup(3), "rb")
got = {"training": {}, "held_out": {}}

def say(kind, body=b"", **values):
    agent.write(json.dumps({"type": kind, "bytes": len(body), **values}).encode() + b"\n")
    while body:
        body = body[agent.write(body):]

def rows(share):
    x, y = (array.array("f", got[share].get(name, b"")) for name in ("x", "y"))
    return [(x[i * size:(i + 1) * size], y[i]) for i in range(len(y))]

def error(x, y):
    return sum(a * b for a, b in zip(model, x)) + model[size] - y

def predict(x):
    outputs = array.array("f", [error(x[at:at + size], 0) for at in range(0, len(x), size)])
    say("predicted", outputs.tobytes(), model="global", count=len(outputs), millis=0,
        outputs=[{"name": "output", "dtype": "FP32", "shape": [len(outputs)]}])

def evaluate(which):
    losses = [error(x, y) ** 2 for x, y in rows("held_out")]
    if losses:
        say("evaluated", model=which, examples=len(losses), millis=0,
            metrics={"loss": {"sum": sum(losses), "weight": len(losses)}})

for line in inbox:
    message = json.loads(line)
    body, kind = inbox.read(message["bytes"]), message["type"]
    if kind == "hello":
        say("hello", protocol=1, formats=["none"], program="example_learner.py")
    elif kind == "weights":
        base = array.array("f", body)
        model, size = list(base), len(base) - 1
    elif kind == "values":
        share = got[message["share"]]
        share[message["field"]] = share.get(message["field"], b"") + body
    elif kind == "evaluate":
        evaluate("global")
    elif kind == "learn":
        evaluate("global")
        plan, steps, loss = message["plan"], 0, 0.0
        for _ in range(plan["epochs"]):
            for x, y in rows("training"):
                step, loss, steps = 2 * plan["learning_rate"] * error(x, y), error(x, y) ** 2, steps + 1
                model[:] = [w - step * v for w, v in zip(model, list(x) + [1.0])]
            say("progress", steps=steps, loss=loss)
        evaluate("personal")
        say("learned", array.array("f", [m - b for m, b in zip(model, base)]).tobytes(), steps=steps, loss=loss,
            examples=len(rows("training")), millis=0, peak_memory_bytes=0)
    elif kind == "load":
        say("loaded")
    elif kind == "predict":
        predict(array.array("f", body))
    elif kind == "bye":
        sys.exit(0)
