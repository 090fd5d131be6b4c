"""Program -> firmware: generate, lay out, compile, place, link, measure; all of the folder or nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from stq_deploy import __version__
from stq_deploy.codegen import Generated, generate
from stq_deploy.codegen.names import DEFAULT_NAME
from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.common.progress import Progress, silent
from stq_deploy.program import Program
from stq_deploy.targets.boards import Board
from stq_deploy.targets.boards.override import with_places
from stq_deploy.toolchain import images
from stq_deploy.toolchain.build_folder import REPORT, listed_files, replaced_build
from stq_deploy.toolchain.built import BIN, ELF, HEX, MAP, NETWORK_FOLDER, BuiltFirmware
from stq_deploy.toolchain.compile import OBJECTS, Builder
from stq_deploy.toolchain.compilers import Compiler, find_compiler
from stq_deploy.toolchain.copies import copy_rule
from stq_deploy.toolchain.elf import Image, read_image
from stq_deploy.toolchain.hot_code import hot_functions, kernel_layers, kernel_work
from stq_deploy.toolchain.layout import laid_out_for
from stq_deploy.toolchain.network_alone import measure_alone
from stq_deploy.toolchain.parts import find_parts
from stq_deploy.toolchain.placement import (
    LayerNeeds,
    Placement,
    linked_bytes,
    measuring_bytes,
    place,
    unplaced,
)
from stq_deploy.toolchain.project import (
    BUILD_ID_BYTES,
    BUILD_ID_SOURCE,
    lay_out,
    write_build_id,
    write_linker_script,
    write_makefile,
)
from stq_deploy.toolchain.sizes import memory_use
from stq_deploy.toolchain.stack import StackUse, analyse, read_call_graph
from stq_deploy.toolchain.stack_graph import CallGraph, UnboundedStackError

LOG_ENDING = ".compile-errors.log"
"""Put behind the folder's name: a file beside the folder that is ours to replace and remove."""

Pages = Callable[[BuiltFirmware], dict[str, str]]
"""Makes further files of a build, name -> text."""


def build_firmware(
    program: Program,
    board: Board,
    out_dir: str | os.PathLike[str],
    *,
    compiler: Compiler | None = None,
    command: str = "stq-deploy build",
    places: dict[str, list[str]] | None = None,
    name: str = DEFAULT_NAME,
    pages: Pages | None = None,
    progress: Progress = silent,
) -> BuiltFirmware:
    """Build the firmware of a program for a board into `out_dir`, in place of a former build there.

    The arena holds the kernels' scratch memory or not, as suits the board (`layout.laid_out_for`). Otherwise the
    firmware runs `program` as it is. Equal arguments give equal bytes, wherever `out_dir` is. Files that no build wrote
    stay (`build_folder`).

    Args:
        compiler: None takes the first that `find_compiler` finds.
        command: named in the headers of generated files, and so part of the build id.
        places: other memories than the board's file says for some parts, as `boards.override` gives them.
        name: of the network in C, the prefix of its files and symbols.
        pages: makes further files for the folder.

    Raises:
        StqError: no compiler; the program does not fit the board; the sources do
            not compile (the log is then `<out_dir>.compile-errors.log`); `out_dir` is in use, holds something that is
            not a build, or cannot be written.
    """
    compiler = compiler or find_compiler()
    places = places or {}
    board = with_places(board, places)
    program = laid_out_for(program, board, places)
    with replaced_build(out_dir) as (out, folder):
        progress("generating C", 0, 1)
        generated = generate(program, folder / NETWORK_FOLDER, command=command, tool_version=__version__, name=name)
        project = lay_out(folder, board, {layer.function for layer in program.layers})
        builder = Builder(project, board, compiler, out.with_name(out.name + LOG_ENDING))
        progress("generating C", 1, 1)
        objects = builder.compile(project.sources, lambda done: progress("compiling", done, len(project.sources)))
        progress("linking and measuring", 0, 1)
        graph, unbounded = _read_calls(builder, objects)
        placement = _measure_and_place(builder, objects, program, generated, graph, places)
        build_id = _link(builder, objects, placement)
        image = read_image(folder / ELF)
        stack, reason = _measure_stack(builder, graph, unbounded)
        kernel_bytes = {layer.kernel: image.symbol_bytes(layer.kernel) for layer in program.layers}
        built = BuiltFirmware(
            Path(out_dir), program, board.name, compiler.family, compiler.version, build_id, placement,
            memory_use(image, board), measure_alone(builder, objects, name, program, graph), kernel_bytes,
            stack, reason, files={},
        )  # fmt: skip
        _write_images(folder, image)
        write_makefile(project, board, compiler)
        shutil.rmtree(folder / OBJECTS)
        for page, text in (pages(built) if pages else {}).items():
            write_whole(folder / page, text)
        built = dataclasses.replace(built, files=listed_files(folder))
        write_whole(folder / REPORT, json.dumps(built.to_json(), indent=1, sort_keys=True) + "\n")
        progress("linking and measuring", 1, 1)
    builder.remove_log()  # a former failure's
    return built


def _read_calls(builder: Builder, objects: list[str]) -> tuple[CallGraph | None, str]:
    """The program's call graph, or why there is none."""
    paths = [builder.project.folder / name for name in objects]
    try:
        return read_call_graph(paths, builder.compiler.family, builder.board.stack.assembly_calls), ""
    except UnboundedStackError as error:
        return None, str(error)


def _measure_and_place(
    builder: Builder,
    objects: list[str],
    program: Program,
    generated: Generated,
    graph: CallGraph | None,
    asked: Iterable[str],
) -> Placement:
    """Link once with memories of any size, and choose places by what came out."""
    project, board = builder.project, builder.board
    # A build id of the right size: the true one is a hash over the linker script that this link decides on.
    (project.folder / BUILD_ID_SOURCE).write_text(
        f'#include "stq_server.h"\nconst uint8_t stq_build_id[{BUILD_ID_BYTES}] = {{0}};\n'
    )
    (placeholder,) = builder.compile([BUILD_ID_SOURCE])
    write_linker_script(project, board, unplaced(board), measuring_bytes(board))
    measured = f"{OBJECTS}/measured.elf"
    builder.link([*objects, placeholder], measured, f"{OBJECTS}/measured.map")
    (project.folder / BUILD_ID_SOURCE).unlink()
    image = read_image(project.folder / measured)
    # Without a call graph nobody knows what an inference runs, and all code stays in flash.
    functions = hot_functions(graph, kernel_work(program), kernel_layers(program)) if graph else []
    parts = find_parts(image, program, generated.constants, functions, project.folder)
    needs = [LayerNeeds(layer.name, layer.constant_bytes, program.ram_bytes(layer)) for layer in program.layers]
    return place(parts, image, board, needs, asked, copy_rule(program, board).pays)


def _link(builder: Builder, objects: list[str], placement: Placement) -> str:
    project, board = builder.project, builder.board
    write_linker_script(project, board, placement, linked_bytes(board, placement))
    build_id = write_build_id(project, builder.compiler, builder.flags)
    builder.link([*objects, *builder.compile([BUILD_ID_SOURCE])], ELF, MAP)
    return build_id


def _measure_stack(builder: Builder, graph: CallGraph | None, reason: str) -> tuple[StackUse | None, str]:
    """The worst-case stack, or why there is no bound; StqError if it exceeds what is reserved."""
    if graph is None:
        return None, reason
    reserved = builder.board.stack
    try:
        use = analyse(graph, reserved, builder.board.interrupts.handlers)
    except UnboundedStackError as error:
        return None, str(error)
    for what, needed, room in (
        ("program and interrupts", use.bytes, reserved.bytes),
        ("the fault handler", use.fault_bytes, reserved.fault_bytes),
    ):
        if needed > room:
            raise StqError(
                f"the stack of {what} may need {needed:,} bytes; {room:,} are reserved",
                cause="the deepest path is " + " -> ".join(use.path),
                next=f"reserve more under [stack] in boards/{builder.board.name}/board.toml",
            )
    return use, ""


def _write_images(folder: Path, image: Image) -> None:
    (folder / BIN).write_bytes(images.binary(image)[1])
    (folder / HEX).write_text(images.intel_hex(image))
    if not (folder / MAP).exists():
        (folder / MAP).write_text(images.text_map(image))
