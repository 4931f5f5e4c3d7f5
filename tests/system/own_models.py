"""The tasks that own_model_test.cc trains federated: modules of ../device/torch/tasks.py on data of Debian packages.

The kinds are the arguments after the command.

make     writes for each KIND KIND.pt, KIND.toml (the plan) and KIND.0 to KIND.2, the data of the three devices, as
         files to import
compare  trains each kind by a plain loop over the pooled data, three times in other orders of the examples, and
         prints a line for each: its name, how much of the plain loop's gain KIND.federated.pt has, and the least
         and most that one of the three plain loops has of their mean. Gain: how far the loss on the pooled data
         went down from the initial weights"""
import copy, json, os, struct, sys, zlib
import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../device/torch"))
import tasks

DEVICES, ROUNDS = 3, 3
# The built-in loss (the forecaster has its own); learning rate of AdamW; epochs of each of the three rounds; epochs
# of the plain loop. A device has a third of the examples, so where these are equal a device makes as many steps as
# the plain loop. Averaging calms the steps of the autoencoder, which its plain loop needs three times as many for.
PLANS = {"diabetes": ("mean_squared_error", 0.01, 15, 15), "forecast": ("mean_squared_error", 0.003, 30, 30),
         "characters": ("cross_entropy", 0.02, 5, 5), "autoencoder": ("mean_squared_error", 0.01, 20, 60),
         "colours": ("cross_entropy", 0.01, 5, 5), "cancer": ("binary_cross_entropy", 0.01, 20, 20),
         "two": ("huber", 0.01, 10, 10), "lstm": ("l1", 0.02, 10, 10)}
TABLES = {"diabetes": "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6,progress",
          "two": "age,bmi,bp,s1,s2,s3,s4,s5,s6,sex,progress,importance",
          "cancer": ",".join(f"c{i}" for i in range(1, 31)) + ",benign"}


def kinds(names):
    """name: (module, inputs, data, what else the manifest has, loss)"""
    chosen = tasks.kinds()
    text = np.frombuffer(open("/usr/share/common-licenses/GPL-3", "rb").read(), np.uint8).astype(np.int64)
    windows = text[:33 * (len(text) // 33)].reshape(-1, 33)
    module, inputs, data, more, loss = chosen["characters"]
    inputs = [tasks.field("text", "INT64", [-1, 32], field="tokens"), inputs[1]]
    data = {"tokens": windows[:, :-1], "next": windows[:, 1:]}
    chosen["characters"] = (tasks.Characters(128), inputs, data, more, loss)
    days = np.concatenate([temperatures("seattle", 1), temperatures("sf", 0)])
    for name in ("forecast", "lstm"):
        module, inputs, _, more, loss = chosen[name]
        chosen[name] = (module, inputs, {"window": days[:, :24], "future": days[:, 24:]}, more, loss)
    module, _, _, more, loss = chosen["colours"]
    scale = {"kind": "constant", "mean": 128, "std": 64}
    inputs = [tasks.field("pixels", "FP32", [-1, 3, 8, 8], field="image", scale=scale),
              tasks.field("label", "INT64", [-1], "target")]
    chosen["colours"] = (module, inputs, coloured_digits(), more, loss)
    return {name: chosen[name] for name in names}


def coloured_digits():
    """Digits in an ink and on a paper of random colours, of which the paper is the darker one."""
    digits = np.loadtxt(tasks.SKLEARN + "digits.csv.gz", delimiter=",")[:600]
    colours = np.random.default_rng(1)
    paper, ink = colours.uniform(0, 100, (600, 3, 1)), colours.uniform(155, 255, (600, 3, 1))
    strength = digits[:, None, :64] / 16
    images = (paper + (ink - paper) * strength).astype(np.uint8)
    return {"image": images.reshape(-1, 3, 8, 8), "label": digits[:, 64].astype(np.int64)}


def png(image):
    """A file of the bytes [3, height, width]."""
    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + row.tobytes() for row in image.transpose(1, 2, 0))
    size = struct.pack(">IIBBBBB", image.shape[2], image.shape[1], 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def temperatures(city, column):
    lines = open(tasks.VEGA + city + "-temps.csv").read().strip().split("\n")[1:]
    hours = np.float32([line.split(",")[column] for line in lines])
    return hours[:28 * (len(hours) // 28)].reshape(-1, 28)


def write_share(path, name, data, chosen):
    """The examples of the numbers `chosen`, as the file or the folder that a device imports."""
    if name == "colours":
        for i in chosen:
            folder = f"{path}/{data['label'][i]}"
            os.makedirs(folder, exist_ok=True)
            with open(f"{folder}/{i}.png", "wb") as image:
                image.write(png(data["image"][i]))
        return
    with open(path, "w") as share:
        share.write(share_text(name, data, chosen))


def share_text(name, data, chosen):
    if name in TABLES:
        rows = np.hstack([v if v.ndim == 2 else v[:, None] for v in data.values()])[chosen]
        return TABLES[name] + "\n" + "".join(",".join(f"{v:g}" for v in row) + "\n" for row in rows)
    if "window" in data:
        return "temp\n" + "".join(f"{v:.1f}\n" for v in np.hstack([data["window"], data["future"]])[chosen].flatten())
    if name == "characters":
        return "".join(map(chr, np.hstack([data["tokens"], data["next"][:, -1:]])[chosen].flatten()))
    return "".join(",".join(map(str, row)) + "\n" for row in data["image"][chosen])


def make(names):
    for name, (module, inputs, data, more, _) in kinds(names).items():
        loss, rate, epochs, _ = PLANS[name]
        manifest = {"format": "tributary-task-1", "collection": name, "inputs": inputs, **more}
        torch.jit.script(module).save(name + ".pt", _extra_files={"tributary.json": json.dumps(manifest)})
        with open(name + ".toml", "w") as plan:
            plan.write(f'[training]\nloss = "{loss}"\noptimizer = "adamw"\nlearning_rate = {rate}\nepochs = {epochs}\n')
            plan.write(f"[round]\nreport_goal = {DEVICES}\nminimum = {DEVICES}\ndeadline_seconds = 600\n")
        for device, chosen in enumerate(shares(name, data)):
            write_share(f"{name}.{device}", name, data, chosen)


def shares(name, data):
    """The numbers of the examples of each device."""
    order = np.random.default_rng(0).permutation(len(next(iter(data.values()))))
    if name == "colours":  # the first device never saw a zero, so its folders are others
        other = order[data["label"][order] != 0][:len(order) // DEVICES]
        order = np.concatenate([other, order[~np.isin(order, other)]])
    return np.array_split(order, DEVICES)


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
    torch.manual_seed(seed)
    module.train()
    count = len(next(iter(columns.values())))
    for _ in range(epochs):
        for batch in np.array_split(order.permutation(count), count // 32):
            optimizer.zero_grad()
            loss(module, **{key: values[batch] for key, values in columns.items()}).backward()
            optimizer.step()
    return module.eval()


def compare(names):
    for name, (module, inputs, data, _, loss) in kinds(names).items():
        module.load_state_dict(torch.jit.load(name + ".pt").state_dict())
        module.eval()
        columns = tensors(inputs, data)
        _, rate, _, epochs = PLANS[name]
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
    {"make": make, "compare": compare}[sys.argv[1]](sys.argv[2:])
