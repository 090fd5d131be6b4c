"""Leaves out units, output channels of a layer, that no later weight reads.

Training kills units: their outgoing weights decay until the quantizer rounds all of them to 0. Such a unit's output
enters no sum, so without it every logit is the same, bit for bit, and its own weights need no flash. The pass considers
only layers that a convolution or a dense layer reads directly. It removes whole units, so nothing becomes sparse.

A layer's output then has another shape than the Keras model's, so the pass needs an option
(`convert --drop-unread-units`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Convolve, Dense, Op
from stq_deploy.network.requantize import of_channels

Kept = npt.NDArray[np.int64]
_INPUTS = -2  # the axis of weights along which input channels lie; outputs lie along the last, as in Keras


def drop_unread_units(network: Network) -> Network:
    """The network without units that no later weight reads; `network` itself if each is read.

    Outputs and all tensors are unchanged, except those that lost units. At least one unit of a layer stays.
    `metadata.kept_units` lists the kept units by the name of the op, and the ops lose the names of the Keras layers
    whose outputs they were.
    """
    ops, tensors = {op.name: op for op in network.ops}, dict(network.tensors)
    kept_units: dict[str, tuple[int, ...]] = {}
    for writer in reversed(network.ops):  # so that the inputs of a dropped unit may become unread with it
        op = ops[writer.name]
        readers = [other for other in ops.values() if op.output in other.inputs]
        channels = tensors[op.output].channels
        plain = all(_is_plain(other, tensors) for other in (op, *readers))
        if op.output in network.outputs or not readers or not plain:
            continue
        kept = _read_units(readers, channels)
        if len(kept) == channels:
            continue
        tensors[op.output] = replace(tensors[op.output], shape=(*tensors[op.output].shape[:-1], len(kept)))
        ops[op.name] = _with_outputs(op, kept)
        ops |= {reader.name: _with_inputs(reader, kept) for reader in readers}
        kept_units[op.name] = tuple(kept.tolist())
    if not kept_units:
        return network
    named = network.metadata.keras_outputs or {}
    metadata = replace(
        network.metadata,
        kept_units=kept_units,
        keras_outputs={name: layer for name, layer in named.items() if name not in kept_units},
    )
    return replace(network, tensors=tensors, ops=tuple(ops.values()), metadata=metadata)


def _is_plain(op: Op, tensors: dict[str, TensorType]) -> bool:
    """Whether it is a dense layer, or a convolution without groups: each output sums over all input channels."""
    return isinstance(op, Convolve | Dense) and op.weights.shape[_INPUTS] == tensors[op.inputs[0]].channels


def _read_units(readers: Sequence[Op], channels: int) -> Kept:
    """Indices of the units for which some reader has a weight; one index if there is none."""
    read = np.zeros(channels, bool)
    for reader in readers:
        assert isinstance(reader, Convolve | Dense)
        read |= np.moveaxis(reader.weights != 0, _INPUTS, 0).reshape(channels, -1).any(axis=1)
    return np.flatnonzero(read) if read.any() else np.zeros(1, np.int64)


def _with_outputs(op: Op, kept: Kept) -> Op:
    assert isinstance(op, Convolve | Dense)
    weights: Any = op.weights[..., kept]
    return replace(op, weights=np.ascontiguousarray(weights), requantize=of_channels(op.requantize, kept))


def _with_inputs(op: Op, kept: Kept) -> Op:
    assert isinstance(op, Convolve | Dense)
    weights: Any = op.weights[..., kept, :]
    return replace(op, weights=np.ascontiguousarray(weights))
