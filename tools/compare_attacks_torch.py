"""The reference side of tools/compare_attacks: attacks of torchattacks and foolbox on a network given as arrays.

It runs in an environment with PyTorch and without this project. Usage: compare_attacks_torch.py FOLDER, which holds
network.json (layers), arrays.npz (weights), samples.npz (x (N, H, W, C) in [0, 1], y (N)) and jobs.json; it writes
results.npz: `logits` of the samples, and for each job the attacked samples under its number.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import foolbox
import numpy as np
import torch
import torchattacks
from torch.nn import functional


class Imported(torch.nn.Module):
    """A network of exported layers; pictures are (N, C, H, W), weights as Keras stores them."""

    def __init__(self, layers, arrays):
        super().__init__()
        self.layers, self.arrays = layers, {name: torch.from_numpy(array) for name, array in arrays.items()}

    def forward(self, x):
        values = {}
        for layer in self.layers:
            inputs = [values[name] for name in layer["inputs"]]
            weights = [self.arrays[name] for name in layer["weights"]]
            values[layer["name"]] = getattr(self, "do_" + layer["kind"])(layer, weights, *(inputs or [x]))
        return values[self.layers[-1]["name"]]

    def do_InputLayer(self, layer, weights, x):
        return x

    def do_Activation(self, layer, weights, x):
        return {"linear": lambda v: v, "relu": torch.relu, "sigmoid": torch.sigmoid}[layer["activation"]](x)

    def do_Conv2D(self, layer, weights, x):
        kernel, *bias = weights
        return functional.conv2d(self.padded(layer, x), kernel.permute(3, 2, 0, 1), *bias, stride=layer["strides"])

    def do_DepthwiseConv2D(self, layer, weights, x):
        kernel = weights[0]
        turned = kernel.permute(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
        return functional.conv2d(self.padded(layer, x), turned, stride=layer["strides"], groups=kernel.shape[2])

    def do_SeparableConv2D(self, layer, weights, x):
        return functional.conv2d(self.do_DepthwiseConv2D(layer, weights[:1], x), weights[1].permute(3, 2, 0, 1))

    def do_BatchNormalization(self, layer, weights, x):
        gamma, beta, mean, variance = weights
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=layer["epsilon"])

    def do_Multiply(self, layer, weights, a, b):
        return a * b

    def do_Add(self, layer, weights, a, b):
        return a + b

    def do_MaxPooling2D(self, layer, weights, x):
        return functional.max_pool2d(x, layer["pool_size"], layer["strides"])

    def do_AveragePooling2D(self, layer, weights, x):
        return functional.avg_pool2d(x, layer["pool_size"], layer["strides"])

    def do_Flatten(self, layer, weights, x):
        return x.permute(0, 2, 3, 1).flatten(1)

    def do_Dense(self, layer, weights, x):
        kernel, *bias = weights
        return functional.linear(x, kernel.T, *bias)

    @staticmethod
    def padded(layer, x):
        """TensorFlow's SAME: the odd row and column go to the bottom and right."""
        if layer["padding"] != "same":
            return x
        sides = []
        for n, k, s in zip(
            reversed(x.shape[2:]), reversed(layer["kernel_size"]), reversed(layer["strides"]), strict=True
        ):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            sides += [total // 2, total - total // 2]
        return functional.pad(x, sides)


def attacked(network, job, x, y):
    """The attacked samples (N, C, H, W) of one job."""
    kind, eps, library = job["attack"], job["eps"], job["library"]
    if library == "foolbox":
        model = foolbox.PyTorchModel(network, bounds=(0, 1))
        if kind == "fgsm":
            attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
        elif kind == "pgd":
            attack = foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=job["steps"], random_start=True)
        else:
            attack = foolbox.attacks.L2CarliniWagnerAttack(
                binary_search_steps=job["searches"], steps=job["steps"], stepsize=0.01, confidence=0,
                initial_const=0.01, abort_early=False,
            )  # fmt: skip
            return attack(model, x, y, epsilons=None)[1]
        return attack(model, x, y, epsilons=eps)[1]
    norm = "L2" if job["norm"] == "2" else "Linf"
    attack = {
        "fgsm": lambda: torchattacks.FGSM(network, eps=eps),
        "pgd": lambda: torchattacks.PGD(network, eps=eps, alpha=eps / 4, steps=job["steps"]),
        "apgd": lambda: torchattacks.APGD(network, norm=norm, eps=eps, steps=job["steps"], n_restarts=1, loss="ce"),
        "apgd-t": lambda: torchattacks.APGDT(network, norm=norm, eps=eps, steps=job["steps"], n_classes=10),
        "square": lambda: torchattacks.Square(
            network, norm=norm, eps=eps, n_queries=job["steps"], n_restarts=1, p_init=0.8, loss="margin"
        ),
    }[kind]()
    return attack(x, y)


def main(folder):
    torch.manual_seed(0)
    layers = json.loads((folder / "network.json").read_text())
    with np.load(folder / "arrays.npz") as arrays:
        network = Imported(layers, dict(arrays)).eval()
    with np.load(folder / "samples.npz") as samples:
        x = torch.from_numpy(samples["x"]).permute(0, 3, 1, 2).contiguous()
        y = torch.from_numpy(samples["y"])
    with torch.no_grad():
        results = {"logits": network(x).numpy()}
    for number, job in enumerate(json.loads((folder / "jobs.json").read_text())):
        begun = time.process_time()
        moved = attacked(network, job, x, y)
        results[str(number)] = moved.detach().permute(0, 2, 3, 1).numpy()
        print(job, f"{time.process_time() - begun:.1f} s", file=sys.stderr, flush=True)
    np.savez(folder / "results.npz", **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
