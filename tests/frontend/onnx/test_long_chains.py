"""A small file costs little: work grows with the number of nodes, and a chain that is too long is one clear error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import NodeProto, TensorProto, helper, numpy_helper

from stq_deploy.common.errors import StqError
from stq_deploy.pipeline import convert_model

QONNX = "qonnx.custom_op.general"
CONSTANTS = {"scale": 0.125, "zero": 0.0, "bits": 4.0, "two": 2.0}
Link = Callable[[str, str], NodeProto]


def quant(before: str, after: str) -> NodeProto:
    return helper.make_node("Quant", [before, "scale", "zero", "bits"], [after], domain=QONNX, signed=1, narrow=0,
                            rounding_mode="ROUND")  # fmt: skip


LINKS: dict[str, Link] = {
    "Quant": quant,
    "Relu": lambda before, after: helper.make_node("Relu", [before], [after]),
    "Sigmoid": lambda before, after: helper.make_node("Sigmoid", [before], [after]),
    "Neg": lambda before, after: helper.make_node("Neg", [before], [after]),
    "Mul": lambda before, after: helper.make_node("Mul", [before, "two"], [after]),
    "Add": lambda before, after: helper.make_node("Add", [before, before], [after]),
    "Concat": lambda before, after: helper.make_node("Concat", [before, before], [after], axis=1),
    "Pad": lambda before, after: helper.make_node("Pad", [before, "ends"], [after]),
    "Reshape": lambda before, after: helper.make_node("Reshape", [before, "shape"], [after]),
}


def chain(path: Path, link: Link, count: int) -> Path:
    """A file whose `count` nodes follow one another behind a quantizer."""
    nodes = [quant("x", "v0"), *(link(f"v{k}", f"v{k + 1}") for k in range(count))]
    arrays = [numpy_helper.from_array(np.array(v, np.float32), name) for name, v in CONSTANTS.items()]
    arrays.append(numpy_helper.from_array(np.array([0, 0, 0, 1 << 20], np.int64), "ends"))
    arrays.append(numpy_helper.from_array(np.array([1, 8], np.int64), "shape"))
    graph = helper.make_graph(
        nodes, "chain", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 8))],
        [helper.make_tensor_value_info(f"v{count}", TensorProto.FLOAT, None)], arrays,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(QONNX, 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    return path


def calls_of(path: Path) -> int:
    """Calls of Python functions that a conversion takes, whether it gives a network or an error."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        with suppress(StqError):
            convert_model(path)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("kind", LINKS)
def test_a_long_chain_is_a_network_or_one_error(kind: str, tmp_path: Path) -> None:
    try:
        convert_model(chain(tmp_path / "chain.onnx", LINKS[kind], 1200))
    except StqError as error:
        assert error.next


@pytest.mark.parametrize("kind", ["Quant", "Neg", "Mul"])
def test_work_grows_with_the_number_of_nodes(kind: str, tmp_path: Path) -> None:
    calls_of(chain(tmp_path / "warm.onnx", LINKS[kind], 1))
    counts = [calls_of(chain(tmp_path / "chain.onnx", LINKS[kind], n)) for n in (8, 16, 32)]
    assert counts[2] - counts[1] < 2.5 * (counts[1] - counts[0]) + 2000
