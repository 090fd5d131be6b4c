"""Program -> C sources and manifest, through the templates in `firmware_templates/network/`.

Text of the model's (names of layers and tensors, the command line) is neutralised here, before a template
sees it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from stq_deploy.codegen import literals
from stq_deploy.codegen.emitters import LayerCode, LayerContext, emit_layer
from stq_deploy.codegen.emitters.base import CONTEXT
from stq_deploy.codegen.manifest import NAME, describe_program
from stq_deploy.codegen.text import comment, identifier, string_literal
from stq_deploy.files import write_whole
from stq_deploy.network import Network
from stq_deploy.program import Layer, Program
from stq_deploy.program.layer_time import slowest_layer_cycles
from stq_deploy.resources import firmware_templates

TEMPLATES = ("network.h", "network.c", "weights.h", "weights.c")


@dataclass(frozen=True, eq=False)
class Generated:
    """What `generate` wrote.

    Attributes:
        folder: holds all of it.
        sources: the C files to compile; headers lie beside them.
        manifest: path of manifest.json.
        constants: C names of each layer's arrays in weights.c.
    """

    folder: Path
    sources: tuple[Path, ...]
    manifest: Path
    constants: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class LayerView:
    """A layer as the templates see it; every text is fit for its place in C.

    Attributes:
        function: identifier of the function that runs it.
        title: `conv2d (convolve), for conv2d, bn, act`, for a comment.
        facts: shapes, types and the like, for a comment.
        name, op: string literals.
        call: the statement that calls the kernel.
        output: C expression of the output's address.
    """

    index: int
    function: str
    title: str
    facts: str
    name: str
    op: str
    call: str
    code: LayerCode
    output: str
    output_bytes: int
    macs: int


@dataclass(frozen=True)
class TensorView:
    """A tensor of the arena as the templates see it."""

    macro: str
    c_type: str
    offset: int
    note: str


def generate(program: Program, out_dir: str | os.PathLike[str], *, command: str, tool_version: str) -> Generated:
    """Write network.h, network.c, weights.h, weights.c and manifest.json into `out_dir`, made if need be.

    Equal arguments give equal bytes: no dates, no paths of this machine.

    Args:
        command: the command line to name in the files' headers.
        tool_version: stq-deploy's version, likewise.

    Raises:
        StqError: `out_dir` cannot be written.
    """
    tensors = _tensor_macros(program.network)
    layers = [_layer_view(layer, tensors) for layer in program.layers]
    context = _template_context(program, tensors, layers, command=command, tool_version=tool_version)
    constants = tuple(tuple(constant.name for constant in layer.code.constants) for layer in layers)
    manifest = describe_program(program, constants, command=command, tool_version=tool_version)
    environment = _environment()
    rendered = {name: environment.get_template(f"{name}.j2").render(context) for name in TEMPLATES}
    folder = Path(out_dir)
    for name, text in rendered.items():
        write_whole(folder / name, text)
    # Last, so that a manifest is never beside sources it does not describe.
    write_whole(folder / NAME, json.dumps(manifest, sort_keys=True, indent=1) + "\n")
    sources = tuple(folder / name for name in TEMPLATES if name.endswith(".c"))
    return Generated(folder, sources, folder / NAME, constants)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 - C, not HTML; `codegen.text` neutralises
        loader=jinja2.FileSystemLoader(firmware_templates() / "network"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "grouped": lambda number: f"{number:,}",
        "initializers": literals.initializers,
        "uint32": literals.uint32,
        "wrap": literals.wrap,
    }
    return environment


def _template_context(
    program: Program, tensors: dict[str, str], layers: Sequence[LayerView], *, command: str, tool_version: str
) -> dict[str, object]:
    network = program.network
    model_hash = network.sha256()
    return {
        "tool_version": comment(tool_version),
        "command": comment(command),
        "model_hash": model_hash,
        "model_hash_bytes": [f"0x{byte:02x}" for byte in bytes.fromhex(model_hash)],
        "layers": layers,
        "tensors": [_tensor_view(program, name, macro) for name, macro in tensors.items()],
        "constants": [(layer, constant) for layer in layers for constant in layer.code.constants],
        "c_types": literals.C_TYPES,
        "input_macro": tensors[network.input],
        "input_type": literals.STQ_TYPES[network.input_type.dtype],
        "input_bytes": network.input_type.bytes,
        "input_minimum": network.input_type.minimum,
        "input_maximum": network.input_type.maximum,
        "slowest_layer_cycles": slowest_layer_cycles(program),
        "output_macro": tensors[network.outputs[0]],
        "output_count": network.output_type.elements,
        "output_type": literals.STQ_TYPES[network.output_type.dtype],
        "arena_bytes": program.arena.bytes,
        "arena_lower_bound": program.arena.lower_bound,
        "scratch_words": -(-program.scratch_bytes // 4),
        "uses_context": any(CONTEXT in layer.code.arguments for layer in layers),
    }


def _tensor_macros(network: Network) -> dict[str, str]:
    """Tensor -> name of the macro that is its address, in the order tensors are written."""
    names = [network.input, *(op.output for op in network.ops)]
    return {name: identifier("tensor", i, name).upper() for i, name in enumerate(names)}


def _tensor_view(program: Program, name: str, macro: str) -> TensorView:
    tensor, (first, last) = program.network.tensors[name], program.lifetime(name)
    start = "the start" if first < 0 else f"layer {first}"
    end = "the end" if last == len(program.layers) else f"layer {last}"
    note = f"{literals.shape(tensor.shape)}, memory in use from {start} to {end}"
    return TensorView(macro, literals.C_TYPES[tensor.dtype], program.offset(name), note)


def _layer_view(layer: Layer, tensors: dict[str, str]) -> LayerView:
    op = layer.op
    code = emit_layer(LayerContext(layer, tensors))
    shapes = [f"{literals.shape(t.shape)} {t.dtype}" for t in (*layer.inputs, layer.output)]
    return LayerView(
        index=layer.index,
        function=identifier("layer", layer.index, op.name),
        title=_title(op.name, op.kind, op.sources),
        facts=", ".join(_facts(layer, code, shapes)),
        name=string_literal(op.name),
        op=string_literal(op.kind),
        call=literals.call(layer.kernel, code.arguments),
        code=code,
        output=tensors[op.output],
        output_bytes=layer.output.bytes,
        macs=layer.macs,
    )


def _title(name: str, kind: str, sources: Sequence[str]) -> str:
    merged = f", from {', '.join(sources)}" if tuple(sources) not in ((), (name,)) else ""
    return comment(f"{name} ({kind}{merged})")


def _facts(layer: Layer, code: LayerCode, shapes: Sequence[str]) -> list[str]:
    facts = [f"{' and '.join(shapes[:-1])} -> {shapes[-1]}", *code.notes]
    if layer.macs:
        facts.append(f"{layer.macs:,} MACs")
    return facts
