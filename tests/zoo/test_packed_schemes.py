"""Each scheme's weights as they lie in the emitted C: of 1, 2 or 4 bits, and nothing lost."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.codegen.generate import generate
from stq_deploy.evaluation.layer_comparison import compare_layers
from stq_deploy.evaluation.verification_samples import verification_inputs
from stq_deploy.executors.open_executor import open_executor
from stq_deploy.network import Network
from stq_deploy.network.ops import WeightedOp
from stq_deploy.program import plan_network
from stq_deploy.program.kernels.weighted import Weighted
from stq_deploy.program.rows import unpack_rows

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore")]

# "Layer 0, conv1 (...): 16 rows of 27 weights, 8 bits each.", then the array.
_ARRAY = re.compile(r"(\d+) rows of (\d+) weights, (\d) bits? each.*?\[(\d+)\] = \{([^}]*)\}", re.DOTALL)


def _network(scheme: str, variant: str, folder: Path) -> Network:
    from stq_deploy.pipeline import convert_model
    from stq_deploy.zoo.networks import build_network

    build_network(scheme=scheme, variant=variant, input_shape=(8, 8, 1)).save(folder / "m.h5")
    return convert_model(folder / "m.h5")


@pytest.mark.parametrize(
    ("scheme", "variant", "width"), [("binary", "pooled", 1), ("2bit", "strided", 2), ("4bit", "pooled", 4)]
)
def test_bits_in_the_emitted_arrays(scheme: str, variant: str, width: int, tmp_path: Path) -> None:
    network = _network(scheme, variant, tmp_path)
    generate(plan_network(network), tmp_path / "c", command="test", tool_version="0")
    arrays = _ARRAY.findall((tmp_path / "c" / "stq_model_weights.c").read_text())
    layers = [layer for layer in plan_network(network).layers if layer.weights is not None]
    assert len(arrays) == len(layers) == 10  # convolutions: 3, 2 of the gates, 2 of the separable one; dense layers: 3
    for layer, (rows, columns, bits, length, text) in zip(layers, arrays, strict=True):
        assert isinstance(layer.op, WeightedOp)
        assert int(bits) == (max(width, 4) if layer.op.name == "conv1" else width)
        words = np.array([int(word, 16) for word in re.findall(r"0x(\w+)u", text)], np.uint32)
        per_word = 32 // int(bits)
        assert len(words) == int(length) == int(rows) * -(-int(columns) // per_word)
        assert layer.weights is not None
        assert isinstance(layer.spec, Weighted)
        unpacked = unpack_rows(words.reshape(int(rows), -1), int(bits), layer.weights.offset, int(columns))
        np.testing.assert_array_equal(unpacked, layer.spec.rows(layer.op))


def test_a_binary_network_is_the_same_in_c(tmp_path: Path) -> None:
    network = _network("binary", "strided", tmp_path)
    levels = verification_inputs(network, None, 8).levels
    with (
        open_executor("numpy", plan_network(network)) as reference,
        open_executor("host", plan_network(network)) as portable,
        open_executor("host-cortex-m7", plan_network(network)) as optimized,
    ):
        assert compare_layers(reference, (portable, optimized), levels).differing_layers == 0
