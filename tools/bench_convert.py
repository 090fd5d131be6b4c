"""Prints the CPU seconds that certifying takes, by model and number of layers; writes them to a file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import source as s
from stq_deploy.frontend.importer import read_source
from stq_deploy.frontend.quantizers import ACTIVATION, read_quantizer
from stq_deploy.lowering.lower import lower
from stq_deploy.network.ops import Window
from stq_deploy.zoo.shipped import PREFIX, resolve_model
from tools.figures_file import check_figures, write_figures

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures" / "bench_convert.json"
ROW = "{:42} {:>6} {:>10} {:>16} {:>8} {:>12}"
MOBILENET = ((1, 16), (2, 32), (1, 32), (2, 64), (1, 64), (2, 128), *[(1, 128)] * 5, (2, 256), (1, 256))
"""Stride and pointwise channels of MobileNetV1 0.25's 13 blocks (Howard et al. 2017, arXiv:1704.04861, table 1)."""


class Graph:
    """A source graph under construction, with random kernels; every method appends nodes and gives the last's place."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[s.Node] = [s.InputNode("input", (), shape)]
        self.kernels: dict[int, s.IntegerKernel] = {}
        self.quantize(0, "quantized_relu(8,0)")

    def add(self, node: s.Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def quantize(self, at: int, text: str) -> int:
        node = s.QuantizeNode(self.name("quantize"), (at,), self.nodes[at].shape, read_quantizer(text, ACTIVATION))
        return self.add(node)

    def name(self, kind: str) -> str:
        return f"{kind}_{len(self.nodes)}"

    def weighted(self, node: s.Node, shape: tuple[int, ...], bits: int) -> int:
        most = 2 ** (bits - 1) - 1
        integers = self.rng.integers(-most, most + 1, shape).astype(np.int16 if bits > 8 else np.int8)
        fan_in = int(np.prod(shape[:-1])) if not isinstance(node, s.DepthwiseNode) else shape[0] * shape[1]
        scale = np.full(node.shape[-1], 2.0 ** -round(np.log2(most * np.sqrt(fan_in))))
        n = self.add(node)
        self.kernels[n] = s.IntegerKernel(integers, scale, 16 if bits > 8 else 8)
        return n

    def conv(self, at: int, channels: int, size: int = 3, stride: int = 1, bits: int = 8) -> int:
        height, width, before = self.nodes[at].shape
        window = _same(size, stride)
        shape = (*window.output_size(height, width), channels)
        node = s.ConvolveNode(self.name("conv"), (at,), shape, window)
        return self.weighted(node, (size, size, before, channels), bits)

    def depthwise(self, at: int, stride: int) -> int:
        height, width, channels = self.nodes[at].shape
        window = _same(3, stride)
        shape = (*window.output_size(height, width), channels)
        return self.weighted(s.DepthwiseNode(self.name("depthwise"), (at,), shape, window), (3, 3, channels, 1), 8)

    def dense(self, at: int, units: int, bits: int = 8) -> int:
        node = s.DenseNode(self.name("dense"), (at,), (units,))
        return self.weighted(node, (self.nodes[at].shape[0], units), bits)

    def norm(self, at: int) -> int:
        shape = self.nodes[at].shape
        c = shape[-1]
        arrays = [self.rng.uniform(0.5, 1.5, c), *self.rng.normal(0, 0.3, (2, c)), self.rng.uniform(0.3, 2, c)]
        gamma, beta, mean, variance = (a.astype(np.float32) for a in arrays)
        return self.add(s.BatchNormNode(self.name("norm"), (at,), shape, gamma, beta, mean, variance, 1e-3))

    def normed(self, at: int, quantizer: str) -> int:
        return self.quantize(self.norm(at), quantizer)

    def relu(self, at: int) -> int:
        return self.add(s.ClipNode(self.name("relu"), (at,), self.nodes[at].shape, Fraction(0), None))

    def sum(self, a: int, b: int) -> int:
        return self.add(s.AddNode(self.name("add"), (a, b), self.nodes[a].shape))

    def flat(self, at: int) -> int:
        shape = (int(np.prod(self.nodes[at].shape)),)
        return self.add(s.ReshapeNode(self.name("flatten"), (at,), shape))

    def graph(self, output: int) -> s.SourceGraph:
        facts = {"name": "bench", "sha256": "", "format": "h5"}
        return s.SourceGraph(tuple(self.nodes), (output,), self.kernels, {}, "bench", facts)


def _same(size: int, stride: int) -> Window:
    pad = (size // 2, size // 2)
    return Window((size, size), (stride, stride), pad_before=pad, pad_after=pad)


def chain(layers: int, quantizer: str, bits: int = 8) -> s.SourceGraph:
    """A chain of convolutions of 16 channels, each with batch normalization and a quantizer."""
    g = Graph((8, 8, 3))
    at = 1
    for _ in range(layers):
        at = g.normed(g.conv(at, 16, bits=bits), quantizer)
    return g.graph(g.dense(g.flat(at), 10))


def mobilenet() -> s.SourceGraph:
    g = Graph((96, 96, 3))
    at = g.normed(g.conv(1, 8, stride=2), "quantized_relu(8,2)")
    for stride, channels in MOBILENET:
        at = g.normed(g.depthwise(at, stride), "quantized_relu(8,2)")
        at = g.normed(g.conv(at, channels, size=1), "quantized_relu(8,2)")
    return g.graph(g.dense(g.flat(at), 2))


def resnet(blocks: int) -> s.SourceGraph:
    """ResNet of 6 * blocks + 2 layers (He et al. 2016, arXiv:1512.03385, section 4.2)."""
    g = Graph((32, 32, 3))
    at = g.normed(g.conv(1, 16), "quantized_relu(8,2)")
    for channels in (16, 32, 64):
        for block in range(blocks):
            stride = 2 if channels > 16 and block == 0 else 1
            inner = g.normed(g.conv(at, channels, stride=stride), "quantized_relu(8,2)")
            branch = g.normed(g.conv(inner, channels), "quantized_bits(8,2,1,alpha=1)")
            if stride == 2:
                at = g.normed(g.conv(at, channels, size=1, stride=2), "quantized_bits(8,2,1,alpha=1)")
            at = g.quantize(g.sum(at, branch), "quantized_relu(8,2)")
    return g.graph(g.dense(g.flat(at), 10))


def relu_before_norm() -> s.SourceGraph:
    """A model that once took an hour, because every sum of its last layer's 15-bit numbers was compared."""
    g = Graph((32,))
    at = g.norm(g.quantize(g.dense(1, 64), "quantized_relu(6,2)"))
    return g.graph(g.norm(g.dense(at, 96, bits=10)))


def wide_relu_before_norm() -> s.SourceGraph:
    g = Graph((64,))
    at = g.normed(g.relu(g.dense(1, 64, bits=12)), "quantized_relu(12,2)")
    return g.graph(g.dense(at, 10, bits=8))


MODELS: dict[str, Callable[[], s.SourceGraph]] = {
    **{f"{n} convolutions in a row, 8 bits": lambda n=n: chain(n, "quantized_relu(8,2)") for n in (50, 100, 200)},
    **{f"{n} convolutions in a row, 12 bits": lambda n=n: chain(n, "quantized_relu(12,2)") for n in (10, 20)},
    "MobileNetV1 0.25, 96 x 96": mobilenet,
    "ResNet-20": lambda: resnet(3),
    "ResNet-56": lambda: resnet(9),
    "normalization after a relu, 10-bit weights": relu_before_norm,
    "12 bits, relu before normalization": wide_relu_before_norm,
    **{
        f"{PREFIX}{name}": lambda name=name: read_source(resolve_model(f"{PREFIX}{name}", keras=True))
        for name in ("stq-cifar10", "8bit-cifar10")
    },
}


@dataclass(frozen=True)
class Figures:
    """One model: ops with a certificate, reachable sums, how many of them were compared, CPU seconds of `lower`."""

    model: str
    certified_ops: int
    reachable: int
    compared: int
    seconds: float


def measure(name: str) -> Figures:
    source = MODELS[name]()
    start = time.process_time()
    network = lower(source)
    seconds = time.process_time() - start
    certificates = list(network.metadata.certificates.values())
    reachable, compared = (sum(getattr(c, key) or 0 for c in certificates) for key in ("accumulators", "checked"))
    return Figures(name, len(certificates), reachable, compared, round(seconds, 2))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, default=FIGURES, help="where to write the figures")
    parser.add_argument("--only", metavar="TEXT", default="", help="models whose name holds TEXT; writes nothing")
    options = parser.parse_args()
    try:
        if not options.only:
            check_figures(options.json)
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(ROW.format("model", "ops", "seconds", "reachable sums", "each op", "compared"))
    rows = []
    for name in MODELS:
        if options.only in name:
            row = measure(name)
            rows.append(row)
            each = f"{row.seconds / row.certified_ops:.3f}"
            columns = (row.certified_ops, f"{row.seconds:.2f}", f"{row.reachable:,}", each, f"{row.compared:,}")
            print(ROW.format(name, *columns), flush=True)
    if not options.only:
        document = {"models": [asdict(row) for row in rows]}
        write_figures(options.json, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
