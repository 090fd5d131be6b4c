"""Sliding windows: convolutions and pools, with ONNX's padding."""

from __future__ import annotations

import math

from stq_deploy.frontend.formats.onnx.operators import register
from stq_deploy.frontend.formats.onnx.reader import NodeReader
from stq_deploy.frontend.formats.onnx.values import IMAGE_RANK, OnnxValue, Tensor
from stq_deploy.frontend.formats.onnx.weights import add_bias, weights_of
from stq_deploy.frontend.source import (
    AveragePoolNode,
    BiasNode,
    ConvolveNode,
    DepthwiseNode,
    MaxPoolNode,
    PadNode,
)
from stq_deploy.network.ops import Window

_LARGEST = 1 << 15


def _pair(reader: NodeReader, name: str, rank: int, default: int = 1) -> tuple[int, int]:
    """An attribute with a number for each spatial axis, as (vertical, horizontal)."""
    values = reader.wholes(name, (default,) * (rank - 2))
    if values is None or len(values) != rank - 2 or any(not 0 < n <= _LARGEST for n in values):
        reader.damaged(f"its {name} is not {rank - 2} numbers from 1 to {_LARGEST}")
    return (values[0], values[1]) if rank == IMAGE_RANK else (default, values[0])


def _window(reader: NodeReader, rank: int, size: tuple[int, int], image: tuple[int, int]) -> Window:
    """The window of a convolution or pool over an image of this (height, width)."""
    stride, dilation = _pair(reader, "strides", rank), _pair(reader, "dilations", rank)
    spatial = rank - 2
    pads = reader.wholes("pads", (0,) * (2 * spatial))
    auto = reader.text("auto_pad", "NOTSET")
    if pads is None or len(pads) != 2 * spatial or any(not 0 <= n <= _LARGEST for n in pads):
        raise reader.error("its pads are not a number from 0 up for each side", "pad by 0 or more")
    before, after = _sides(pads[:spatial]), _sides(pads[spatial:])
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        before, after = Window.same_padding(image, size, stride, dilation)
        if auto == "SAME_LOWER":
            before, after = after, before
    elif auto == "VALID":
        before, after = (0, 0), (0, 0)
    elif auto != "NOTSET":
        reader.damaged(f"auto_pad={auto[:40]}")
    window = Window(size, stride, dilation, before, after)
    if any(n < 1 for n in window.output_size(*image)):
        raise reader.error(f"its window {size} is larger than the padded image {image}", "use a smaller window")
    return window


def _sides(values: tuple[int, ...]) -> tuple[int, int]:
    return (values[0], values[1]) if len(values) > 1 else (0, values[0])


def _onnx_shape(rank: int, channels: int, size: tuple[int, int]) -> tuple[int, ...]:
    return (1, channels, *size) if rank == IMAGE_RANK else (1, channels, size[1])


@register("Conv", becomes=(ConvolveNode, DepthwiseNode, BiasNode))
def read_convolution(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """1-D and 2-D, with groups; of one input channel a group it is depthwise. Weights and bias are constants."""
    reader.at_most(3)
    tensor, (height, width, channels) = reader.image()
    rank = len(tensor.shape)
    weights = weights_of(reader, 1)
    shape, groups = weights.shape, reader.whole("group", 1)
    if len(shape) != rank or groups < 1 or channels != shape[1] * groups or shape[0] % groups:
        reader.damaged(f"its weights of shape {shape} do not fit {channels} channels in {groups} groups")
    size = (shape[2], shape[3]) if rank == IMAGE_RANK else (1, shape[2])
    stated = reader.wholes("kernel_shape")
    if stated is not None and stated != shape[2:]:
        reader.damaged(f"kernel_shape={stated} with weights of shape {shape}")
    window = _window(reader, rank, size, (height, width))
    filters, stored = shape[0], (*window.output_size(height, width), shape[0])
    depthwise = groups == channels and channels > 1
    if depthwise:
        at = reader.add(DepthwiseNode(reader.name, (tensor.position,), stored, window))
        moved = weights.moved(lambda array: array.reshape(channels, filters // channels, *size).transpose(2, 3, 0, 1))
        reader.kernel(at, moved.kernel(reader, 2))
    else:
        at = reader.add(ConvolveNode(reader.name, (tensor.position,), stored, window))
        moved = weights.moved(lambda array: array.reshape(filters, shape[1], *size).transpose(2, 3, 1, 0))
        reader.kernel(at, moved.kernel(reader, 1))
    reader.macs = stored[0] * stored[1] * math.prod(shape)
    at = add_bias(reader, at, 2, filters)
    return (reader.image_result(at, _onnx_shape(rank, filters, stored[:2])),)


@register("MaxPool", "GlobalMaxPool", becomes=(MaxPoolNode,))
def read_max_pool(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Padding never is the largest value. The indices of the largest values are not read."""
    tensor, (height, width, channels) = reader.image(levels=True)
    rank = len(tensor.shape)
    if len(reader.node.outputs) > 1 and reader.node.outputs[1]:
        raise reader.error("it returns the indices of the largest values", "return the values alone")
    reader.fixed("storage_order", 0, "export with storage_order=0")
    window = _pool_window(reader, rank, (height, width))
    size = window.output_size(height, width)
    at = reader.add(MaxPoolNode(reader.name, (tensor.position,), (*size, channels), window))
    return (reader.leveled(reader.image_result(at, _onnx_shape(rank, channels, size)), tensor.levels),)


@register("AveragePool", becomes=(AveragePoolNode, PadNode))
@register("GlobalAveragePool", becomes=(AveragePoolNode,))
def read_average_pool(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """With count_include_pad, the zeros are put around the image first."""
    tensor, (height, width, channels) = reader.image()
    rank, position = len(tensor.shape), tensor.position
    window = _pool_window(reader, rank, (height, width))
    size = window.output_size(height, width)
    if reader.whole("count_include_pad", 0) and any((*window.pad_before, *window.pad_after)):
        height, width = (
            n + b + a for n, b, a in zip((height, width), window.pad_before, window.pad_after, strict=True)
        )
        padded = PadNode(reader.name, (position,), (height, width, channels), window.pad_before, window.pad_after)
        position, window = reader.add(padded), Window(window.size, window.stride)
    at = reader.add(AveragePoolNode(reader.name, (position,), (*size, channels), window))
    return (reader.image_result(at, _onnx_shape(rank, channels, size)),)


def _pool_window(reader: NodeReader, rank: int, image: tuple[int, int]) -> Window:
    if reader.node.op.startswith("Global"):
        return Window(image)
    window = _window(reader, rank, _pair(reader, "kernel_shape", rank), image)
    if window.dilation != (1, 1):
        raise reader.error(f"dilations={window.dilation} is not supported", "pool without gaps")
    sides = zip(window.pad_before, window.pad_after, window.size, strict=True)
    if any(b >= k or a >= k for b, a, k in sides):
        raise reader.error("a window lies wholly in the padding", "pad by less than the window's size")
    if reader.whole("ceil_mode", 0) and not _divides(window, image):
        raise reader.error(
            "ceil_mode=1 adds windows that leave the image", "use ceil_mode=0, or an image that the windows fill"
        )
    return window


def _divides(window: Window, image: tuple[int, int]) -> bool:
    """Whether rounding the number of windows up or down makes no difference."""
    sides = zip(image, window.pad_before, window.pad_after, window.size, window.stride, strict=True)
    return all((n + b + a - k) % s == 0 for n, b, a, k, s in sides)


@register("ReduceMean", becomes=(AveragePoolNode,))
def read_mean(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Over height and width: the global average."""
    tensor, (height, width, channels) = reader.image()
    rank = len(tensor.shape)
    axes = reader.integers(1) if reader.has(1) else reader.wholes("axes")
    reader.fixed("noop_with_empty_axes", 0, "name the axes")
    if axes is None or sorted(a % rank for a in axes if -rank <= a < rank) != list(range(2, rank)):
        raise reader.error(f"axes={axes} is not supported", "average over height and width: axes=[2, 3]")
    at = reader.add(AveragePoolNode(reader.name, (tensor.position,), (1, 1, channels), Window((height, width))))
    found: Tensor = reader.image_result(at, _onnx_shape(rank, channels, (1, 1)))
    return (found if reader.whole("keepdims", 1) else found.under(found.index.reshape(1, channels)),)
