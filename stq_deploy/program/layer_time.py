"""The longest time of a layer, which a watchdog must allow."""

from __future__ import annotations

from stq_deploy.program.program import Layer, Program

_PER_MAC = 16
_PER_BYTE = 16
_PER_ELEMENT = 512
_PER_LAYER = 100_000


def cycles_bound(layer: Layer) -> int:
    """An upper bound on the core cycles of a Cortex-M7 kernel for the layer.

    It is a generous bound, not an estimate. The kernels execute 1.0 to 5.5 instructions per multiply-accumulate
    (`tools/bench_kernels`), and at most a few hundred more per output element, in a binary search of thresholds or a
    division. A test keeps the instructions of every kernel below a quarter of the bound; the rest is for wait states.
    """
    moved = layer.traffic.activations + layer.traffic.scratch + layer.traffic.constants
    return _PER_MAC * layer.macs + _PER_BYTE * moved + _PER_ELEMENT * layer.output.elements + _PER_LAYER


def slowest_layer_cycles(program: Program) -> int:
    """The largest `cycles_bound` of the layers."""
    return max(cycles_bound(layer) for layer in program.layers)
