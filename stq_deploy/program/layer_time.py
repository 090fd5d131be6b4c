"""How long a layer may take at most: what a watchdog must allow."""

from __future__ import annotations

from stq_deploy.program.program import Layer, Program

_PER_MAC = 16
_PER_BYTE = 16
_PER_ELEMENT = 512
_PER_LAYER = 100_000


def cycles_bound(layer: Layer) -> int:
    """Core cycles that no kernel of the Cortex-M7 takes for the layer.

    A bound with room, not an estimate. The kernels execute 1.0 to 5.5 instructions a multiply-accumulate
    (`tools/bench_kernels`), and at most some hundred an output element beside them, in a binary search of thresholds or
    a division. A test holds the instructions of every kernel below a quarter of the bound; the rest is for wait states.
    """
    moved = layer.traffic.activations + layer.traffic.scratch + layer.traffic.constants
    return _PER_MAC * layer.macs + _PER_BYTE * moved + _PER_ELEMENT * layer.output.elements + _PER_LAYER


def slowest_layer_cycles(program: Program) -> int:
    """The largest `cycles_bound` of the layers."""
    return max(cycles_bound(layer) for layer in program.layers)
