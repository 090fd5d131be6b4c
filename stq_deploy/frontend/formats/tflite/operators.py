"""The operators that are read: each handler checks one and makes its nodes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.formats.tflite import arithmetic
from stq_deploy.frontend.formats.tflite.errors import damaged
from stq_deploy.frontend.formats.tflite.graph import TfliteTensor
from stq_deploy.frontend.formats.tflite.walk import OperatorReader, TfliteHandler
from stq_deploy.frontend.integer_functions import IntegerFunction, Integers, RoundedMean, RoundedProduct
from stq_deploy.frontend.quantizers import stated_quantizer
from stq_deploy.frontend.source import (
    AddNode,
    AffineNode,
    AveragePoolNode,
    BiasNode,
    ClipNode,
    CombineNode,
    ConcatenateNode,
    ConvolveNode,
    DenseNode,
    DepthwiseNode,
    FloatBias,
    FunctionNode,
    IntegerNode,
    IntegerSumNode,
    IntegerTableNode,
    LeakyNode,
    MaxPoolNode,
    MultiplyNode,
    PadNode,
    PassNode,
    QuantizeNode,
    SoftmaxNode,
    SubtractNode,
)
from stq_deploy.network.ops import Window

_WEIGHTS = ("int8", "int4", "float32")
_LARGEST_SUM = 2**31 - 1

# Weights


def _convolve(step: OperatorReader) -> None:
    x, weights = step.value(), step.constant(1, "its weights", *_WEIGHTS)
    image = step.image(x)
    outputs, height, width, inputs = _four(weights)
    if inputs == 0 or image[2] % inputs or outputs % (image[2] // inputs):
        raise damaged(f"operator {step.operator.index} weighs {inputs} of {image[2]} channels")
    dilation = step.option("dilation_h"), step.option("dilation_w")
    window = step.window(image, (height, width), dilation)
    assert weights.data is not None
    n = step.add(ConvolveNode, (x,), (*step.shape[:2], outputs), window=window)
    step.weigh(n, weights, weights.data.transpose(1, 2, 3, 0))
    _finish(step, n, weights, outputs)


def _depthwise(step: OperatorReader) -> None:
    x, weights = step.value(), step.constant(1, "its weights", *_WEIGHTS)
    image = step.image(x)
    one, height, width, outputs = _four(weights)
    if one != 1 or outputs % image[2]:
        raise damaged(f"operator {step.operator.index} has {outputs} outputs of {image[2]} channels")
    dilation = step.option("dilation_h"), step.option("dilation_w")
    window = step.window(image, (height, width), dilation)
    assert weights.data is not None
    n = step.add(DepthwiseNode, (x,), (*step.shape[:2], outputs), window=window)
    step.weigh(n, weights, weights.data.reshape(height, width, image[2], outputs // image[2]), depthwise=True)
    _finish(step, n, weights, outputs)


def _fully_connected(step: OperatorReader) -> None:
    x, weights = step.value(), step.constant(1, "its weights", *_WEIGHTS)
    if step.option("weights_format"):
        raise step.error("its weights are shuffled for one processor", "convert the model again, without that")
    if len(weights.shape) != 2:
        raise damaged(f"operator {step.operator.index} has weights of the shape {list(weights.shape)}")
    outputs, inputs = weights.shape
    size = math.prod(step.node_shape(x))
    if inputs == 0 or size % inputs:
        raise damaged(f"operator {step.operator.index} weighs {inputs} of {size} numbers")
    assert weights.data is not None
    rows = size // inputs
    if rows == 1:
        n = step.add(DenseNode, (step.reshaped(x, (inputs,)),), (outputs,))
        step.weigh(n, weights, weights.data.T)
    else:  # the same weights for each of several rows
        n = step.add(ConvolveNode, (step.reshaped(x, (1, rows, inputs)),), (1, rows, outputs), window=Window((1, 1)))
        step.weigh(n, weights, weights.data.T.reshape(1, 1, inputs, outputs))
    _finish(step, n, weights, outputs)


def _four(weights: TfliteTensor) -> tuple[int, int, int, int]:
    if len(weights.shape) != 4:
        raise damaged(f"the weights of a convolution have the shape {list(weights.shape)}")
    return weights.shape[0], weights.shape[1], weights.shape[2], weights.shape[3]


def _finish(step: OperatorReader, n: int, weights: TfliteTensor, outputs: int) -> None:
    """Bias, activation and levels after the sum of node n."""
    activation = step.activation()
    shape = step.node_shape(n)
    if step.is_float:
        if weights.type != "float32":
            step.need_calibration()
        if step.tensor(2) is not None:
            values = _vector(step.constant(2, "its bias", "float32"), outputs)
            n = step.add(BiasNode, (n,), shape)
            step.walk.biases[n] = FloatBias(values.astype(np.float32), None)
            step.count(outputs)
        step.give(step.reshaped(step.clipped(n, activation), step.shape))
        return
    if weights.type == "float32":
        raise step.error("its weights are floating-point numbers, its values integers", "convert the model again")
    bias = np.zeros(outputs, np.int64)
    if step.tensor(2) is not None:
        bias = _vector(step.constant(2, "its bias", "int32", "int64"), outputs).astype(np.int64)
        step.count(outputs)
    if np.abs(bias).max(initial=0) > _LARGEST_SUM:
        raise damaged(f"a bias of operator {step.operator.index} does not fit 32 bits")
    x = step.tensor(0)
    assert x is not None
    source, output = step.grid(x), step.grid(step.output)
    scales = step.weight_scales(weights, outputs)
    dense = step.operator.kind == "FULLY_CONNECTED"
    ratios = arithmetic.sum_ratios(source.scale, scales, output.scale, dense=dense and len(weights.scale) == 1)
    function = arithmetic.product(ratios, bias, output.zero_point, once=dense)
    n = step.add(IntegerNode, (n,), shape, function=function, levels=output.stated(activation))
    step.give(step.reshaped(n, step.shape))


def _vector(tensor: TfliteTensor, count: int) -> npt.NDArray[np.generic]:
    assert tensor.data is not None
    if tensor.data.size != count:
        raise damaged(f"a bias has {tensor.data.size} numbers for {count} channels")
    return tensor.data.reshape(count)


# Pools


def _average_pool(step: OperatorReader) -> None:
    x = step.value()
    window = step.window(step.image(x), (step.option("filter_h"), step.option("filter_w")))
    _mean(step, x, window, step.activation())


def _mean(step: OperatorReader, x: int, window: Window, activation: str) -> None:
    image = step.image(x)
    n = step.add(AveragePoolNode, (x,), (*window.output_size(*image[:2]), image[2]), window=window)
    if step.is_float:
        step.need_calibration()
        step.give(step.reshaped(step.clipped(n, activation), step.shape))
        return
    tensor = step.tensor(0)
    assert tensor is not None
    if step.operator.kind == "MEAN":
        function = _mean_function(step, tensor, image[0] * image[1])
    else:
        units = math.lcm(*np.unique(window.count(*image[:2])).tolist())
        function = RoundedMean(units, step.same_grid(tensor).zero_point)
    levels = step.grid(step.output).stated(activation)
    n = step.add(IntegerNode, (n,), step.node_shape(n), function=function, levels=levels)
    step.give(step.reshaped(n, step.shape))


def _mean_function(step: OperatorReader, x: TfliteTensor, count: int) -> IntegerFunction:
    """MEAN divides by multiplying: the ratio of scales over the count, rounded down at a power of two near it."""
    source, output = step.grid(x), step.grid(step.output)
    multiplier, shift = arithmetic.quantized_multiplier(source.scale / output.scale)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    multiplier, shift = (multiplier << extra) // count, shift - extra
    one: Integers = np.ones(step.shape[-1], np.int64)
    return RoundedProduct(one * multiplier, one * shift, one * 0, output.zero_point)


def _reduce_mean(step: OperatorReader) -> None:
    x, axes = step.value(), step.constant(1, "its axes", "int32")
    assert axes.data is not None
    tensor = step.tensor(0)
    assert tensor is not None
    rank = len(tensor.shape)
    chosen = {int(axis) % rank if -rank <= axis < rank else -1 for axis in axes.data.reshape(-1)}
    if chosen != set(range(1, rank - 1)) or rank not in (3, 4):
        raise step.error(
            f"it takes the mean over the axes {sorted(chosen)} of {rank}",
            "take it over all of an image, as GlobalAveragePooling2D does",
        )
    image = step.node_shape(x)
    if len(image) == 2:
        image = (1, *image)
        x = step.reshaped(x, image)
    _mean(step, x, Window((image[0], image[1])), "")


def _max_pool(step: OperatorReader) -> None:
    x = step.value()
    window = step.window(step.image(x), (step.option("filter_h"), step.option("filter_w")))
    activation = step.activation()
    n = step.add(MaxPoolNode, (x,), step.shape, window=window)
    if step.is_float:
        step.need_calibration()
        step.give(step.clipped(n, activation))
        return
    tensor = step.tensor(0)
    assert tensor is not None
    grid = step.same_grid(tensor)
    step.give(_table(step, n, arithmetic.rescaled_table(grid, grid, grid.stated(activation), 1.0)) if activation else n)


# Two tensors


def _add(step: OperatorReader) -> None:
    _sum(step, AddNode, 1)


def _subtract(step: OperatorReader) -> None:
    _sum(step, SubtractNode, -1)


def _sum(step: OperatorReader, kind: type[CombineNode], sign: int) -> None:
    if step.is_float:
        _float_pair(step, kind, sign)
        return
    a, b = _same_shapes(step)
    grids = [step.grid(tensor) for tensor in (step.tensor(0), step.tensor(1)) if tensor is not None]
    output = step.grid(step.output)
    function = arithmetic.scaled_sum(grids[0], grids[1], output, sign)
    n = step.add(IntegerSumNode, (a, b), step.shape, function=function, levels=output.stated(step.activation()))
    step.give(n)


def _multiply(step: OperatorReader) -> None:
    if step.is_float:
        _float_pair(step, MultiplyNode, 0)
        return
    a, b = _same_shapes(step)
    grids = [step.grid(tensor) for tensor in (step.tensor(0), step.tensor(1)) if tensor is not None]
    output = step.grid(step.output)
    ratio = arithmetic.product_ratio(grids[0].scale, grids[1].scale, output.scale)
    full = np.ones(step.shape[-1], np.int64)
    function = arithmetic.product(np.full(step.shape[-1], ratio), full * 0, output.zero_point)
    n = step.add(MultiplyNode, (a, b), step.shape)
    n = step.add(IntegerNode, (n,), step.shape, function=function, levels=output.stated(step.activation()))
    step.give(n)


def _same_shapes(step: OperatorReader) -> tuple[int, int]:
    """The nodes of both inputs.

    Raises:
        StqError: one is a constant, or they are of different shapes.
    """
    a, b = step.value(0), step.value(1)
    if step.node_shape(a) != step.node_shape(b):
        raise step.error(
            f"its inputs have the shapes {list(step.node_shape(a))} and {list(step.node_shape(b))}",
            "give both the same shape: one is not repeated along an axis",
        )
    return a, b


def _float_pair(step: OperatorReader, kind: type[CombineNode], sign: int) -> None:
    """A sum, difference or product in floating point; a constant of one number a channel is a factor or an offset."""
    activation = step.activation()
    step.need_calibration()
    constants = [i for i in (0, 1) if (tensor := step.tensor(i)) is not None and tensor.data is not None]
    if not constants:
        n = step.add(kind, _same_shapes(step), step.shape)
    else:
        (at, *others) = constants
        if others:
            raise step.error("both its inputs are constants", "let the converter fold constants")
        x = step.value(1 - at)
        stored = step.constant(at, "its numbers", "float32")
        assert stored.data is not None
        channels = step.node_shape(x)[-1]
        if stored.data.size not in (1, channels) or (stored.data.size > 1 and stored.shape[-1] != channels):
            raise step.error(
                f"its constant has the shape {list(stored.shape)}", f"give one number, or one for each of {channels}"
            )
        numbers = tuple(Fraction(float(v)) for v in stored.data.reshape(-1))
        factor, offset = _affine(numbers, sign, at)
        n = step.add(AffineNode, (x,), step.node_shape(x), factor=factor, offset=offset)
        step.count(len(numbers))
    step.give(step.clipped(n, activation))


def _affine(numbers: tuple[Fraction, ...], sign: int, at: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """(factor, offset) of x times, plus or minus the numbers, which are operand `at`."""
    if sign == 0:
        return numbers, (Fraction(0),) * len(numbers)
    own = Fraction(sign if at == 0 else 1)  # in `numbers - x`, x has the sign
    other = Fraction(1 if at == 0 else sign)
    return (own,) * len(numbers), tuple(other * v for v in numbers)


# One tensor


def _table(step: OperatorReader, n: int, table: arithmetic.LevelTable, function: str = "") -> int:
    source, output = (grid.stated() for grid in _grids(step))
    return step.add(
        IntegerTableNode, (n,), step.node_shape(n), table=table, source=source, levels=output, function=function
    )


def _rectify(step: OperatorReader) -> None:
    x, kind = step.value(), step.operator.kind
    if step.is_float:
        step.need_calibration()
        step.give(step.clipped(x, kind))
        return
    source, output = _grids(step)
    ratio = float(np.float32(source.scale) / np.float32(output.scale))
    step.give(_table(step, x, arithmetic.rescaled_table(source, output, output.stated(kind), ratio)))


def _leaky(step: OperatorReader) -> None:
    x, alpha = step.value(), float(step.operator.options["alpha"])
    if not 0 < alpha <= 1:
        raise step.error(f"its slope is {alpha:g}", "use a slope above 0, at most 1")
    if step.is_float:
        step.need_calibration()
        step.give(step.add(LeakyNode, (x,), step.shape, slope=Fraction(alpha)))
        return
    step.give(_table(step, x, arithmetic.leaky_table(*_grids(step), alpha)))


def _curve(step: OperatorReader) -> None:
    x = step.value()
    name = {"LOGISTIC": "sigmoid", "TANH": "tanh"}[step.operator.kind]
    if step.is_float:
        step.need_calibration()
        step.give(step.add(FunctionNode, (x,), step.shape, function=name))
        return
    source, output = _grids(step)
    curve = arithmetic.sigmoid if name == "sigmoid" else arithmetic.tanh
    step.give(_table(step, x, arithmetic.curve_table(source, output, curve), name))


def _grids(step: OperatorReader) -> tuple[arithmetic.LevelGrid, arithmetic.LevelGrid]:
    x = step.tensor(0)
    assert x is not None
    return step.grid(x), step.grid(step.output)


def _softmax(step: OperatorReader) -> None:
    x, beta = step.value(), float(step.operator.options["beta"])
    if beta != 1:
        raise step.error(f"its factor beta is {beta:g}", "use a softmax of factor 1")
    if step.is_float:
        step.need_calibration()
    elif step.operator.outputs[0] not in step.walk.graph.outputs:
        raise step.error(
            "a softmax of int8 levels inside the model is not supported",
            "give the float model with --post-training int8",
        )
    step.give(step.add(SoftmaxNode, (x,), step.shape))


def _quantize(step: OperatorReader) -> None:
    x, source = step.value(), step.tensor(0)
    assert source is not None
    if step.output.type != "int8":
        if source.type == "int8" and step.operator.outputs[0] in step.walk.graph.outputs:
            return _to_unsigned(step, x, source)
        raise step.error(f"it makes levels of the type {step.output.type}", "convert the model to int8")
    output = step.grid(step.output)
    if source.type == "float32":
        if x != 0:
            raise step.error("it quantizes floating-point numbers inside the model", "convert the whole model to int8")
        quantizer = stated_quantizer(-128 - output.zero_point, 127 - output.zero_point, Fraction(output.scale))
        step.give(step.add(QuantizeNode, (x,), step.shape, quantizer=quantizer))
        return None
    if source.type == "uint8":
        own = step.grid(source)
        if own != arithmetic.LevelGrid(output.scale, output.zero_point + 128):
            raise step.error("it changes the scale of the input's bytes", "convert the model with an int8 input")
        step.give(x)
        return None
    own = step.grid(source)
    table = arithmetic.rescaled_table(own, output, output.stated(), own.scale / output.scale)
    step.give(x if own == output else _table(step, x, table))
    return None


def _to_unsigned(step: OperatorReader, x: int, source: TfliteTensor) -> None:
    own, output = step.grid(source), step.grid(step.output)
    if output != arithmetic.LevelGrid(own.scale, own.zero_point + 128):
        raise step.error("it changes the scale of the output's bytes", "convert the model with an int8 output")
    step.give(step.add(PassNode, (x,), step.shape, reason="the same levels, counted from 0"))


def _dequantize(step: OperatorReader) -> None:
    x, source = step.value(), step.tensor(0)
    assert source is not None
    if source.type != "int8" or step.operator.outputs[0] not in step.walk.graph.outputs:
        raise step.error(
            "it makes floating-point numbers inside the model",
            "convert the whole model to int8, with its last operator",
        )
    step.give(step.add(PassNode, (x,), step.shape, reason="the numbers that the levels stand for"))


# Movements


def _reshape(step: OperatorReader) -> None:
    x = step.value()
    if step.is_float:
        step.need_calibration()
    else:
        tensor = step.tensor(0)
        assert tensor is not None
        step.same_grid(tensor)
    step.give(step.reshaped(x, step.shape))


def _pad(step: OperatorReader) -> None:
    x, amounts = step.value(), step.constant(1, "its sizes", "int32", "int64")
    image = step.image(x)
    assert amounts.data is not None
    if amounts.shape != (4, 2) or (amounts.data < 0).any() or (amounts.data > max(step.shape)).any():
        raise damaged(f"operator {step.operator.index} pads by {amounts.data.reshape(-1)[:8].tolist()}")
    around = amounts.data.tolist()
    if any(around[0]) or any(around[3]):
        raise step.error("it pads samples or channels", "pad rows and columns")
    if not step.is_float:
        tensor = step.tensor(0)
        assert tensor is not None
        step.same_grid(tensor)
    if step.operator.kind == "PADV2":
        _check_filling(step)
    before, after = ((around[1][i], around[2][i]) for i in (0, 1))
    shape = (image[0] + before[0] + after[0], image[1] + before[1] + after[1], image[2])
    step.give(step.add(PadNode, (x,), shape, before=before, after=after))


def _check_filling(step: OperatorReader) -> None:
    """Check that the padding stands for 0."""
    filling = step.constant(2, "its filling", "float32", "int8")
    assert filling.data is not None
    zero = 0 if step.is_float else step.grid(step.output).zero_point
    if filling.data.size != 1 or filling.data.reshape(-1)[0] != zero:
        raise step.error("it pads with other numbers than 0", "pad with 0")


def _concatenate(step: OperatorReader) -> None:
    if step.activation():
        raise step.error("its activation is fused", "apply the activation before the concatenation")
    inputs = tuple(step.value(i) for i in range(len(step.operator.inputs)))
    rank = len(step.output.shape)
    axis = step.option("axis")
    axis = axis + rank if axis < 0 else axis
    if not 1 <= axis < rank:
        raise step.error(f"it joins along the axis {step.option('axis')}", "join samples' own axes")
    if step.is_float:
        step.need_calibration()
    else:
        for i in range(len(inputs)):
            tensor = step.tensor(i)
            assert tensor is not None
            step.same_grid(tensor)
    shapes = [step.node_shape(n) for n in inputs]
    others = {(*shape[: axis - 1], *shape[axis:]) for shape in shapes if len(shape) == rank - 1}
    if len(others) != 1 or any(len(shape) != rank - 1 for shape in shapes):
        raise damaged(f"operator {step.operator.index} joins the shapes {shapes[:4]}")
    joined = sum(shape[axis - 1] for shape in shapes)
    shape = (*shapes[0][: axis - 1], joined, *shapes[0][axis:])
    step.give(step.add(ConcatenateNode, inputs, shape, axis=axis - 1) if len(inputs) > 1 else inputs[0])


def _steps(*nodes: type) -> tuple[str, ...]:
    return tuple(node.__name__.removesuffix("Node") for node in nodes)


_WEIGHTED = _steps(BiasNode, ClipNode)
_MOVES = ("Reshape",)
HANDLERS: dict[str, TfliteHandler] = {
    "CONV_2D": TfliteHandler(_convolve, ("Convolve", *_WEIGHTED), ("Convolve", "Integer")),
    "DEPTHWISE_CONV_2D": TfliteHandler(_depthwise, ("Depthwise", *_WEIGHTED), ("Depthwise", "Integer")),
    "FULLY_CONNECTED": TfliteHandler(
        _fully_connected, ("Dense", "Convolve", *_WEIGHTED), ("Dense", "Convolve", "Integer")
    ),
    "AVERAGE_POOL_2D": TfliteHandler(_average_pool, ("AveragePool", "Clip"), ("AveragePool", "Integer")),
    "MEAN": TfliteHandler(_reduce_mean, ("AveragePool",), ("AveragePool", "Integer")),
    "MAX_POOL_2D": TfliteHandler(_max_pool, ("MaxPool", "Clip"), ("MaxPool", "IntegerTable")),
    "ADD": TfliteHandler(_add, ("Add", "Affine", "Clip"), ("IntegerSum",)),
    "SUB": TfliteHandler(_subtract, ("Subtract", "Affine", "Clip"), ("IntegerSum",)),
    "MUL": TfliteHandler(_multiply, ("Multiply", "Affine", "Clip"), ("Multiply", "Integer")),
    "RELU": TfliteHandler(_rectify, ("Clip",), ("IntegerTable",)),
    "RELU6": TfliteHandler(_rectify, ("Clip",), ("IntegerTable",)),
    "RELU_N1_TO_1": TfliteHandler(_rectify, ("Clip",), ("IntegerTable",)),
    "LEAKY_RELU": TfliteHandler(_leaky, ("Leaky",), ("IntegerTable",)),
    "LOGISTIC": TfliteHandler(_curve, ("Function",), ("IntegerTable",)),
    "TANH": TfliteHandler(_curve, ("Function",), ("IntegerTable",)),
    "SOFTMAX": TfliteHandler(_softmax, ("Softmax",), ("Softmax",)),
    "QUANTIZE": TfliteHandler(_quantize, ("Quantize",), ("Quantize", "IntegerTable", "Pass")),
    "DEQUANTIZE": TfliteHandler(_dequantize, ("Pass",), ("Pass",)),
    "RESHAPE": TfliteHandler(_reshape, _MOVES, _MOVES),
    "SQUEEZE": TfliteHandler(_reshape, _MOVES, _MOVES),
    "EXPAND_DIMS": TfliteHandler(_reshape, _MOVES, _MOVES),
    "PAD": TfliteHandler(_pad, ("Pad",), ("Pad",)),
    "PADV2": TfliteHandler(_pad, ("Pad",), ("Pad",)),
    "CONCATENATION": TfliteHandler(_concatenate, ("Concatenate",), ("Concatenate",)),
}
"""Operator -> its handler."""
