"""The whole import: open the file, have its format check and translate it, quantize the weights."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.checked import CheckedModel
from stq_deploy.frontend.errors import located
from stq_deploy.frontend.fixed_types import StatedTypes
from stq_deploy.frontend.fold import folded_bias, folded_kernel
from stq_deploy.frontend.formats.interface import FileFacts, OpenedModel
from stq_deploy.frontend.integer_kernels import integer_kernel, undecided_biases, undecided_weights
from stq_deploy.frontend.layer_table import half_precision_remark
from stq_deploy.frontend.model_file import ModelFile, open_model_file
from stq_deploy.frontend.parsed import ParsedModel
from stq_deploy.frontend.quantizer_values import quantized_numbers, with_quantized_numbers
from stq_deploy.frontend.source import DepthwiseNode, FloatArray, IntegerKernel, SourceGraph
from stq_deploy.network.source_layer import InspectedLayer

ModelSource = str | os.PathLike[str] | ModelFile
"""A path, or a file that was read already, which is not read again."""


def check_model(source: ModelSource) -> CheckedModel:
    """Read and check a Keras or QKeras model file that is to be run unconverted; needs no TensorFlow.

    Raises:
        StqError: unreadable, damaged, of another format, or with a layer or setting that is not on the allow-list.
    """
    with _opened(source) as model:
        return model.check()


def parse_model(source: ModelSource, *, post_training: bool = False) -> ParsedModel:
    """Read and check a model file; needs no TensorFlow.

    Args:
        post_training: accept floating-point weights, as kernels without a quantizer.

    Raises:
        StqError: unreadable, damaged, or with a layer or setting that cannot be converted (the first one, named).
    """
    with _opened(source) as model:
        return model.parse(post_training=post_training)


def list_layers(source: ModelSource) -> tuple[str, FileFacts, list[InspectedLayer]]:
    """(model name, file facts, every layer with what is wrong with it); needs no TensorFlow.

    Unlike `parse_model` it continues after an unsupported layer.

    Raises:
        StqError: the file is unreadable or damaged.
    """
    with _opened(source) as model:
        listed = model.list_layers()
        return listed.name, model.facts, listed.rows


def half_precision_note(source: ModelSource) -> str:
    """The note about a model whose layers Keras computes in 16 bits; "" for others, and for a .stq network.

    Raises:
        StqError: as `list_layers`.
    """
    if not isinstance(source, ModelFile) and Path(source).suffix.lower() == ".stq":
        return ""
    return half_precision_remark(row.half_precision for row in list_layers(source)[2])


def read_source(source: ModelSource, *, post_training: bool = False, fixed: StatedTypes | None = None) -> SourceGraph:
    """Read, check and quantize a model file; needs no TensorFlow.

    Args:
        post_training: quantize floating-point weights to int8 per channel; without it they are an error.
        fixed: round floating-point weights and biases to these types instead.

    Raises:
        StqError: as `parse_model`.
    """
    parsed = parse_model(source, post_training=post_training or fixed is not None)
    try:
        kernels = parsed.integer_kernels | {
            at: integer_kernel(kernel, parsed.nodes[at].layer, isinstance(parsed.nodes[at], DepthwiseNode))
            for at, kernel in parsed.kernels.items()
        }
        biases = parsed.exact_biases | {
            at: quantized_numbers(folded_bias(bias), bias.quantizer, parsed.nodes[at].layer)
            for at, bias in parsed.biases.items()
        }
        if fixed is not None and not post_training:
            kernels |= _fixed_kernels(parsed, fixed)
            biases |= _fixed_biases(parsed, fixed)
        nodes = tuple(with_quantized_numbers(node, parsed.numbers.get(at, {})) for at, node in enumerate(parsed.nodes))
        undecided = _undecided(parsed)
    except StqError as error:
        raise located(error, str(path_of(source))) from error
    return SourceGraph(
        nodes,
        parsed.outputs,
        kernels,
        biases,
        parsed.name,
        parsed.file,
        tuple(replace(row, undecided=undecided[row.name]) for row in parsed.table),
        _float_weights(parsed) if post_training else {},
    )


def _float_weights(parsed: ParsedModel) -> dict[int, FloatArray]:
    """The kernels without a quantizer, as they are, in the shape of their nodes'."""
    return {
        at: folded_kernel(kernel, isinstance(parsed.nodes[at], DepthwiseNode)).reshape(kernel.shape)
        for at, kernel in parsed.kernels.items()
        if kernel.quantizer is None
    }


def _fixed_kernels(parsed: ParsedModel, fixed: StatedTypes) -> dict[int, IntegerKernel]:
    """The kernels without a quantizer, rounded to the types stated."""
    found, seen = {}, Counter[str]()
    for at, kernel in sorted(parsed.kernels.items()):
        node = parsed.nodes[at]
        depthwise = isinstance(node, DepthwiseNode)
        if kernel.quantizer is None:
            values = folded_kernel(kernel, depthwise).reshape(kernel.shape)
            found[at] = fixed.kernel(node.layer, seen[node.layer], values, depthwise)
        seen[node.layer] += 1
    return found


def _fixed_biases(parsed: ParsedModel, fixed: StatedTypes) -> dict[int, npt.NDArray[np.float64]]:
    """The biases of layers whose kernels have no quantizer, rounded to the types stated."""
    plain = {parsed.nodes[at].layer for at, kernel in parsed.kernels.items() if kernel.quantizer is None}
    return {
        at: fixed.bias(parsed.nodes[at].layer, folded_bias(bias))
        for at, bias in parsed.biases.items()
        if bias.quantizer is None and parsed.nodes[at].layer in plain
    }


def _undecided(parsed: ParsedModel) -> Counter[str]:
    """Numbers by layer that TensorFlow may quantize otherwise on another processor."""
    found: Counter[str] = Counter()
    for at, kernel in parsed.kernels.items():
        node = parsed.nodes[at]
        found[node.layer] += undecided_weights(kernel, node.layer, isinstance(node, DepthwiseNode))
    for at, bias in parsed.biases.items():
        found[parsed.nodes[at].layer] += undecided_biases(bias, parsed.nodes[at].layer)
    return found


@contextmanager
def _opened(source: ModelSource) -> Iterator[OpenedModel]:
    """The file's content; every StqError within names the file."""
    file = source if isinstance(source, ModelFile) else open_model_file(Path(source))
    try:
        yield file.model
    except StqError as error:
        raise located(error, str(file.path)) from error


def path_of(source: ModelSource) -> Path:
    """Path of the file, at the time it was read."""
    return source.path if isinstance(source, ModelFile) else Path(source)
