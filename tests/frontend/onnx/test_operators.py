"""Each operator against onnx's own reference evaluator, and what is refused; no network is made here."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import list_layers, read_source
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.network.output import real_values
from stq_deploy.network.reference import run
from stq_deploy.pipeline import convert_model

onnx = pytest.importorskip("onnx")

RNG = np.random.default_rng(1)
QONNX = "qonnx.custom_op.general"
Graph = Callable[["Draft"], str]


class Draft:
    """An ONNX graph in the making: float32 input "x", whose shape has a batch of 1."""

    def __init__(self, shape: tuple[int, ...], opset: int = 19) -> None:
        self.shape, self.opset = shape, opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def c(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def w(self, *shape: int) -> str:
        """Weights that are small integers times 1/4, as DequantizeLinear gives them."""
        integers = self.c(np.random.default_rng(len(self.nodes)).integers(-3, 4, shape), np.int8)
        return self.n("DequantizeLinear", integers, self.c(0.25), self.c(0, np.int8))

    def n(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op, inputs, [name], domain=domain, **attributes))
        return name

    def model(self, output: str, kind: int = 1) -> Any:
        h = onnx.helper
        graph = h.make_graph(
            self.nodes, "g", [h.make_tensor_value_info("x", kind, self.shape)],
            [h.make_tensor_value_info(output, 1, None)], self.constants,
        )  # fmt: skip
        domains = [h.make_opsetid("", self.opset), h.make_opsetid(QONNX, 1)]
        return h.make_model(graph, opset_imports=domains, ir_version=10)


def to_last(x: Any) -> Any:
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def ours_and_theirs(path: Path, draft: Draft, output: str, *, last: bool = False) -> tuple[Any, Any]:
    """Outputs of our graph in float64, and of onnx's evaluator, both with channels last."""
    from onnx.reference import ReferenceEvaluator

    model = draft.model(output)
    onnx.save(model, str(path))
    graph = read_source(path, post_training=True)
    x = RNG.normal(0, 2, draft.shape).astype(np.float32)
    (theirs,) = ReferenceEvaluator(model).run(None, {"x": x})
    stored = x if last else to_last(x)
    values = dict(run_graph(graph, stored.astype(np.float64).reshape(1, *graph.nodes[0].shape)))
    return values[graph.outputs[0]], to_last(theirs)


IMAGE = (1, 3, 6, 7)
ROW = (1, 3, 9)
FEATURES = (1, 5)


def conv(d: Draft, shape: tuple[int, ...], **attributes: Any) -> str:
    return d.n("Conv", "x", d.w(*shape), d.c(np.arange(shape[0]) / 4), **attributes)


def flat_gemm(d: Draft) -> str:
    return d.n("Gemm", d.n("Flatten", "x"), d.w(4, 126), d.c([1, 2, 3, 4]), transB=1)


def moved_gemm(d: Draft) -> str:
    """A flattened image in another order than it is stored in."""
    moved = d.n("Transpose", d.n("Relu", "x"), perm=[0, 2, 1, 3])
    return d.n("MatMul", d.n("Reshape", moved, d.c([0, -1], np.int64)), d.w(126, 4))


def shape_arithmetic(d: Draft) -> str:
    """x.view(x.size(0), -1) as exporters write it."""
    size = d.n("Gather", d.n("Shape", "x"), d.c(0, np.int64), axis=0)
    shape = d.n("Concat", d.n("Unsqueeze", size, d.c([0], np.int64)), d.c([-1], np.int64), axis=0)
    return d.n("MatMul", d.n("Reshape", "x", shape), d.w(126, 2))


def features_after_flatten(d: Draft) -> str:
    """Numbers by feature, of features that are stored in another order."""
    flat = d.n("Flatten", "x")
    scaled = d.n("Add", d.n("Mul", flat, d.c(np.arange(126) / 8)), d.c(np.arange(126)))
    normal = d.n("BatchNormalization", scaled, *(d.c(np.linspace(1, 2, 126) + i) for i in range(4)))
    return d.n("Gemm", normal, d.w(126, 2))


def gate(d: Draft) -> str:
    """Squeeze and excitation."""
    return d.n("Mul", "x", d.n("Sigmoid", d.n("GlobalAveragePool", "x")))


def joined_rows(d: Draft) -> str:
    a, b = d.n("Flatten", "x"), d.n("Flatten", d.n("MaxPool", "x", kernel_shape=[2, 2]))
    return d.n("MatMul", d.n("Concat", a, b, axis=1), d.w(216, 3))


def mean(d: Draft) -> str:
    return d.n("MatMul", d.n("ReduceMean", "x", d.c([2, 3], np.int64), keepdims=0), d.w(3, 2))


def conv_of_row(d: Draft) -> str:
    return d.n("Conv", d.n("Squeeze", "x", d.c([2], np.int64)), d.w(2, 3, 3))


CASES: dict[str, tuple[tuple[int, ...], Graph]] = {
    "conv": (IMAGE, lambda d: conv(d, (4, 3, 3, 2), pads=[1, 0, 2, 1], strides=[2, 1])),
    "conv dilated": (IMAGE, lambda d: conv(d, (4, 3, 2, 3), dilations=[2, 3])),
    "conv same upper": (IMAGE, lambda d: conv(d, (4, 3, 2, 3), auto_pad="SAME_UPPER", strides=[2, 2])),
    "conv same lower": (IMAGE, lambda d: conv(d, (4, 3, 2, 3), auto_pad="SAME_LOWER", strides=[1, 1])),
    "conv groups": ((1, 4, 5, 5), lambda d: conv(d, (6, 2, 3, 3), group=2)),
    "depthwise": (IMAGE, lambda d: conv(d, (3, 1, 3, 3), group=3, pads=[1, 1, 1, 1])),
    "depthwise multiplier": (IMAGE, lambda d: conv(d, (6, 1, 3, 3), group=3)),
    "conv rows": (ROW, lambda d: conv(d, (4, 3, 3), pads=[1, 2], strides=[2])),
    "depthwise rows": (ROW, lambda d: conv(d, (6, 1, 3), group=3)),
    "gemm": (FEATURES, lambda d: d.n("Gemm", "x", d.w(5, 3), d.c([1, 2, 3]))),
    "matmul": (FEATURES, lambda d: d.n("MatMul", "x", d.w(5, 3))),
    "flat gemm": (IMAGE, flat_gemm),
    "moved gemm": (IMAGE, moved_gemm),
    "shape arithmetic": (IMAGE, shape_arithmetic),
    "features after flatten": (IMAGE, features_after_flatten),
    "rows after flatten": (ROW, lambda d: d.n("MatMul", d.n("Flatten", "x"), d.w(27, 3))),
    "joined rows": (IMAGE, joined_rows),
    "gate": (IMAGE, gate),
    "mean": (IMAGE, mean),
    "add constant": (IMAGE, lambda d: d.n("Add", "x", d.c(1.5))),
    "channel constant": (IMAGE, lambda d: d.n("Mul", "x", d.c(RNG.normal(size=(3, 1, 1))))),
    "constant minus": (IMAGE, lambda d: d.n("Sub", d.c([[[1.0]], [[2]], [[3]]]), "x")),
    "minus constant": (FEATURES, lambda d: d.n("Sub", "x", d.c([1, 2, 3, 4, 5]))),
    "divided": (IMAGE, lambda d: d.n("Div", "x", d.c(-3.0))),
    "negative": (FEATURES, lambda d: d.n("Neg", "x")),
    "tensors": (IMAGE, lambda d: d.n("Sub", d.n("Mul", "x", d.n("Relu", "x")), d.n("Neg", "x"))),
    "sum": (IMAGE, lambda d: d.n("Sum", "x", d.n("Relu", "x"), "x")),
    "average": (IMAGE, lambda d: d.n("Mean", "x", d.n("Relu", "x"), "x")),
    "extremes": (IMAGE, lambda d: d.n("Max", d.n("Min", "x", d.n("Neg", "x")), d.c(-1.0))),
    "relu": (ROW, lambda d: d.n("Relu", "x")),
    "clip": (IMAGE, lambda d: d.n("Clip", "x", d.c(-1.0), d.c(2.0))),
    "clip high": (IMAGE, lambda d: d.n("Clip", "x", "", d.c(2.0))),
    "leaky": (IMAGE, lambda d: d.n("LeakyRelu", "x", alpha=0.25)),
    "prelu": (IMAGE, lambda d: d.n("PRelu", "x", d.c([[[0.5]]]))),
    "hard sigmoid": (IMAGE, lambda d: d.n("HardSigmoid", "x", alpha=0.25, beta=0.375)),
    "elu": (IMAGE, lambda d: d.n("Elu", "x", alpha=0.75)),
    "elu without exponential": (IMAGE, lambda d: d.n("Elu", "x", alpha=0.0)),
    "selu": (FEATURES, lambda d: d.n("Selu", "x")),
    "celu": (FEATURES, lambda d: d.n("Celu", "x", alpha=0.375)),
    "softplus": (FEATURES, lambda d: d.n("Softplus", "x")),
    "softsign": (FEATURES, lambda d: d.n("Softsign", "x")),
    "exponential": (FEATURES, lambda d: d.n("Exp", "x")),
    "thresholded": (IMAGE, lambda d: d.n("ThresholdedRelu", "x", alpha=0.5)),
    "thresholded at 0": (IMAGE, lambda d: d.n("ThresholdedRelu", "x", alpha=0.0)),
    "hard swish": (IMAGE, lambda d: d.n("HardSwish", "x")),
    "leaky falling": (IMAGE, lambda d: d.n("LeakyRelu", "x", alpha=-0.5)),
    "prelu by channel": (IMAGE, lambda d: d.n("PRelu", "x", d.c([[[0.5]], [[0.0]], [[-1.25]]]))),
    "prelu of features": (
        IMAGE,
        lambda d: d.n("MatMul", d.n("PRelu", d.n("Flatten", "x"), d.c(np.arange(126) / 64)), d.w(126, 2)),
    ),
    "power": (FEATURES, lambda d: d.n("Mul", "x", d.n("Pow", d.c(2.0), d.c(-3.0)))),
    "tanh": (FEATURES, lambda d: d.n("Tanh", "x")),
    "softmax": (FEATURES, lambda d: d.n("Softmax", "x", axis=-1)),
    "softmax channels": (IMAGE, lambda d: d.n("Softmax", "x", axis=1)),
    "max pool": (IMAGE, lambda d: d.n("MaxPool", "x", kernel_shape=[2, 3], strides=[2, 1])),
    "max pool rows": (ROW, lambda d: d.n("MaxPool", "x", kernel_shape=[2], strides=[2])),
    "average pool": (IMAGE, lambda d: d.n("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 2])),
    "average pool padded": (
        IMAGE,
        lambda d: d.n("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    ),
    "global max": (IMAGE, lambda d: d.n("GlobalMaxPool", "x")),
    "pad": (IMAGE, lambda d: d.n("Pad", "x", d.c([0, 0, 1, 2, 0, 0, 0, 3], np.int64))),
    "pad rows": (ROW, lambda d: d.n("Pad", "x", d.c([0, 0, 2, 0, 0, 1], np.int64))),
    "resize": (IMAGE, lambda d: d.n("Resize", "x", "", d.c([1, 1, 2, 3]), coordinate_transformation_mode="asymmetric",
                                    nearest_mode="floor")),
    "resize half pixel": (IMAGE, lambda d: d.n("Resize", "x", "", d.c([1, 1, 2, 2]))),
    "concat channels": (IMAGE, lambda d: d.n("Concat", "x", d.n("Neg", "x"), axis=1)),
    "concat height": (IMAGE, lambda d: d.n("Concat", "x", d.n("Neg", "x"), axis=2)),
    "concat rows": (ROW, lambda d: d.n("Concat", "x", d.n("Neg", "x"), axis=-1)),
    "squeezed": ((1, 3, 1, 4), conv_of_row),
}  # fmt: skip


LATER: dict[str, tuple[int, Graph]] = {
    "gelu": (20, lambda d: d.n("Gelu", "x")),
    "mish": (18, lambda d: d.n("Mish", "x")),
    "swish": (24, lambda d: d.n("Swish", "x", alpha=1.5)),
}
"""Operators that later operator sets have added."""


@pytest.mark.parametrize("name", LATER)
def test_a_later_operator_gives_what_onnx_defines(name: str, tmp_path: Path) -> None:
    opset, build = LATER[name]
    draft = Draft(FEATURES, opset)
    ours, theirs = ours_and_theirs(tmp_path / "m.onnx", draft, build(draft))
    assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-6)


TABLED = ("elu", "selu", "celu", "softplus", "softsign", "hard swish", "thresholded", "prelu by channel")


@pytest.mark.parametrize("name", TABLED)
def test_an_activation_between_quantizers_becomes_exact_levels(name: str, tmp_path: Path) -> None:
    """Every level of an int8 tensor, against onnx's evaluator in float64's rounding of the very function."""
    from onnx.reference import ReferenceEvaluator

    shape, build = CASES[name]
    draft = Draft(shape)
    scale, zero = draft.c(1 / 16), draft.c(0, np.int8)
    first = draft.n("DequantizeLinear", draft.n("QuantizeLinear", "x", scale, zero), scale, zero)
    inner = Draft(shape)
    build(inner)
    for constant in inner.constants:
        constant.name = f"i{constant.name}"
        draft.constants.append(constant)
    for node in inner.nodes:
        node.input[:] = [first if name == "x" else f"i{name}" for name in node.input]
        node.output[:] = [f"i{name}" for name in node.output]
        draft.nodes.append(node)
    last = draft.n("DequantizeLinear", draft.n("QuantizeLinear", inner_name(inner), scale, zero), scale, zero)
    model, path = draft.model(last), tmp_path / "m.onnx"
    onnx.save(model, str(path))
    network = convert_model(path)
    levels = np.arange(-128, 128).repeat(math.prod(shape)).reshape(256, *shape[1:])
    x = (levels / 16).astype(np.float32)
    theirs = np.concatenate([ReferenceEvaluator(model).run(None, {"x": one[None]})[0] for one in x])
    ours = run(network, network.input_format.levels(to_last(x)))
    assert np.array_equal(
        np.asarray(real_values(ours, network.output_type)).reshape(to_last(theirs).shape), to_last(theirs)
    )


def inner_name(draft: Draft) -> str:
    return f"{draft.nodes[-1].output[0]}"


@pytest.mark.parametrize("name", CASES)
def test_an_operator_gives_what_onnx_defines(name: str, tmp_path: Path) -> None:
    shape, build = CASES[name]
    draft = Draft(shape)
    ours, theirs = ours_and_theirs(tmp_path / "m.onnx", draft, build(draft))
    assert np.allclose(ours.reshape(theirs.shape), theirs, rtol=1e-5, atol=1e-6)


def test_a_model_of_tensorflow_keeps_its_order_of_axes(tmp_path: Path) -> None:
    draft = Draft((1, 5, 6, 3))
    moved = draft.n("Transpose", "x", perm=[0, 3, 1, 2])
    back = draft.n("Transpose", draft.n("Conv", moved, draft.w(4, 3, 3, 3)), perm=[0, 2, 3, 1])
    end = draft.n("MatMul", draft.n("Reshape", back, draft.c([-1, 48], np.int64)), draft.w(48, 2))
    ours, theirs = ours_and_theirs(tmp_path / "m.onnx", draft, end, last=True)
    assert np.allclose(ours, theirs, rtol=1e-5)
    assert list_layers(tmp_path / "m.onnx")[2][0].quantizers["layout"] == "channels last, in the file too"


def test_an_image_of_tensorflow_is_returned_as_it_is(tmp_path: Path) -> None:
    draft = Draft((1, 4, 5, 3))
    moved = draft.n("Relu", draft.n("Transpose", "x", perm=[0, 3, 1, 2]))
    path, end = tmp_path / "m.onnx", draft.n("Transpose", moved, perm=[0, 2, 3, 1])
    onnx.save(draft.model(end), str(path))
    graph = read_source(path)
    x = RNG.normal(size=(1, 4, 5, 3))
    assert np.array_equal(dict(run_graph(graph, x))[graph.outputs[0]], np.maximum(x, 0))


# Quantizers


MODES = {
    "ROUND": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda v: np.sign(v) * np.ceil(np.abs(v)),
    "DOWN": np.fix,
    "HALF_UP": lambda v: np.sign(v) * np.floor(np.abs(v) + 0.5),
    "HALF_DOWN": lambda v: np.sign(v) * np.ceil(np.abs(v) - 0.5),
}
"""QONNX's rounding modes, from its definition."""
TIES = np.arange(-24, 25, dtype=np.float32) / 8
"""Numbers on, between and half-way between the levels of a scale of 1/4."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("bits", "signed", "narrow", "zero"), [(3, 1, 0, 0), (4, 1, 1, 0), (4, 0, 0, 0), (4, 0, 1, 0),
                                                               (4, 0, 0, 7)])  # fmt: skip
@pytest.mark.parametrize("constant", [False, True])
def test_quant(mode: str, bits: int, signed: int, narrow: int, zero: int, constant: bool, tmp_path: Path) -> None:
    """Every mode, sign and width on exact ties, of a tensor and of weights."""
    if zero and not constant and mode not in ("ROUND", "CEIL", "FLOOR"):
        return
    low = (-(2 ** (bits - 1)) + narrow) if signed else 0
    high = (2 ** (bits - 1) - 1) if signed else 2**bits - 1 - narrow
    expected = (MODES[mode](np.clip(TIES * 4 + zero, low, high)) - zero) / 4
    draft = Draft((1, len(TIES)))
    scale, offset, width = draft.c(0.25), draft.c(float(zero)), draft.c(float(bits))
    attributes = {"domain": QONNX, "signed": signed, "narrow": narrow, "rounding_mode": mode}
    if constant:
        weights = draft.n("Quant", draft.c(np.diag(TIES)), scale, offset, width, **attributes)
        end, x = draft.n("MatMul", "x", weights), np.eye(len(TIES))
    else:
        end, x = draft.n("Quant", "x", scale, offset, width, **attributes), TIES[None].astype(np.float64)
    onnx.save(draft.model(end), str(tmp_path / "m.onnx"))
    graph = read_source(tmp_path / "m.onnx")
    found = dict(run_graph(graph, x))[graph.outputs[0]]
    assert np.array_equal(np.diag(found) if constant else found[0], expected)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
def test_trunc(version: int, mode: str, tmp_path: Path) -> None:
    """8 bits to 5, as qonnx computes it: rounded to whole numbers first, then divided by 8."""
    x = np.arange(0, 255.5, 0.5, dtype=np.float32) / 4
    whole = np.round(x * 4)
    expected = MODES[mode](whole / 8) * (0.25 if version == 1 else 2.0)
    draft = Draft((1, len(x)))
    values = [draft.n("Relu", "x"), *(draft.c(v) for v in (0.25, 0.0, 8.0))]
    more = [draft.c(5.0)] if version == 1 else [draft.c(2.0), draft.c(5.0)]
    attributes = {} if version == 1 else {"signed": 0, "narrow": 0}
    end = draft.n("Trunc", *values, *more, domain=QONNX, rounding_mode=mode, **attributes)
    if version == 2:
        expected = np.minimum(expected, 31 * 2.0)
    onnx.save(draft.model(end), str(tmp_path / "m.onnx"))
    graph = read_source(tmp_path / "m.onnx")
    found = dict(run_graph(graph, x[None].astype(np.float64)))[graph.outputs[0]]
    assert np.array_equal(found[0], expected)


@pytest.mark.parametrize(("kind", "zero"), [(np.int8, 0), (np.int8, -128), (np.uint8, 0), (np.uint8, 131)])
def test_quantize_linear(kind: Any, zero: int, tmp_path: Path) -> None:
    draft = Draft((1, 400))
    scale, offset = draft.c(0.25), draft.c(zero, kind)
    end = draft.n("DequantizeLinear", draft.n("QuantizeLinear", "x", scale, offset), scale, offset)
    x = (np.arange(400, dtype=np.float32) - 200) / 4 + 1 / 8  # all ties
    model = draft.model(end)
    onnx.save(model, str(tmp_path / "m.onnx"))
    graph = read_source(tmp_path / "m.onnx")
    found = dict(run_graph(graph, x[None].astype(np.float64)))[graph.outputs[0]]
    from onnx.reference import ReferenceEvaluator

    assert np.array_equal(found, ReferenceEvaluator(model).run(None, {"x": x[None]})[0])


def test_weights_of_int4_per_channel(tmp_path: Path) -> None:
    draft = Draft((1, 6), opset=21)
    integers = np.arange(-8, 4).reshape(2, 6)
    name = "packed"
    packed = onnx.helper.make_tensor(name, onnx.TensorProto.INT4, (2, 6), integers.ravel())
    draft.constants.append(packed)
    weights = draft.n("DequantizeLinear", name, draft.c([0.5, 0.25]), axis=0)
    onnx.save(draft.model(draft.n("Gemm", "x", weights, transB=1)), str(tmp_path / "m.onnx"))
    graph = read_source(tmp_path / "m.onnx")
    (kernel,) = graph.kernels.values()
    assert kernel.bits == 4
    assert np.array_equal(kernel.integers.T, integers)
    assert np.array_equal(kernel.scale, [0.5, 0.25])


# Refusals


def moved_conv(d: Draft) -> str:
    return d.n("Conv", d.n("Transpose", d.n("Relu", "x"), perm=[0, 1, 3, 2]), d.w(2, 3, 2, 2))


def unlike(d: Draft) -> str:
    return d.n("Add", "x", d.n("Transpose", "x", perm=[0, 1, 3, 2]))


REFUSED: dict[str, tuple[tuple[int, ...], Graph, str]] = {
    "unknown": (IMAGE, lambda d: d.n("Det", "x"), "not supported"),
    "domain": (IMAGE, lambda d: d.n("Gelu", "x", domain="com.microsoft"), "com.microsoft"),
    "recurrent": (ROW, lambda d: d.n("LSTM", "x", d.w(1, 4, 3), d.w(1, 4, 1), hidden_size=1), "recurrent"),
    "attribute": (IMAGE, lambda d: d.n("Relu", "x", surprise=1), "surprise"),
    "transposed": (IMAGE, moved_conv, "while the network runs"),
    "one transposed": ((1, 3, 6, 6), unlike, "while the network runs"),
    "alpha": (FEATURES, lambda d: d.n("Gemm", "x", d.w(5, 2), alpha=2.0), "alpha"),
    "two tensors": (FEATURES, lambda d: d.n("Div", d.c(1.0), "x"), "divides by a tensor"),
    "ceil": (IMAGE, lambda d: d.n("MaxPool", "x", kernel_shape=[4, 4], strides=[4, 4], ceil_mode=1), "ceil_mode"),
    "linear": (IMAGE, lambda d: d.n("Resize", "x", "", d.c([1, 1, 2, 2]), mode="linear"), "mode"),
    "half a factor": (IMAGE, lambda d: d.n("Resize", "x", "", d.c([1, 1, 1.5, 2])), "factor"),
    "reflect": (IMAGE, lambda d: d.n("Pad", "x", d.c([0, 0, 1, 1, 0, 0, 1, 1], np.int64), mode="reflect"), "mode"),
    "padded channels": (IMAGE, lambda d: d.n("Pad", "x", d.c([0, 1, 0, 0, 0, 0, 0, 0], np.int64)), "channels"),
    "scales": (IMAGE, lambda d: d.n("Quant", "x", d.c(np.ones((3, 1, 1))), d.c(0.0), d.c(8.0), domain=QONNX,
                                    signed=1, narrow=0), "3 numbers"),
    "bits": (FEATURES, lambda d: d.n("Quant", "x", d.c(1.0), d.c(0.0), d.c(2.5), domain=QONNX), "2.5"),
    "wide": (FEATURES, lambda d: d.n("Quant", "x", d.c(1.0), d.c(0.0), d.c(17.0), domain=QONNX), "16 bits"),
    "scale of another shape": (FEATURES, lambda d: d.n("MatMul", "x", d.n("BipolarQuant", d.c(np.ones((5, 2))),
                                                                           d.c([1, 2, 3]), domain=QONNX)), "fit"),
    "scale of 0": (FEATURES, lambda d: d.n("Quant", "x", d.c(0.0), d.c(0.0), d.c(4.0), domain=QONNX), "above 0"),
    "integers": (FEATURES, lambda d: d.n("Relu", d.n("QuantizeLinear", "x", d.c(1.0), d.c(0, np.int8))), "QDQ"),
    "other scale": (FEATURES, lambda d: d.n("DequantizeLinear", d.n("QuantizeLinear", "x", d.c(1.0), d.c(0, np.int8)),
                                            d.c(2.0), d.c(0, np.int8)), "not that of"),
    "batch": (IMAGE, lambda d: d.n("Reshape", "x", d.c([126, 1], np.int64)), "batch"),
    "axis": (IMAGE, lambda d: d.n("Softmax", "x", axis=3), "axis"),
    "training": (IMAGE, lambda d: d.n("BatchNormalization", "x", *(d.c([1, 1, 1]) for _ in range(4)),
                                      training_mode=1), "training_mode"),
    "approximate": (FEATURES, lambda d: d.n("Gelu", "x", approximate="tanh"), "approximate"),
    "alpha of elu": (FEATURES, lambda d: d.n("Elu", "x", alpha=-1.0), "alpha=-1"),
    "power of a tensor": (FEATURES, lambda d: d.n("Pow", "x", d.c(2.0)), "power"),
    "infinite": (FEATURES, lambda d: d.n("Add", "x", d.c(np.inf)), "infinite"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_refused_by_name(name: str, tmp_path: Path) -> None:
    shape, build, said = REFUSED[name]
    draft = Draft(shape)
    output = build(draft)
    onnx.save(draft.model(output), str(tmp_path / "m.onnx"))
    with pytest.raises(StqError) as refused:
        read_source(tmp_path / "m.onnx")
    error = refused.value
    assert said in f"{error.what} {error.next}"
    assert "m.onnx" in error.where and any(node.op_type in error.where for node in draft.nodes)
    assert error.next
    assert any(row.problem for row in list_layers(tmp_path / "m.onnx")[2])


def test_floats_are_refused_without_post_training(tmp_path: Path) -> None:
    draft = Draft(FEATURES)
    onnx.save(draft.model(draft.n("MatMul", "x", draft.c(np.ones((5, 2))))), str(tmp_path / "m.onnx"))
    with pytest.raises(StqError, match="floating-point"):
        read_source(tmp_path / "m.onnx")
    assert read_source(tmp_path / "m.onnx", post_training=True).kernels


# Files


def saved(tmp_path: Path, change: Callable[[Any], None], kind: int = 1) -> Path:
    draft = Draft(IMAGE)
    model = draft.model(draft.n("Relu", "x"), kind)
    change(model)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def external(model: Any) -> None:
    tensor = model.graph.initializer.add(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node[0].op_type = "Add"
    model.graph.node[0].input.append("w")


def function(model: Any) -> None:
    model.functions.add(name="Relu", domain="")


def second_input(model: Any) -> None:
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[1].name = "y"


def open_height(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"


def huge(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**40


def cycle(model: Any) -> None:
    model.graph.node[0].input[0] = model.graph.node[0].output[0]


FILES: dict[str, tuple[Callable[[Any], None], int, str]] = {
    "external data": (external, 1, "outside the file"),
    "functions": (function, 1, "functions"),
    "two inputs": (second_input, 1, "2 inputs"),
    "integers": (lambda model: None, 2, "uint8"),
    "open height": (open_height, 1, "not fixed"),
    "huge": (huge, 1, "smaller inputs"),
    "cycle": (cycle, 1, "nothing computes"),
    "no output": (lambda model: model.graph.ClearField("output"), 1, "returns nothing"),
    "old": (lambda model: setattr(model.opset_import[0], "version", 5), 1, "operator set"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_model_of_ours(name: str, tmp_path: Path) -> None:
    change, kind, said = FILES[name]
    path = saved(tmp_path, change, kind)
    with pytest.raises(StqError) as refused:
        read_source(path)
    assert said in f"{refused.value.what} {refused.value.next}"
    assert refused.value.next


def test_a_truncated_file(tmp_path: Path) -> None:
    path = saved(tmp_path, lambda model: None)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(StqError, match="truncated or damaged"):
        read_source(path)
