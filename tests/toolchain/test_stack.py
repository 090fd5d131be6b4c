"""The stack analysis, on call graphs written by hand and on C whose frames are known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stq_deploy.boards.model import Stack
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.stack import (
    LIBRARY_ALLOWANCE_BYTES,
    CallGraph,
    StackUse,
    UnboundedStackError,
    analyse,
    read_call_graph,
)

STACK = Stack(
    bytes=8192,
    fault_bytes=1024,
    entry="reset",
    interrupts=["tick", "serial"],
    fault_entry="fault",
    interrupt_frame_bytes=108,
)
QUIET = {"tick": 0, "serial": 0, "fault": 0}


def graph(frames: dict[str, int], calls: dict[str, set[str]]) -> CallGraph:
    return CallGraph(QUIET | frames, calls)


def test_the_deepest_of_several_paths() -> None:
    frames = {"reset": 8, "main": 16, "a": 100, "b": 40, "c": 80}
    calls = {"reset": {"main"}, "main": {"a", "b"}, "b": {"c"}, "c": set()}
    use = analyse(graph(frames, calls), STACK)
    assert (use.program_bytes, use.path) == (8 + 16 + 40 + 80, ("reset", "main", "b", "c"))


def test_the_deepest_interrupt_comes_on_top() -> None:
    use = analyse(graph({"reset": 10, "tick": 4, "serial": 8, "put": 30}, {"serial": {"put"}}), STACK)
    assert (use.interrupt_bytes, use.bytes) == (108 + 38, 10 + 108 + 38)


def test_the_fault_handler_is_counted_apart() -> None:
    use = analyse(graph({"reset": 10, "fault": 8, "send": 200}, {"fault": {"send"}}), STACK)
    assert (use.bytes, use.fault_bytes) == (118, 208)


def test_a_function_without_source_is_allowed_for_and_named() -> None:
    use = analyse(graph({"reset": 8}, {"reset": {"__aeabi_ldivmod"}}), STACK)
    assert use.program_bytes == 8 + LIBRARY_ALLOWANCE_BYTES
    assert any("__aeabi_ldivmod" in text for text in use.assumptions)


def test_a_pointer_may_reach_every_function_whose_address_is_taken() -> None:
    given = graph({"reset": 8, "small": 8, "large": 300}, {"reset": {"__indirect_call"}})
    given.indirect = {"small", "large"}
    use = analyse(given, STACK)
    assert use.program_bytes == 308
    assert any("small" in text and "large" in text for text in use.assumptions)


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ({"reset": {"reset"}}, "reset -> reset"),
        ({"reset": {"a"}, "a": {"b"}, "b": {"a"}}, "a -> b -> a"),
    ],
)
def test_recursion_has_no_bound(calls: dict[str, set[str]], told: str) -> None:
    with pytest.raises(UnboundedStackError, match=told):
        analyse(graph({"reset": 8, "a": 8, "b": 8}, calls), STACK)


def test_a_frame_that_depends_on_data_has_no_bound() -> None:
    given = graph({"reset": 8, "a": 8}, {"reset": {"a"}})
    given.unbounded = {"a"}
    with pytest.raises(UnboundedStackError, match="frame of a depends on data"):
        analyse(given, STACK)


SOURCE = """
void sink(volatile char *p);
void sink(volatile char *p) { *p = 0; }
static __attribute__((noinline)) void deep(int n) { volatile char room[1000]; room[n] = 1; sink(room); }
static __attribute__((noinline)) void pointed(int n) { volatile char room[2000]; room[n] = 1; sink(room); }
static __attribute__((noinline)) void never(int n) { volatile char room[4000]; room[n] = 1; sink(room); }
static __attribute__((noinline)) void hidden(void) { volatile char room[500]; sink(room); }
void unused(void) { never(1); hidden(); }
void (*volatile pointer)(int) = pointed;
volatile int depth = 3;
void reset(void) { deep(depth); }
void tick(void) { pointer(4); }
void serial(void) {}
void fault(void) {}
"""


def measure(source: str, gcc: Compiler, folder: Path, assembly: dict[str, list[str]]) -> StackUse:
    (folder / "x.c").write_text(source)
    flags = ["-mcpu=cortex-m7", "-mthumb", *gcc.compile_flags]
    subprocess.run([*gcc.command, *flags, "-c", "x.c", "-o", "x.o"], cwd=folder, check=True, timeout=60)
    return analyse(read_call_graph([folder / "x.o"], assembly), STACK)


def near(value: int, room: int) -> bool:
    """A frame is its arrays and some saved registers."""
    return room <= value <= room + 64


def test_c_with_known_frames(gcc: Compiler, tmp_path: Path) -> None:
    use = measure(SOURCE, gcc, tmp_path, {})
    assert near(use.program_bytes, 1000)
    assert near(use.interrupt_bytes - STACK.interrupt_frame_bytes, 2000)
    assert use.path[0] == "reset" and use.path[1].startswith("deep")  # perhaps a clone of it
    assert any("pointed" in text for text in use.assumptions)
    assert not any("never" in text for text in use.assumptions)


def test_calls_in_assembly_are_added(gcc: Compiler, tmp_path: Path) -> None:
    use = measure(SOURCE, gcc, tmp_path, {"fault": ["hidden"]})
    assert near(use.fault_bytes, 500)


def test_c_with_an_array_of_variable_size(gcc: Compiler, tmp_path: Path) -> None:
    source = SOURCE.replace("volatile char room[1000]", "volatile char room[n * 100]")
    with pytest.raises(UnboundedStackError, match="depends on data"):
        measure(source, gcc, tmp_path, {})
