#!/usr/bin/python3
"""A client as it is written for Flower, in PyTorch, on a device of Tributary. The lines marked with # <- are the ones
that changed."""
from collections import OrderedDict

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tributary import flower as fl  # <- import flwr as fl
from tributary.learner import examples  # <- from own_data import load_data


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.output = nn.Linear(64, 10)

    def forward(self, x):
        return self.output(x)


def train(net, loader, epochs, lr):
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    net.train()
    for _ in range(epochs):
        for x, label in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), label).backward()
            optimizer.step()


def test(net, loader):
    loss, correct, count = 0.0, 0, 0
    net.eval()
    with torch.no_grad():
        for x, label in loader:
            scores = net(x)
            loss += nn.functional.cross_entropy(scores, label, reduction="sum").item()
            correct += (scores.argmax(1) == label).sum().item()
            count += len(label)
    return loss / count, correct / count


class FlowerClient(fl.NumPyClient):  # <- fl.client.NumPyClient
    def __init__(self, net, train_loader, test_loader):
        self.net, self.train_loader, self.test_loader = net, train_loader, test_loader

    def get_parameters(self, config):
        return [value.cpu().numpy() for value in self.net.state_dict().values()]

    def set_parameters(self, parameters):
        state = OrderedDict((name, torch.tensor(value)) for name, value in zip(self.net.state_dict(), parameters))
        self.net.load_state_dict(state, strict=True)

    def fit(self, parameters, config):
        self.set_parameters(parameters)
        train(self.net, self.train_loader, config["local_epochs"], config["lr"])
        return self.get_parameters({}), len(self.train_loader.dataset), {}

    def evaluate(self, parameters, config):
        self.set_parameters(parameters)
        loss, accuracy = test(self.net, self.test_loader)
        return loss, len(self.test_loader.dataset), {"accuracy": accuracy}


if __name__ == "__main__":
    training, held_out = (
        TensorDataset(*map(torch.from_numpy, part.values())) for part in examples()
    )  # <- = load_data()
    client = FlowerClient(Net(), DataLoader(training, batch_size=16, shuffle=True), DataLoader(held_out, batch_size=64))
    fl.run(client)  # <- fl.client.start_numpy_client(server_address="127.0.0.1:8080", client=client)
