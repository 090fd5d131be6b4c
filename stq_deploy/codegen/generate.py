"""Program -> C sources and manifest, through the templates in `firmware_templates/network/`.

Untrusted text (names of layers and tensors, the command line) is neutralized here, before a template sees it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from stq_deploy.codegen import calls, literals
from stq_deploy.codegen.conversion import conversion_of
from stq_deploy.codegen.interface import class_names, input_port, output_ports, threshold
from stq_deploy.codegen.manifest import NAME, describe_program
from stq_deploy.codegen.names import DEFAULT_NAME, checked_name
from stq_deploy.codegen.text import comment, identifier, string_literal
from stq_deploy.common.files import write_whole
from stq_deploy.common.resources import firmware_templates
from stq_deploy.network import Network
from stq_deploy.program import Layer, Program
from stq_deploy.program.kernels.call import SCRATCH, CallContext, Constant, KernelCall
from stq_deploy.program.layer_time import slowest_layer_cycles

TEMPLATES = {
    "{p}.h": "model.h.j2",
    "{p}.c": "model.c.j2",
    "{p}_weights.h": "model_weights.h.j2",
    "{p}_weights.c": "model_weights.c.j2",
    "{p}_memory.c": "model_memory.c.j2",
    "{p}_io.c": "model_io.c.j2",
    "served/network.h": "served_network.h.j2",
    "served/network.c": "served_network.c.j2",
}
"""File -> its template; `p` is the network's name in C."""


@dataclass(frozen=True, eq=False)
class Generated:
    """The files that `generate` wrote.

    Attributes:
        folder: holds all files; its `served/` holds those that only the firmware's server and the host library need.
        sources: the C files to compile.
        include_folders: folders of their headers.
        manifest: path of manifest.json.
        constants: C names of each layer's arrays.
    """

    folder: Path
    sources: tuple[Path, ...]
    include_folders: tuple[Path, ...]
    manifest: Path
    constants: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class LayerView:
    """A layer as the templates see it; every text is fit for its place in C.

    Attributes:
        function: identifier of the function that runs it.
        title: `conv2d (convolve), for conv2d, bn, act`, for a comment.
        facts: shapes, types and other facts, for a comment.
        name, op: string literals.
        call: the statements that call the kernel.
        structs: its parameters, each the lines of its definition.
        constants: its arrays.
        output_offset: where the output lies in the arena.
    """

    index: int
    function: str
    title: str
    facts: str
    name: str
    op: str
    call: str
    structs: tuple[tuple[str, ...], ...]
    constants: tuple[Constant, ...]
    output_offset: int
    output_bytes: int
    macs: int


@dataclass(frozen=True)
class TensorView:
    """A tensor of the arena as the templates see it."""

    macro: str
    c_type: str
    offset: int
    note: str


def generate(
    program: Program,
    out_dir: str | os.PathLike[str],
    *,
    command: str,
    tool_version: str,
    name: str = DEFAULT_NAME,
) -> Generated:
    """Write the files of `TEMPLATES` and manifest.json into `out_dir`, which is created if absent.

    Equal arguments give equal bytes: no dates, no paths of this machine.

    Args:
        name: the network's name in C, the prefix of its files and symbols.
        command: the command line that the files' headers name.
        tool_version: stq-deploy's version, which the headers name as well.

    Raises:
        StqError: no network can have this name, or `out_dir` cannot be written.
    """
    prefix = checked_name(name)
    macros = _tensor_macros(program.network)
    layers = [_layer_view(program, layer, macros, prefix) for layer in program.layers]
    facts = {"p": prefix, "P": prefix.upper(), "command": comment(command), "tool_version": comment(tool_version)}
    facts["tool_version_literal"] = string_literal(tool_version)
    context = facts | _template_context(program, macros, layers)
    constants = tuple(tuple(constant.name for constant in layer.constants) for layer in layers)
    manifest = describe_program(program, constants, command=command, tool_version=tool_version)
    environment = _environment()
    rendered = {
        file.format(p=prefix): environment.get_template(template).render(context)
        for file, template in TEMPLATES.items()
    }
    folder = Path(out_dir)
    for file, text in rendered.items():
        write_whole(folder / file, text)
    # Last, so that a manifest is never beside sources it does not describe.
    write_whole(folder / NAME, json.dumps(manifest, sort_keys=True, indent=1) + "\n")
    sources = tuple(folder / file for file in rendered if file.endswith(".c"))
    return Generated(folder, sources, (folder, folder / "served"), folder / NAME, constants)


def _addresses(macros: dict[str, str]) -> dict[str, str]:
    """Tensor -> C expression of its address, where a context `network` is at hand."""
    return {name: f"{macro}(network)" for name, macro in macros.items()}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 - C, not HTML; `codegen.text` neutralizes
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


def _template_context(program: Program, macros: dict[str, str], layers: Sequence[LayerView]) -> dict[str, object]:
    network = program.network
    model_hash = network.sha256()
    tensors = _addresses(macros)
    return {
        "model_hash": model_hash,
        "model_hash_bytes": [f"0x{byte:02x}" for byte in bytes.fromhex(model_hash)],
        "layers": layers,
        "tensors": [_tensor_view(program, name, macro) for name, macro in macros.items()],
        "constants": [(layer, constant) for layer in layers for constant in layer.constants],
        "c_types": literals.C_TYPES,
        "input": input_port(program, tensors),
        "outputs": output_ports(program, tensors),
        "conversion": conversion_of(network),
        "pixel_range": [f"{value:g}" for value in network.input_range],
        "threshold": threshold(network),
        "class_names": [string_literal(name) for name in class_names(network)],
        "has_noise": network.has_noise,
        "slowest_layer_cycles": slowest_layer_cycles(program),
        "arena_bytes": program.arena.bytes,
        "arena_lower_bound": program.arena.lower_bound,
        "scratch_bytes": -(-program.separate_scratch_bytes // 4) * 4,
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


def _layer_view(program: Program, layer: Layer, macros: dict[str, str], prefix: str) -> LayerView:
    op = layer.op
    tensors, own = _addresses(macros), identifier("layer", layer.index, op.name)
    pointers = tuple(tensors[name] for name in op.inputs)
    call = layer.spec.emit(CallContext(layer.work, pointers, tensors[op.output], lambda what: f"{prefix}_{what}_{own}"))
    shapes = [f"{literals.shape(t.shape)} {t.dtype}" for t in (*layer.inputs, layer.output)]
    return LayerView(
        index=layer.index,
        function=own,
        title=_title(op.name, op.kind, op.sources),
        facts=", ".join(_facts(layer, call, shapes)),
        name=string_literal(op.name),
        op=string_literal(op.kind),
        call=_statements(layer.kernel, call),
        structs=(*_scratch(program, layer, call), *(calls.definition(struct) for struct in call.structs)),
        constants=call.constants,
        output_offset=program.offset(op.output),
        output_bytes=layer.output.bytes,
        macs=layer.macs,
    )


def _scratch(program: Program, layer: Layer, call: KernelCall) -> tuple[tuple[str, ...], ...]:
    """The context of a layer whose kernel has scratch memory, as the lines of its definition."""
    if SCRATCH not in call.arguments:
        return ()
    place = program.scratch_of(layer)
    if place is None:
        return (("const stq_context scratch = network->scratch;",),)
    return ((f"const stq_context scratch = {{.buffer = network->arena + {place.offset}, .size = {place.bytes}}};",),)


def _statements(kernel: str, call: KernelCall) -> str:
    arguments = calls.arguments(call.arguments)
    if call.finish is None:
        return literals.call(kernel, arguments)
    first = literals.call(kernel, arguments, before="const stq_status status = ")
    check = "    if (status != STQ_OK) {\n        return status;\n    }"
    return "\n".join([first, check, literals.call(call.finish.function, calls.arguments(call.finish.arguments))])


def _title(name: str, kind: str, sources: Sequence[str]) -> str:
    merged = f", from {', '.join(sources)}" if tuple(sources) not in ((), (name,)) else ""
    return comment(f"{name} ({kind}{merged})")


def _facts(layer: Layer, call: KernelCall, shapes: Sequence[str]) -> list[str]:
    facts = [f"{' and '.join(shapes[:-1])} -> {shapes[-1]}", *call.notes]
    if layer.macs:
        facts.append(f"{layer.macs:,} MACs")
    return facts
