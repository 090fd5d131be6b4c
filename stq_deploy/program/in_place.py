"""Which inputs a layer may write its output over: the contract of `stq_nn.h`, kernel by kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import AveragePool, Crop, ElementwiseOp, MaxPool, Op, PairTable, Table, Window
from stq_deploy.program.views import Views

_ELEMENTWISE = (Table, PairTable, ElementwiseOp)
"""Ops whose kernels read an element of every input before they write the one at its place, in ascending order."""


def replaceable_inputs(op: Op, network: Network, views: Views) -> tuple[str, ...]:
    """Inputs whose memory the output of `op` may take, from its beginning, if nothing reads them afterwards."""
    inputs, output = network.input_types(op), network.tensors[op.output]
    names = [name for i, name in enumerate(op.inputs) if _kernel_allows(op, i, inputs, output)]
    # Another input that has the same memory elsewhere would be overwritten before it is read.
    parts = [views.pieces[name] for name in op.inputs]
    return tuple(
        name for name in names if all(p == views.pieces[name] or not set(p) & set(views.pieces[name]) for p in parts)
    )


def _kernel_allows(op: Op, index: int, inputs: Sequence[TensorType], output: TensorType) -> bool:
    if isinstance(op, _ELEMENTWISE):
        return _element_bytes(output) <= _element_bytes(inputs[index])
    if isinstance(op, (MaxPool, AveragePool)):
        no_wider = _element_bytes(output) <= _element_bytes(inputs[0])
        return no_wider and _reads_ahead(op.window, inputs[0], output)
    return isinstance(op, Crop)


def _element_bytes(tensor: TensorType) -> int:
    return np.dtype(tensor.dtype).itemsize


def _reads_ahead(window: Window, x: TensorType, output: TensorType) -> bool:
    """Whether no window begins before the place of its own output, so that overwritten levels are not read again."""
    rows, columns = (
        np.maximum(np.arange(output.shape[i]) * window.stride[i] - window.pad_before[i], 0) for i in (0, 1)
    )
    first_read = rows[:, None] * x.shape[1] + columns
    written = np.arange(output.shape[0] * output.shape[1]).reshape(output.shape[:2])
    return bool((first_read >= written).all())
