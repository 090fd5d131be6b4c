"""The whole network as an ONNX model, and the file."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

import stq_deploy
from stq_deploy.common.errors import StqError
from stq_deploy.common.files import check_output, write_whole
from stq_deploy.common.installation import how_to_install
from stq_deploy.common.regular_file import open_regular
from stq_deploy.network import Network
from stq_deploy.network.tensor import TensorType
from stq_deploy.onnx_export.builder import QONNX_DOMAIN, GraphBuilder
from stq_deploy.onnx_export.operations import OPERATIONS, Site, to_channels_first, to_channels_last

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

Dialect = Literal["qonnx", "onnx"]
_OPSET, _IR_VERSION = 17, 8
_PRODUCER = "stq-deploy"
_BEGINNING = bytes([0x08, _IR_VERSION, 0x12, len(_PRODUCER)]) + _PRODUCER.encode()
"""The first two fields of a file: the version of ONNX's form, and the program that wrote it."""


def export_network(network: Network, path: str | os.PathLike[str], dialect: Dialect = "qonnx") -> None:
    """Write the network as an ONNX file: complete or not at all.

    Raises:
        StqError: the package onnx is not installed, or the file cannot be written.
    """
    write_whole(Path(path), network_model(network, dialect).SerializeToString())


def check_onnx_path(
    path: str | os.PathLike[str],
    *,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    force: bool = False,
    force_option: bool = True,
) -> None:
    """Refuse, before any work, a path to which no ONNX file can be written.

    Args:
        inputs, force, force_option: as for `check_output`.

    Raises:
        StqError: it cannot be written, would replace another file, or its name says that it is a network (.stq).
    """
    if Path(path).suffix.lower() == ".stq":
        raise StqError(
            "an ONNX file cannot be named like a network (.stq)", where=os.fspath(path), next="end its name in .onnx"
        )
    check_output(
        path,
        what="an ONNX file that convert wrote",
        recognize=_is_own_file,
        inputs=inputs,
        parents=False,
        force=force,
        force_option=force_option,
    )


def _is_own_file(path: Path) -> bool:
    with open_regular(path) as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


def network_model(network: Network, dialect: Dialect = "qonnx") -> ModelProto:
    """The network as an ONNX model of integers.

    Its input takes the network's input levels (N, *input shape), and its outputs give the network's output levels, each
    in its storage type and in the network's order of axes.

    Args:
        dialect: "onnx" uses ONNX's operators alone; "qonnx" states the bits of the weights by QONNX's quantizers.

    Raises:
        StqError: the package onnx is not installed, or the network draws fresh noise.
    """
    if importlib.util.find_spec("onnx") is None:
        raise StqError(
            "writing an ONNX file needs the package onnx, which is not installed", next=how_to_install("onnx")
        )
    if network.has_noise:
        raise StqError(
            "an ONNX file cannot hold fresh noise",
            where=network.input,
            cause="ONNX has no generator that gives the same noise everywhere",
            next="export the network without `--input-noise`",
        )
    from onnx import helper

    graph = GraphBuilder(dialect == "qonnx")
    outputs = _add_all(graph, network)
    domains = [helper.make_opsetid("", _OPSET)]
    if dialect == "qonnx":
        domains.append(helper.make_opsetid(QONNX_DOMAIN, 1))
    name = network.name or "network"
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [_value(_INPUT, network.input_type)],
            [_value(output, network.tensors[tensor]) for output, tensor in zip(outputs, network.outputs, strict=True)],
            graph.constants,
        ),
        opset_imports=domains,
        ir_version=_IR_VERSION,
        producer_name=_PRODUCER,
        producer_version=stq_deploy.__version__,
    )
    helper.set_model_props(model, _facts(network, outputs))
    return model


_INPUT = "input_levels"


def _add_all(graph: GraphBuilder, network: Network) -> list[str]:
    """Add every operation; the names of the outputs."""
    graph.begin("input")
    spec = network.input_type
    levels = {network.input: to_channels_first(graph, graph.cast(_INPUT, np.int64), len(spec.shape))}
    for op in network.ops:
        graph.begin(op.name)
        site = Site(graph, [levels[name] for name in op.inputs], network.input_types(op), network.tensors[op.output])
        levels[op.output] = OPERATIONS[type(op)](op, site)
    graph.begin("output")
    found: list[str] = []
    for i, name in enumerate(network.outputs):
        spec = network.tensors[name]
        stored = to_channels_last(graph, levels[name], len(spec.shape))
        found.append(graph.cast(stored, spec.dtype, "output_levels" if i == 0 else f"output_levels_{i}"))
    return found


def _value(name: str, spec: TensorType) -> ValueInfoProto:
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(name, kind, ["N", *spec.shape])


def _facts(network: Network, outputs: Sequence[str]) -> dict[str, str]:
    """What a reader of the file needs to know about its levels."""
    facts = {"model_hash": network.sha256(), **_levels(_INPUT, network.input_type)}
    for output, tensor in zip(outputs, network.outputs, strict=True):
        facts |= _levels(output, network.tensors[tensor])
    return facts


def _levels(name: str, spec: TensorType) -> dict[str, str]:
    return {
        f"{name}: real value": f"(level - {spec.zero_point}) * {spec.scale!r}",
        f"{name}: levels": f"{spec.minimum} to {spec.maximum}",
    }
