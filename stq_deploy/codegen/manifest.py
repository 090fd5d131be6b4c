"""manifest.json: facts about generated sources for programs that read a build, and the check of a former build's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from stq_deploy.common.checked_json import Checked
from stq_deploy.network.ops import RequantizedOp
from stq_deploy.program import Layer, Program

NAME = "manifest.json"
FORMAT = "stq-manifest"
VERSION = 1


def describe_program(
    program: Program, constants: Sequence[Sequence[str]], *, command: str, tool_version: str
) -> dict[str, Any]:
    """The content of manifest.json; equal programs give equal manifests.

    Args:
        constants: names of each layer's arrays in weights.c.
    """
    network, arena = program.network, program.arena
    return {
        "format": FORMAT,
        "version": VERSION,
        "tool_version": tool_version,
        "command": command,
        "model_hash": network.sha256(),
        "input": network.input,
        "outputs": list(network.outputs),
        "tensors": {name: _tensor(program, name) for name in network.tensors},
        "layers": [_layer(program, layer, names) for layer, names in zip(program.layers, constants, strict=True)],
        "macs": program.macs,
        "weight_bytes": program.weight_bytes,
        "table_bytes": program.table_bytes,
        "arena_bytes": arena.bytes,
        "arena_lower_bound_bytes": arena.lower_bound,
        "order_lower_bound_bytes": arena.order_lower_bound,
        "scratch_bytes": program.separate_scratch_bytes,
        "network_metadata": network.metadata.to_json(),
    }


_LAID_OUT = {
    "layers": ("index", "name", "kernel", "weight_bytes", "table_bytes", "scratch_bytes", "scratch_offset", "replaces"),
    "tensors": ("bytes", "arena_offset", "first_layer", "last_layer", "view_of"),
}
"""The facts that the host knows about a device's program, and that its manifest must state as well."""


def is_manifest_of(manifest: object, program: Program) -> bool:
    """Whether an untrusted manifest describes a program with these layers and these places.

    Raises:
        ValueError: the content does not have a manifest's form; the message names the place.
    """
    stated = Checked(manifest)
    layers = [{key: layer.at(key).value for key in _LAID_OUT["layers"]} for layer in stated.at("layers").entries()]
    tensors = {
        name: {key: tensor.at(key).value for key in _LAID_OUT["tensors"]}
        for name, tensor in stated.at("tensors").members()
    }
    described = [_layer(program, layer, ()) for layer in program.layers]
    return layers == [{key: layer[key] for key in _LAID_OUT["layers"]} for layer in described] and tensors == {
        name: {key: _tensor(program, name)[key] for key in _LAID_OUT["tensors"]} for name in program.network.tensors
    }


def _tensor(program: Program, name: str) -> dict[str, Any]:
    tensor, (first, last) = program.network.tensors[name], program.lifetime(name)
    return dataclasses.asdict(tensor) | {
        "shape": list(tensor.shape),
        "bytes": tensor.bytes,
        "arena_offset": program.offset(name),
        "first_layer": first,
        "last_layer": last,
        "view_of": list(program.pieces[name]) if program.is_view(name) else [],
    }


def _layer(program: Program, layer: Layer, constants: Sequence[str]) -> dict[str, Any]:
    op, scratch = layer.op, program.scratch_of(layer)
    described: dict[str, Any] = {
        "index": layer.index,
        "name": op.name,
        "op": op.kind,
        "kernel": layer.kernel,
        "sources": list(op.sources),
        "inputs": list(op.inputs),
        "output": op.output,
        "input_shapes": [list(t.shape) for t in layer.inputs],
        "output_shape": list(layer.output.shape),
        "output_bytes": layer.output.bytes,
        "macs": layer.macs,
        "weight_bits": layer.weights.bits if layer.weights else 0,
        "packing": layer.weights.packing if layer.weights else None,
        "weight_bytes": layer.weight_bytes,
        "table_bytes": layer.table_bytes,
        "scratch_bytes": layer.scratch_bytes,
        "scratch_offset": None if scratch is None else scratch.offset,
        "replaces": program.replaces(layer),
        "constants": list(constants),
        "traffic": dataclasses.asdict(layer.traffic),
    }
    if isinstance(op, RequantizedOp):
        described["requantize"] = op.requantize.kind
    return described
