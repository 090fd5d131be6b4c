"""Softmax in integers: its table, the bound of its error, and what it reads and is read by."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.frontend import source as s
from stq_deploy.lowering import lower
from stq_deploy.lowering.post_training import quantize_graph
from stq_deploy.lowering.softmax import STEP, exponentials, largest_error
from stq_deploy.network import Network, TensorType
from stq_deploy.network.input_format import dequantize_input
from stq_deploy.network.ops import Softmax
from stq_deploy.network.reference import run_layers
from stq_deploy.pipeline import convert_model
from tests.helpers.lowering.source_draft import BITS, RELU, Draft
from tests.helpers.lowering.source_values import source_values

STEPS = [Fraction(1, 1 << 12), Fraction(1, 256), Fraction(1, 100), Fraction(1, 3), Fraction(1), Fraction(40)]


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("differences", [0, 1, 255, 5000])
def test_table(step: Fraction, differences: int) -> None:
    table, error = exponentials(step, differences)
    exact = 65536 * np.exp(-float(step) * np.arange(differences + 1))
    assert np.abs(table - exact[: len(table)]).max() == pytest.approx(float(error), abs=1e-9)
    assert error <= Fraction(1, 2)
    assert len(table) == differences + 1 or (table[-1] == 0 and (table[:-1] > 0).all() and exact[len(table) - 1] < 0.5)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("channels", [1, 2, 3, 10, 200])
def test_no_output_is_off_by_more_than_is_certified(step: Fraction, channels: int) -> None:
    x = TensorType((channels,), "int8", -128, 127, float(step))
    table, rounding = exponentials(step, 255)
    op, output = Softmax("s", ("x",), "y", (), table), TensorType((channels,), "int16", 0, 32767, 2**-15)
    op.check([x], output)
    rng = np.random.default_rng(channels)
    spreads = (rng.integers(-128, -128 + width + 1, (200, channels)) for width in (1, 3, 20, 255))
    levels = np.concatenate([*spreads, np.full((1, channels), 5), -128 + 255 * np.eye(channels, dtype=np.int64)])
    if channels == 3:
        edges = [-128, -127, -3, 0, 126, 127]
        levels = np.concatenate([levels, list(itertools.product(edges, repeat=3))])
    found = op.run([levels], [x], output)
    error = np.abs(found * 2**-15 - softmax(levels * float(step))).max()
    assert error <= largest_error(rounding, channels) * (1 + Fraction(1, 10**9))
    assert ((found >= 0) & (found <= 32767)).all()


def test_classes_keep_their_order() -> None:
    levels = np.random.default_rng(0).integers(-128, 128, (500, 10))
    table, _ = exponentials(Fraction(1, 16), 255)
    found = Softmax("s", ("x",), "y", (), table).run([levels], [], TensorType((10,), "int16", 0, 32767, 2**-15))
    assert (np.take_along_axis(found, levels.argmax(axis=1)[:, None], 1)[:, 0] == found.max(axis=1)).all()


def _check(draft: Draft, at: int, after: int) -> Network:
    """Lower up to node `after`; the softmax `at` is within its certificate of float64, given the input's error."""
    source = draft.graph(after)
    network = lower(source)
    (op,) = (op for op in network.ops if isinstance(op, Softmax))
    spec = network.input_type
    levels = np.random.default_rng(1).integers(spec.minimum, spec.maximum + 1, (20, *spec.shape))
    found = dict(run_layers_by_name(network, levels))
    expected = softmax(source_values(source, (levels - spec.zero_point) * spec.scale)[source.nodes[at].inputs[0]])
    certificates = network.metadata.certificates
    certificate = certificates[op.name]
    assert (certificate.kind, certificate.exact) == ("softmax", False)
    # An input that is off by d changes no output by more than d.
    rounded = getattr(certificates.get(op.inputs[0]), "largest_error", None) or 0.0
    assert np.abs(found[op.name] * 2**-15 - expected).max() <= certificate.largest_error + rounded + 1e-9
    assert math.isclose(network.tensors[op.output].scale, 2**-15)
    return network


def run_layers_by_name(network: Network, levels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(op.name, output) for op, output in run_layers(network, levels)]


def _kinds(network: Network) -> list[str]:
    return [op.kind for op in network.ops if op.kind != "reshape"]


def test_of_levels_read_by_a_quantizer() -> None:
    draft = Draft(quantizer=BITS)
    at = draft.add(s.SoftmaxNode, draft.x)
    network = _check(draft, at, draft.quantize(at, "quantized_bits(8,0,0,alpha=1)"))
    assert _kinds(network) == ["softmax", "rescale"]


def test_of_sums_and_of_what_batch_norm_scales() -> None:
    draft = Draft()
    at = draft.add(s.SoftmaxNode, draft.conv(draft.x, 5))
    assert _kinds(_check(draft, at, draft.quantize(at, RELU))) == ["convolve", "softmax", "rescale"]
    draft = Draft()
    at = draft.add(s.SoftmaxNode, draft.norm(draft.conv(draft.x, 5)))
    network = _check(draft, at, draft.quantize(at, RELU))
    assert network.tensors["softmax_4"].shape == (4, 3, 5)
    assert network.tensors[network.ops[0].output].scale == float(STEP)


def test_read_by_a_product_and_a_dense_layer() -> None:
    """Attention over channels, as small networks have it."""
    draft = Draft(quantizer=BITS)
    at = draft.add(s.SoftmaxNode, draft.x)
    product = draft.add(s.MultiplyNode, draft.x, at)
    assert _kinds(_check(draft, at, draft.quantize(product, BITS))) == ["softmax", "multiply"]
    draft = Draft(shape=(5,), quantizer=BITS)
    at = draft.add(s.SoftmaxNode, draft.x)
    assert _kinds(_check(draft, at, draft.dense(at))) == ["softmax", "dense"]


def test_a_step_that_is_fine_and_of_many_levels_is_rounded_first() -> None:
    draft = Draft(quantizer="quantized_bits(16,3,1,alpha=1)")
    at = draft.add(s.SoftmaxNode, draft.x)
    network = _check(draft, at, draft.quantize(at, BITS))
    assert _kinds(network)[-3:] == ["rescale", "softmax", "rescale"]
    (op,) = (op for op in network.ops if isinstance(op, Softmax))
    assert len(op.table) < 4096


def test_values_too_large_for_the_usual_step_get_a_coarser_one() -> None:
    draft = Draft(quantizer=BITS)
    huge = draft.add(s.AffineNode, draft.x, factor=(Fraction(1 << 24),), offset=(Fraction(1, 3),))
    at = draft.add(s.SoftmaxNode, huge)
    network = _check(draft, at, draft.quantize(at, BITS))
    assert network.tensors[network.ops[0].output].scale == 0.5


def test_after_training_it_reads_levels_and_gives_256() -> None:
    draft = Draft(shape=(6,), quantizer="quantized_relu(8,0)")
    at = draft.add(s.SoftmaxNode, draft.dense(draft.x, 5))
    source = draft.graph(draft.dense(at, 3))
    x = np.random.default_rng(0).uniform(0, 1, (50, 6)).astype(np.float32)
    quantized = quantize_graph(source, x, "mse", None)
    added = [node for node in quantized.nodes if isinstance(node, s.QuantizeNode)][1:]
    assert [node.layer for node in added] == [source.nodes[at - 1].layer, source.nodes[at].layer]
    assert str(added[1].quantizer) == "affine(0,255,1/256)"
    assert _kinds(lower(quantized)) == ["dense", "softmax", "rescale", "dense"]


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["Softmax", "Activation", "QDense"])
def test_gives_what_keras_gives(kind: str, tmp_path: Path) -> None:
    import qkeras as q
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(0)
    image = layers.Input((9,), name="image")
    x = q.QActivation("quantized_relu(8,0)")(image)
    dense = {"kernel_quantizer": "quantized_bits(4,2,1,alpha=1)", "kernel_initializer": "random_normal"}
    x = q.QDense(7, **dense, use_bias=False, activation="softmax" if kind == "QDense" else None, name="scores")(x)
    if kind == "Softmax":
        x = layers.Softmax(name="probabilities")(x)
    elif kind == "Activation":
        x = layers.Activation("softmax", name="probabilities")(x)
    y = q.QDense(4, **dense, use_bias=False)(q.QActivation("quantized_bits(8,0,0,alpha=1)")(x))
    model = tf_keras.Model(image, layers.Softmax()(y))
    model.set_weights([10 * w for w in model.get_weights()])
    model.save(tmp_path / "m.keras")
    network = convert_model(tmp_path / "m.keras")
    (op,) = (op for op in network.ops if isinstance(op, Softmax))
    levels = np.random.default_rng(1).integers(-128, 128, (300, 9))
    found = dict(run_layers_by_name(network, levels))
    samples = dequantize_input(levels, network.input_type)
    expected = tf_keras.Model(image, x).predict(samples, verbose=0)
    assert expected.std(axis=0).min() > 0.01
    certified = network.metadata.certificates[op.name].largest_error
    assert np.abs(found[op.name] * 2**-15 - expected).max() <= certified + 2**-9 + 1e-6
    classes = model.predict(samples, verbose=0).argmax(axis=1)
    assert (found[network.outputs[0]].argmax(axis=1) == classes).mean() > 0.95
    assert [row.layer for row in network.metadata.dropped] == [model.layers[-1].name]
