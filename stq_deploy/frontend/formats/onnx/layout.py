"""Where the channels of the model's input are: first, as in ONNX's convolutions, or last, as in TensorFlow."""

from __future__ import annotations

from stq_deploy.frontend.formats.onnx.graph import OnnxGraph, OnnxInput
from stq_deploy.frontend.formats.onnx.values import IMAGE_RANK, ROW_RANK

_TO_FIRST = {ROW_RANK: (0, 2, 1), IMAGE_RANK: (0, 3, 1, 2)}
_PASSED = frozenset(
    {
        *("Quant", "IntQuant", "BipolarQuant", "QuantizeLinear", "DequantizeLinear", "Identity", "Cast", "Relu"),
        *("Clip", "Add", "Sub", "Mul", "Div", "Dropout"),
    }
)


def is_channels_last(graph: OnnxGraph, given: OnnxInput) -> bool:
    """Whether the model itself transposes its input from channels last, before anything reads pixels.

    Exporters from TensorFlow put that Transpose behind the input; of a single channel, they put a Reshape there.
    """
    rank = len(given.shape)
    if rank not in _TO_FIRST:
        return False
    names = {given.name}
    for node in graph.nodes:
        if not node.inputs or node.inputs[0] not in names:
            continue
        if node.op == "Transpose":
            return node.attributes.get("perm") == _TO_FIRST[rank]
        if node.op == "Reshape":
            return _moves_one_channel(graph, node.inputs, given)
        if node.op not in _PASSED:
            return False
        names.update(node.outputs)
    return False


def _moves_one_channel(graph: OnnxGraph, inputs: tuple[str, ...], given: OnnxInput) -> bool:
    """Whether a Reshape turns (N, H, W, 1) into (N, 1, H, W)."""
    shape = graph.arrays.get(f"initializer/{inputs[1]}") if len(inputs) > 1 else None
    if shape is None or isinstance(shape, str) or shape.shape != (len(given.shape),):
        return False
    last, first = given.shape[-1], given.shape[1]
    return last == 1 and first != 1 and [int(n) for n in shape[1:]] == [1, *given.shape[1:-1]]
