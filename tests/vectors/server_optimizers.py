"""Makes server_optimizers.json: three steps of each server optimiser.

Written from Reddi et al. 2021, Adaptive Federated Optimization, Algorithm 2 (FedAdagrad with beta1 = 0, FedAdam,
FedYogi; v starts at tau^2, no bias correction), Hsu et al. 2019 (FedAvgM) and McMahan et al. 2017 (FedAvg), with
NumPy, without any code of this project. What is kept and the weights are rounded to float32 after each step; all
else is float64.

    python3 server_optimizers.py > server_optimizers.json
"""
import json

import numpy as np

WEIGHTS = np.float32([1.0, -0.5, 0.25, 0.0])
MEANS = np.array([[0.1, -0.02, 0.0, 1.5], [-0.05, -0.02, 0.003, 0.75], [0.02, 0.4, -0.003, -2.25]])
PLANS = [
    dict(name="fedavg"),
    dict(name="fedavg", learning_rate=0.5, schedule="step", schedule_rounds=1, schedule_factor=0.25),
    dict(name="fedavgm"),
    dict(name="fedavgm", learning_rate=0.3, momentum=0.5, schedule="inverse_sqrt", schedule_rounds=2),
    dict(name="fedadagrad"),
    dict(name="fedadagrad", learning_rate=1, tau=0.1),
    dict(name="fedadam"),
    dict(name="fedadam", learning_rate=0.1, beta1=0, beta2=0.5, tau=0.01),
    dict(name="fedyogi"),
    dict(name="fedyogi", learning_rate=0.1, beta1=0.5, beta2=0.9, tau=0.05),
]
RATES = dict(fedavg=1, fedavgm=1, fedadagrad=0.1, fedadam=0.01, fedyogi=0.01)


def rate(plan, t):
    eta = plan.get("learning_rate", RATES[plan["name"]])
    rounds = plan.get("schedule_rounds", 100)
    if plan.get("schedule") == "step":
        return eta * plan["schedule_factor"] ** (t // rounds)
    if plan.get("schedule") == "inverse_sqrt":
        return eta / np.sqrt(1 + t / rounds)
    return eta


def run(plan):
    name, tau = plan["name"], plan.get("tau", 1e-3)
    beta1, beta2 = plan.get("beta1", 0.9), plan.get("beta2", 0.99)
    x = WEIGHTS.astype(np.float64)
    m, v = np.zeros(4), np.full(4, np.float64(np.float32(tau**2)))
    steps = []
    for t, delta in enumerate(MEANS):
        if name == "fedavg":
            move, kept = delta, []
        elif name == "fedavgm":
            m = plan.get("momentum", 0.9) * m + delta
            move, kept = m, [m]
        elif name == "fedadagrad":
            v = v + delta**2
            move, kept = delta / (np.sqrt(v) + tau), [v]
        else:
            m = beta1 * m + (1 - beta1) * delta
            if name == "fedadam":
                v = beta2 * v + (1 - beta2) * delta**2
            else:
                v = v - (1 - beta2) * delta**2 * np.sign(v - delta**2)
            move, kept = m / (np.sqrt(v) + tau), [m, v]
        x = np.float32(x + rate(plan, t) * move).astype(np.float64)
        m, v = np.float32(m).astype(np.float64), np.float32(v).astype(np.float64)
        steps.append(dict(weights=x.tolist(), kept=np.float32(kept).astype(np.float64).T.flatten().tolist()))
    return dict(plan=plan, steps=steps)


print(json.dumps(dict(
    source="server_optimizers.py beside this file, run with NumPy " + np.__version__,
    weights=WEIGHTS.tolist(), means=MEANS.tolist(), runs=[run(plan) for plan in PLANS]), indent=1))
