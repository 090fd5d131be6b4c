"""A model file as Keras computes it in float32: the checked nodes, with weights as numbers and not as integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import located
from stq_deploy.frontend.fold import folded_bias, folded_kernel
from stq_deploy.frontend.importer import ModelSource, parse_model, path_of
from stq_deploy.frontend.quantizer_arithmetic import quantize
from stq_deploy.frontend.quantizer_values import with_quantized_numbers
from stq_deploy.frontend.quantizers import Quantizer, trainable
from stq_deploy.frontend.source import DepthwiseNode, FloatArray, Node


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A checked model, quantized or not.

    Attributes:
        nodes, outputs: as in `SourceGraph`.
        weights: position -> kernel or bias, float32, after its quantizer; shaped as in `SourceGraph`.
        name: the model's name. Untrusted text.
        file: `{"name", "sha256", "format"}` of the model file.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    weights: dict[int, FloatArray]
    name: str
    file: dict[str, str]


def read_float_graph(source: ModelSource) -> FloatGraph:
    """Read and check a model file; weights that it stores as integers are taken as the numbers they stand for.

    Raises:
        StqError: unreadable, damaged, or with a layer or setting that is not on the allow-list.
    """
    parsed = parse_model(source, post_training=True)
    weights: dict[int, FloatArray] = {}
    for at, kernel in parsed.kernels.items():
        values = folded_kernel(kernel, isinstance(parsed.nodes[at], DepthwiseNode))
        weights[at] = _quantized(values, kernel.quantizer and trainable(kernel.quantizer)).reshape(kernel.shape)
    for at, bias in parsed.biases.items():
        weights[at] = _quantized(folded_bias(bias), bias.quantizer)
    for at, stored in parsed.integer_kernels.items():
        scale = stored.scale
        if isinstance(parsed.nodes[at], DepthwiseNode):
            scale = scale.reshape(stored.integers.shape[-2:])
        weights[at] = (stored.integers * scale).astype(np.float32)
    weights |= {at: numbers.astype(np.float32) for at, numbers in parsed.exact_biases.items()}
    try:
        nodes = tuple(with_quantized_numbers(node, parsed.numbers.get(at, {})) for at, node in enumerate(parsed.nodes))
    except StqError as error:
        raise located(error, str(path_of(source))) from error
    return FloatGraph(nodes, parsed.outputs, weights, parsed.name, parsed.file)


def _quantized(values: FloatArray, quantizer: Quantizer | None) -> FloatArray:
    return values if quantizer is None else quantize(values, quantizer).values.astype(np.float32)
