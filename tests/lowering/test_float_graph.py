"""The float evaluator of source graphs: against plain loops, and against Keras."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.frontend import read_source
from stq_deploy.frontend import source as s
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.network.ops import Window
from tests.helpers.float_models import float_draft, float_pixels
from tests.helpers.lowering.source_draft import RELU, Draft
from tests.helpers.lowering.source_values import source_values


def every_node() -> s.SourceGraph:
    draft = Draft(shape=(5, 4, 4))
    window = Window((3, 2), (2, 1), pad_before=(1, 0), pad_after=(0, 1))
    grouped = draft.conv(draft.x, 6, scale=(0.25, 0.5, 0.3), size=2, groups=2)
    shape = draft.nodes[grouped].shape
    draft.biases[bias := draft.add(s.BiasNode, grouped)] = np.arange(6) / 4
    dilated = draft.add(
        s.DepthwiseNode, draft.norm(bias), shape=(shape[0] - 2, shape[1], 12), window=Window((2, 1), dilation=(2, 1))
    )
    integers = np.random.default_rng(3).integers(-7, 8, (2, 1, 6, 2)).astype(np.int8)
    draft.kernels[dilated] = s.IntegerKernel(integers, np.linspace(0.1, 1.2, 12), 4)
    x = draft.add(s.LeakyNode, dilated, slope=Fraction(1, 8))
    x = draft.add(s.ClipNode, x, low=Fraction(-1), high=Fraction(5, 2))
    x = draft.add(s.AffineNode, x, factor=(Fraction(2, 3),), offset=(Fraction(1, 7),))
    others = [draft.add(s.FunctionNode, x, function=name) for name in ("sigmoid", "tanh")]
    for kind in (s.AddNode, s.SubtractNode, s.MultiplyNode, s.MaximumNode, s.MinimumNode, s.AverageNode):
        x = draft.add(kind, x, others[0] if kind is not s.AverageNode else x)
    x = draft.add(s.ConcatenateNode, x, others[1], shape=(2, 6, 12), axis=1)
    x = draft.add(s.UpsampleNode, x, shape=(4, 12, 12), size=(2, 2))
    x = draft.add(s.PadNode, x, shape=(5, 13, 12), before=(1, 0), after=(0, 1))
    x = draft.add(s.CropNode, x, shape=(4, 5, 12), before=(0, 8))
    pooled = [draft.pool(x, kind, window) for kind in (s.MaxPoolNode, s.AveragePoolNode)]
    x = draft.add(s.PassNode, draft.quantize(draft.add(s.AddNode, *pooled), RELU), reason="")
    return draft.graph(draft.dense(draft.flat(x)))


def test_every_node_agrees_with_plain_loops() -> None:
    graph = every_node()
    kinds = {kind for kind in vars(s).values() if isinstance(kind, type) and issubclass(kind, s.Node)}
    # TensorFlow Lite's interpreter checks the nodes of its integer arithmetic: tests/frontend/tflite.
    # test_wrapping.py checks wrapping against a modulus of its own.
    stated = {s.IntegerNode, s.IntegerSumNode, s.IntegerTableNode, s.WrapNode}
    assert kinds - stated - {s.Node, s.CombineNode, s.SoftmaxNode} == {type(node) for node in graph.nodes}
    x = np.random.default_rng(0).uniform(0, 4, (3, 5, 4, 4))
    expected = source_values(graph, x)
    found = dict(run_graph(graph, x))
    for n, values in enumerate(expected):
        np.testing.assert_allclose(found[n], values, rtol=1e-9, atol=1e-9, err_msg=str(graph.nodes[n]))
    single = dict(run_graph(graph, x.astype(np.float32)))
    assert all(values.dtype == np.float32 for values in single.values())


def test_chosen_nodes_are_all_that_runs() -> None:
    graph = every_node()
    assert [n for n, _ in run_graph(graph, np.zeros((1, 5, 4, 4)), [2, 0, 1])] == [0, 1, 2]


@pytest.mark.keras
def test_keras_agrees_up_to_the_weights_rounding(tmp_path: Path) -> None:
    import tf_keras

    path = float_draft().save_h5(tmp_path / "m.h5")
    graph = read_source(path, post_training=True)
    model = tf_keras.models.load_model(path, compile=False)
    for at, kernel in graph.kernels.items():  # 8-bit weights in the Keras model, too
        layer = model.get_layer(graph.nodes[at].layer)
        scale = kernel.scale.reshape(-1, 1) if layer.name == "dw" else kernel.scale
        layer.set_weights([(kernel.integers * scale).astype(np.float32), *layer.get_weights()[1:]])
    x = float_pixels() / np.float32(255)
    *_, (_, found) = run_graph(graph, x)
    np.testing.assert_allclose(found, model(x).numpy(), atol=1e-5)
