"""The layers of a model as the rows that `inspect` shows, supported or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.integer_kernels import packed_bits
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.layers import LayerReader
from stq_deploy.frontend.source import FloatKernel
from stq_deploy.network.source_layer import InspectedLayer, Shape

NOT_REACHED = "not checked: an earlier layer is not supported"


def supported_row(layer: LayerConfig, reader: LayerReader, shape: Shape) -> InspectedLayer:
    """The row of a layer that its handler has read, with an output of this shape."""
    bits = [(_bits(kernel), kernel.values.size) for kernel in reader.kernels.values()]
    bits += [(kernel.bits, kernel.integers.size) for kernel in reader.integer_kernels.values()]
    return InspectedLayer(
        layer.name, layer.kind, tuple(shape for _, shape in reader.inputs), shape, reader.quantizers, reader.parameters,
        reader.macs, tuple(width for width, _ in bits), sum(-(-width * size // 8) for width, size in bits),
        floating=description(reader.float_error), half_precision="" if reader.policy == "float32" else reader.policy,
    )  # fmt: skip


def unsupported_row(layer: LayerConfig, inputs: tuple[Shape, ...], parameters: int, problem: str) -> InspectedLayer:
    """The row of a layer that cannot be converted, as far as its settings and arrays allow."""
    quantizers = dict(_stated_quantizers(layer.config))
    return InspectedLayer(layer.name, layer.kind, inputs, None, quantizers, parameters, problem=problem)


def description(error: StqError | None) -> str:
    """An error and its remedy, in one line."""
    if error is None:
        return ""
    return f"{error.what}; {error.next}" if error.next else error.what


def half_precision_remark(policies: Iterable[str | None]) -> str:
    """A note about the layers that Keras computes in 16 bits, or ""; takes each layer's policy."""
    found = [policy for policy in policies if policy]
    if not found:
        return ""
    names = ", ".join(sorted(set(found)))
    return (
        f"{len(found)} layers have the policy {names}: Keras computes them in 16 bits, network and float model here "
        "with the float32 weights as they are, so that Keras's own predictions may differ"
    )


def undecided_remark(layers: Iterable[tuple[str, int | None]]) -> str:
    """A note about (layer, undecided weights), or ""."""
    found = [f"{count} of {name}" for name, count in layers if count]
    if not found:
        return ""
    return (
        f"weights at a tie of rounding: {', '.join(found)}. Batch normalization is folded into them, by a square root "
        "whose last bits depend on TensorFlow's processor; here it is the nearest float32"
    )


def _bits(kernel: FloatKernel) -> int:
    return packed_bits(kernel.quantizer) if kernel.quantizer is not None else 8  # post-training quantization's


def _stated_quantizers(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if key.endswith("_quantizer"):
            kind = value.get("class_name") if isinstance(value, dict) else value
            if isinstance(kind, str):
                yield shown(key.removesuffix("_quantizer"))[1:-1], shown(kind)[1:-1]
