"""A network as canonical JSON and named arrays: what its file holds, and what its hash and equality compare.

docs/FORMAT.md states the form.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.input_format import pixel_domain
from stq_deploy.network.ops import Op, WeightedOp, Window
from stq_deploy.network.requantize import Requantize

if TYPE_CHECKING:
    from stq_deploy.network.graph import Network  # which imports this module

FORMAT = "stq-network"
VERSION = 2
"""Version of files that state the input's rounding or domain; others have version 1."""

Arrays = dict[str, npt.NDArray[Any]]


def describe(network: Network) -> tuple[bytes, Arrays]:
    """Canonical JSON (UTF-8) of everything except the metadata, and the arrays to which it refers by name."""
    arrays: Arrays = {}
    document = network_document(network, arrays)
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode(), arrays


def network_document(network: Network, arrays: Arrays) -> dict[str, Any]:
    """Everything except the metadata as JSON has it. The arrays that it names are put into `arrays`."""
    # Left out where samples are the model's values, the usual case.
    mapped = {} if network.input_range == (0.0, 1.0) else {"input_range": list(network.input_range)}
    stated = _describe_input(network, arrays)
    return {
        "format": FORMAT,
        "version": VERSION if stated else 1,
        "input": network.input,
        **mapped,
        **stated,
        "outputs": list(network.outputs),
        "tensors": {name: dataclasses.asdict(t) for name, t in network.tensors.items()},
        "ops": [_describe_op(op, f"op{i:03}", arrays) for i, op in enumerate(network.ops)],
    }


def _describe_input(network: Network, arrays: Arrays) -> dict[str, Any]:
    """The entries that version 1 lacks; empty if the network needs none."""
    stated: dict[str, Any] = {}
    if network.input_rounding is not None:
        stated["input_rounding"] = {"kind": network.input_rounding.kind}
        for f in dataclasses.fields(network.input_rounding):
            value = getattr(network.input_rounding, f.name)
            stated["input_rounding"][f.name] = _describe_value(value, f"input.{f.name}", arrays)
    domain = network.input_domain
    if stated or domain != pixel_domain(network.input_type, *network.input_range):
        stated["input_domain"] = None if domain is None else dataclasses.asdict(domain)
    return stated


def _describe_op(op: Op, prefix: str, arrays: Arrays) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": op.kind}
    for f in dataclasses.fields(op):
        described[f.name] = _describe_value(getattr(op, f.name), f"{prefix}.{f.name}", arrays)
    if isinstance(op, WeightedOp):
        described["weights"]["bits"] = archived_bits(op.weight_bits)
    return described


def _describe_value(value: Any, name: str, arrays: Arrays) -> Any:
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, Window):
        return dataclasses.asdict(value)
    if isinstance(value, Requantize):
        described: dict[str, Any] = {"kind": value.kind}
        for f in dataclasses.fields(value):
            described[f.name] = _describe_value(getattr(value, f.name), f"{name}.{f.name}", arrays)
        return described
    if isinstance(value, tuple):
        return list(value)
    return value


def archived_bits(weight_bits: int) -> int:
    """Width of a weight in the file, as on the device; but -1, 0 and 1 take two bits in two's complement."""
    return max(2, int(weight_bits))
