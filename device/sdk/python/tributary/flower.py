"""Clients that were written for Flower, as learners of a device. Flower need not be installed.

    from tributary import flower
    from tributary.learner import examples

    training, held_out = examples()           # this device's, as NumPy arrays by input
    ...
    flower.run(FlowerClient(net, training, held_out))

The task is made of the client's parameters: `tributary.export_arrays(arrays_of(client), inputs, "task.tpkg")`.
"""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple, Union

from . import learner
from .errors import Error
from .learner import Arrays, Config, Examples

__all__ = ["NumPyClient", "arrays_of", "run"]


class NumPyClient:
    """Stands in for flwr.client.NumPyClient, for a class that inherits from it. Any object with the same methods will
    do."""

    def get_properties(self, config: Dict[str, Any]) -> Dict[str, Any]:
        """Not asked for by a device."""
        return {}

    def get_parameters(self, config: Dict[str, Any]) -> List[Any]:
        """The weights as NumPy arrays, in an order that stays."""
        raise NotImplementedError

    def fit(self, parameters: List[Any], config: Dict[str, Any]) -> Tuple[List[Any], int, Dict[str, Any]]:
        """Trains from `parameters`. Returns the weights, the number of examples, and metrics."""
        raise NotImplementedError

    def evaluate(self, parameters: List[Any], config: Dict[str, Any]) -> Tuple[float, int, Dict[str, Any]]:
        """Returns the loss of `parameters`, the number of examples, and metrics."""
        raise NotImplementedError

    def to_client(self) -> "NumPyClient":
        """Itself."""
        return self


def arrays_of(client: Any) -> Dict[str, Any]:
    """The client's parameters by name, for `tributary.export_arrays`: "parameter_0", "parameter_1", ..."""
    return {f"parameter_{i}": value for i, value in enumerate(client.get_parameters({}))}


def run(client: Union[Any, Callable[[Examples], Any]], strategies: Sequence[str] = ()) -> None:
    """Does what the device asks for with the client, until the device says that this is all.

    `parameters` are the task's weights in the order of its tensors, which is that of `export_arrays`, as float32.
    `config` is the task's plan as a dict ("epochs", "learning_rate", "batch_size", ...), with Flower's usual names
    beside it: "local_epochs", "lr", "server_round". The loss and the metrics of `evaluate` count with its number of
    examples.

    Args:
        client: an object with the methods get_parameters, fit and evaluate of Flower's NumPyClient, or a function that
            makes one of `learner.Examples` (training, held_out).
        strategies: as `learner.run` takes them: ["fedprox"], when `fit` adds the proximal term by
            config["proximal_mu"].
    """
    if not hasattr(client, "fit"):
        if not callable(client):
            raise Error(
                "invalid-argument",
                "flower.run takes an object with the methods get_parameters, fit and evaluate, or a function "
                "that makes one of (training, held_out)",
            )
        client = client(learner.examples())

    def train(weights: Arrays, examples: Arrays, config: Config) -> Tuple[Arrays, int, Mapping[str, Any]]:
        parameters, count, metrics = client.fit(list(weights.values()), _config(config))
        if len(parameters) != len(weights):
            raise learner.Mistake(
                "wrong-tensor-count", f"fit returned {len(parameters)} arrays; the task has {len(weights)}"
            )
        return dict(zip(weights, parameters)), count, _numbers(metrics)

    def evaluate(weights: Arrays, examples: Arrays, config: Config) -> Mapping[str, Any]:
        loss, count, metrics = client.evaluate(list(weights.values()), _config(config))
        return {name: (float(value) * count, count) for name, value in {**_numbers(metrics), "loss": loss}.items()}

    learner.run(train, evaluate, strategies=strategies)


def _config(config: Config) -> Dict[str, Any]:
    return {
        **config,
        "local_epochs": config.get("epochs", 1),
        "lr": config.get("learning_rate", 0.01),
        "server_round": config.version,
    }


def _numbers(metrics: Mapping[str, Any]) -> Dict[str, float]:
    """Those of the client's metrics that can be averaged."""
    found = {}
    for name, value in (metrics or {}).items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            continue
    return found
