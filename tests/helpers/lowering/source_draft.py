"""Source graphs built node by node, with random integer kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stq_deploy.frontend import source as s
from stq_deploy.frontend.quantizers import ACTIVATION, read_quantizer
from stq_deploy.network.ops import Window

RELU = "quantized_relu(4,2)"
BITS = "quantized_bits(8,3,1,alpha=1)"


class Draft:
    """A source graph under construction; every method appends a node and gives its position."""

    def __init__(self, shape: tuple[int, ...] = (4, 3, 2), quantizer: str = RELU, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[s.Node] = [s.InputNode("image", (), shape)]
        self.kernels: dict[int, s.IntegerKernel] = {}
        self.biases: dict[int, np.ndarray] = {}
        self.x = self.quantize(0, quantizer)

    def add(self, kind: type[s.Node], *inputs: int, shape: tuple[int, ...] | None = None, **settings: object) -> int:
        name = f"{kind.__name__.removesuffix('Node').lower()}_{len(self.nodes)}"
        self.nodes.append(kind(name, inputs, shape or self.nodes[inputs[0]].shape, **settings))  # type: ignore[arg-type]
        return len(self.nodes) - 1

    def quantize(self, at: int, text: str) -> int:
        return self.add(s.QuantizeNode, at, quantizer=read_quantizer(text, ACTIVATION))

    def conv(self, at: int, filters: int, scale: Sequence[float] = (0.25,), size: int = 1, groups: int = 1) -> int:
        height, width, channels = self.nodes[at].shape
        window = Window((size, size))
        n = self.add(s.ConvolveNode, at, shape=(*window.output_size(height, width), filters), window=window)
        integers = self.rng.integers(-1, 2, (size, size, channels // groups, filters)).astype(np.int8)
        self.kernels[n] = s.IntegerKernel(integers, np.resize(scale, filters).astype(np.float64), 2)
        return n

    def norm(self, at: int, gamma: Sequence[float] = (0.7, 1.3)) -> int:
        c = self.nodes[at].shape[-1]
        arrays = [np.resize(gamma, c), *self.rng.normal(0, 0.5, (2, c)), self.rng.uniform(0.5, 2, c)]
        gamma_, beta, mean, variance = (a.astype(np.float32) for a in arrays)
        return self.add(s.BatchNormNode, at, gamma=gamma_, beta=beta, mean=mean, variance=variance, epsilon=1e-3)

    def pool(self, at: int, kind: type[s.Node] = s.MaxPoolNode, window: Window | None = None) -> int:
        height, width, channels = self.nodes[at].shape
        window = window or Window((2, 2), (2, 2))
        return self.add(kind, at, shape=(*window.output_size(height, width), channels), window=window)

    def flat(self, at: int) -> int:
        return self.add(s.ReshapeNode, at, shape=(int(np.prod(self.nodes[at].shape)),))

    def dense(self, at: int, units: int = 3) -> int:
        n = self.add(s.DenseNode, at, shape=(units,))
        integers = self.rng.integers(-7, 8, (self.nodes[at].shape[0], units)).astype(np.int8)
        self.kernels[n] = s.IntegerKernel(integers, np.full(units, 0.25), 4)
        return n

    def graph(self, *outputs: int) -> s.SourceGraph:
        facts = {"name": "draft", "sha256": "", "format": "h5"}
        return s.SourceGraph(tuple(self.nodes), outputs, self.kernels, self.biases, "draft", facts)
