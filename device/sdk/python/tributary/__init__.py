"""Tributary in Python: federated learning for fleets that are not always online.

    export(model, example, path, targets=[...])   a task from a torch.nn.Module and a batch of examples
    export_arrays({"coef": w}, inputs, path)      a task of arrays, whose learner is a program of the devices' own
    simulate(task, data, devices=20, rounds=10)   the real programs in a folder of their own: the history of a fleet
    Client(url, token)                            an aggregator: tasks, rounds, versions and their weights
    Device(folder, ...)                           a device inside this program: examples, training, predictions
    learner.run(train)                            the main line of a learner: a program that trains in a device
    flower.run(client)                            the same for an object with the methods of Flower's NumPyClient
    Error                                         what everything here raises: .code and a sentence

It needs the standard library only; numpy, torch and pandas are used where they are there. What failed raises `Error`.
"""
from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from tributary.errors import Error

__version__ = "0.1.0"

# Loaded when they are first asked for, so that a learner starts without waiting for what it does not use. A function
# and its file have two names: the name of a file that is imported is taken by the module.
_WHERE = {
    "Client": "client",
    "Device": "device",
    "TaskFile": "task_file",
    "export": "task_file",
    "export_arrays": "task_file",
    "simulate": "simulation",
}
_MODULES = ("flower", "learner")

__all__ = ["Error", *_WHERE, *_MODULES]

if TYPE_CHECKING:
    from tributary import flower as flower, learner as learner
    from tributary.client import Client as Client
    from tributary.device import Device as Device
    from tributary.simulation import simulate as simulate
    from tributary.task_file import TaskFile as TaskFile, export as export, export_arrays as export_arrays


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"tributary.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'tributary' has no attribute '{name}'")
    found = getattr(import_module(f"tributary.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
