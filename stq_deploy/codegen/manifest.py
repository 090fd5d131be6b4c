"""manifest.json: what was generated, for tools and reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from stq_deploy.network import Network
from stq_deploy.network.ops import RequantizedOp
from stq_deploy.planner import LayerPlan, Plan

FORMAT = "stq-manifest"
VERSION = 1


def describe_plan(plan: Plan, constants: Sequence[Sequence[str]], *, command: str, tool_version: str) -> dict[str, Any]:
    """The manifest as a JSON-able dict; equal plans give equal manifests.

    Args:
        constants: names of each layer's arrays in weights.c.
    """
    network = plan.network
    return {
        "format": FORMAT,
        "version": VERSION,
        "tool_version": tool_version,
        "command": command,
        "model_hash": network.sha256(),
        "input": network.input,
        "outputs": list(network.outputs),
        "tensors": {name: _tensor(plan, name) for name in network.tensors},
        "layers": [_layer(network, layer, names) for layer, names in zip(plan.layers, constants, strict=True)],
        "macs": plan.macs,
        "weight_bytes": plan.weight_bytes,
        "table_bytes": plan.table_bytes,
        "arena_bytes": plan.arena_bytes,
        "arena_lower_bound_bytes": plan.arena_lower_bound,
        "order_lower_bound_bytes": plan.order_lower_bound,
        "scratch_bytes": plan.scratch_bytes,
        "network_metadata": network.metadata,
    }


def _tensor(plan: Plan, name: str) -> dict[str, Any]:
    tensor, pieces, (first, last) = plan.network.tensors[name], plan.pieces(name), plan.lifetime(name)
    return dataclasses.asdict(tensor) | {
        "shape": list(tensor.shape),
        "bytes": tensor.bytes,
        "arena_offset": plan.offset(name),
        "first_layer": first,
        "last_layer": last,
        "view_of": list(pieces) if pieces != (name,) else [],
    }


def _layer(network: Network, layer: LayerPlan, constants: Sequence[str]) -> dict[str, Any]:
    op = layer.op
    described: dict[str, Any] = {
        "index": layer.index,
        "name": op.name,
        "op": op.kind,
        "kernel": layer.kernel,
        "sources": list(op.sources),
        "inputs": list(op.inputs),
        "output": op.output,
        "input_shapes": [list(t.shape) for t in network.input_types(op)],
        "output_shape": list(network.tensors[op.output].shape),
        "output_bytes": network.tensors[op.output].bytes,
        "macs": layer.macs,
        "weight_bits": layer.weights.bits if layer.weights else 0,
        "weight_bytes": layer.weight_bytes,
        "table_bytes": layer.table_bytes,
        "scratch_bytes": layer.scratch_bytes,
        "replaces": layer.replaces,
        "constants": list(constants),
        "traffic": dataclasses.asdict(layer.traffic),
    }
    if isinstance(op, RequantizedOp):
        described["requantize"] = op.requantize.kind
    return described
