"""The tasks that own_model_test.cc trains federated: modules of ../device/torch/tasks.py on data of Debian packages.

make     writes for each KIND KIND.pt, KIND.toml (the plan) and KIND.0 to KIND.2, the data of the three devices, as files to import
compare  trains each kind by a plain loop over the pooled data, three times in other orders of the examples, and prints a line
         for each: its name, how much of the plain loop's gain KIND.federated.pt has, and the least and most that one of the
         three plain loops has of their mean. Gain: how far the loss on the pooled data went down from the initial weights"""
import copy, json, os, sys
import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../device/torch"))
import tasks

DEVICES, ROUNDS = 3, 3
# Learning rate of AdamW; epochs of each of the three rounds; epochs of the plain loop. A device has a third of the examples, so
# where these are equal a device makes as many steps as the plain loop. Averaging calms the steps of the autoencoder, which its
# plain loop needs three times as many for.
PLANS = {"diabetes": (0.01, 15, 15), "forecast": (0.003, 30, 30), "characters": (0.02, 5, 5), "autoencoder": (0.01, 20, 60)}


def kinds():
    """name: (module, inputs, data, what else the manifest has, loss)"""
    chosen = {name: kind for name, kind in tasks.kinds().items() if name in PLANS}
    text = np.frombuffer(open("/usr/share/common-licenses/GPL-3", "rb").read(), np.uint8).astype(np.int64)
    windows = text[:33 * (len(text) // 33)].reshape(-1, 33)
    module, inputs, data, more, loss = chosen["characters"]
    inputs = [tasks.field("text", "INT64", [-1, 32], field="tokens"), inputs[1]]
    chosen["characters"] = (tasks.Characters(128), inputs, {"tokens": windows[:, :-1], "next": windows[:, 1:]}, more, loss)
    days = np.concatenate([temperatures("seattle", 1), temperatures("sf", 0)])
    module, inputs, _, more, loss = chosen["forecast"]
    chosen["forecast"] = (module, inputs, {"window": days[:, :24], "future": days[:, 24:]}, more, loss)
    return chosen


def temperatures(city, column):
    lines = open(tasks.VEGA + city + "-temps.csv").read().strip().split("\n")[1:]
    hours = np.float32([line.split(",")[column] for line in lines])
    return hours[:28 * (len(hours) // 28)].reshape(-1, 28)


def share_text(name, data, chosen):
    """The examples of the numbers `chosen`, as the file that a device imports."""
    if name == "diabetes":
        rows = np.hstack([data["x"], data["progress"][:, None]])[chosen]
        return "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6,progress\n" + "".join(",".join(f"{v:g}" for v in row) + "\n" for row in rows)
    if name == "forecast":
        return "temp\n" + "".join(f"{v:.1f}\n" for v in np.hstack([data["window"], data["future"]])[chosen].flatten())
    if name == "characters":
        return "".join(map(chr, np.hstack([data["tokens"], data["next"][:, -1:]])[chosen].flatten()))
    return "".join(",".join(map(str, row)) + "\n" for row in data["image"][chosen])


def make():
    for name, (module, inputs, data, more, _) in kinds().items():
        rate, epochs, _ = PLANS[name]
        manifest = {"format": "tributary-task-1", "collection": name, "inputs": inputs, **more}
        torch.jit.script(module).save(name + ".pt", _extra_files={"tributary.json": json.dumps(manifest)})
        with open(name + ".toml", "w") as plan:
            loss = "cross_entropy" if name == "characters" else "mean_squared_error"  # the forecaster has its own
            plan.write(f'[training]\nloss = "{loss}"\noptimizer = "adamw"\nlearning_rate = {rate}\nepochs = {epochs}\n')
            plan.write(f"[round]\nreport_goal = {DEVICES}\nminimum = {DEVICES}\ndeadline_seconds = 600\n")
        count = len(next(iter(data.values())))
        for device, chosen in enumerate(np.array_split(np.random.default_rng(0).permutation(count), DEVICES)):
            with open(f"{name}.{device}", "w") as share:
                share.write(share_text(name, data, chosen))


def tensors(inputs, data):
    found = {}
    for i in inputs:
        values = torch.from_numpy(tasks.scaled(data[i.get("field", i["name"])], i.get("scale")))
        found[i["name"]] = values.long() if i["dtype"] == "INT64" else values.float()
    return found


def plain_loop(module, columns, loss, rate, epochs, seed):
    module = copy.deepcopy(module)
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0)
    order = np.random.default_rng(seed)
    count = len(next(iter(columns.values())))
    for _ in range(epochs):
        for batch in np.array_split(order.permutation(count), count // 32):
            optimizer.zero_grad()
            loss(module, **{key: values[batch] for key, values in columns.items()}).backward()
            optimizer.step()
    return module


def compare():
    for name, (module, inputs, data, _, loss) in kinds().items():
        module.load_state_dict(torch.jit.load(name + ".pt").state_dict())
        columns = tensors(inputs, data)
        rate, _, epochs = PLANS[name]
        with torch.no_grad():
            initial = loss(module, **columns).item()
        loops = [plain_loop(module, columns, loss, rate, epochs, seed) for seed in range(3)]
        with torch.no_grad():
            plain = [initial - loss(trained, **columns).item() for trained in loops]
            module.load_state_dict(torch.jit.load(name + ".federated.pt").state_dict())
            federated = initial - loss(module, **columns).item()
        mean = sum(plain) / len(plain)
        print(name, federated / mean, min(plain) / mean, max(plain) / mean)


if __name__ == "__main__":
    {"make": make, "compare": compare}[sys.argv[1]]()
