"""Which functions an inference runs, and how much work each does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stq_deploy.network import TensorType
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.elf import read_image
from stq_deploy.toolchain.hot_code import BEFORE_COPYING, ROOT, hot_functions, kernel_work
from stq_deploy.toolchain.stack_graph import INDIRECT_CALL, CallGraph, FunctionPlace
from tests.helpers.firmwares import small_program

CALLS = {
    "main": {ROOT, "poll"},
    ROOT: {"run_layer", "cycles"},
    "run_layer": {"convolve", "pool"},
    "convolve": {"requantize", "unpack", "memset"},
    "pool": {"requantize", "__aeabi_idiv"},
    BEFORE_COPYING: {"memset"},
    "memset": {"fill_words"},
}
WORK = {"convolve": 1000, "pool": 30}


def graph(calls: dict[str, set[str]], without_place: tuple[str, ...] = ("__aeabi_idiv",)) -> CallGraph:
    names = {*calls, *(name for callees in calls.values() for name in callees)} - {INDIRECT_CALL}
    placed = names - set(without_place)
    places = {name: FunctionPlace(Path(f"{name}.o"), f".text.{name}", 100) for name in placed}
    return CallGraph(calls=calls, places=places)


def works(found: CallGraph) -> dict[str, int]:
    return {function.name: function.work for function in hot_functions(found, WORK, dict.fromkeys(WORK, 1))}


def test_what_an_inference_calls_and_nothing_else_is_hot() -> None:
    """Not the functions that poll the link, nor library functions, whose code is in no object of ours. What start-up
    calls before anything is copied must stay in flash, with everything that it calls."""
    assert works(graph(CALLS)) == {
        "convolve": 1000,
        "cycles": 1030,
        "pool": 30,
        "requantize": 1030,
        "run_layer": 1030,
        ROOT: 1030,
        "unpack": 1000,
    }


def test_kernels_called_through_pointers_are_found() -> None:
    found = graph({**CALLS, "run_layer": {INDIRECT_CALL}})
    assert set(works(found)) == {ROOT, "run_layer", "cycles"}
    found.indirect = {"convolve"}
    assert {"convolve", "requantize", "unpack"} <= set(works(found))
    assert "pool" not in works(found)


def test_static_functions_of_equal_names_are_told_apart() -> None:
    found = hot_functions(graph({ROOT: {"a.c:helper", "b.c:helper"}}), {"convolve": 5}, {"convolve": 1})
    assert [(one.name, one.place.section) for one in found] == [
        ("helper", ".text.a.c:helper"),
        ("helper", ".text.b.c:helper"),
        (ROOT, f".text.{ROOT}"),
    ]


def test_the_work_of_a_kernel_is_that_of_all_its_layers() -> None:
    """A layer's work is its multiply-accumulates, or its elements, of which an int32 one is four bytes."""
    program = small_program()
    (dense,) = program.layers
    wide = TensorType((5, 80, 1), "int32", 0, 3, 1.0)
    convolve, pool = (replace(dense.function, function=name) for name in ("convolve", "pool"))
    layers = (
        replace(dense, function=convolve, macs=700),
        replace(dense, function=pool, macs=0),
        replace(dense, function=convolve, macs=300, output=wide),
    )
    assert kernel_work(replace(program, layers=layers)) == {"convolve": 700 + 400, "pool": 2}


def test_every_kernel_of_a_build_runs_from_tightly_coupled_memory(built: BuiltFirmware, board: Board) -> None:
    itcm = board.memory_named("itcm")
    hot = {one.part.name for one in built.placement.placed if one.part.group == "kernels" and one.memory == "itcm"}
    assert hot >= {layer.kernel for layer in built.layers} | {ROOT, "stq_network_run_layer"}
    inside = {s.name for s in read_image(built.elf).symbols if s.is_function and itcm.origin <= s.address < itcm.end}
    assert hot <= inside
    assert not inside & {"startup_reset", "main", BEFORE_COPYING, "stq_server_poll"}
