"""The stack analysis, on call graphs written by hand."""

from __future__ import annotations

import pytest

from stq_deploy.targets.boards.model import Stack
from stq_deploy.toolchain.stack import LIBRARY_ALLOWANCE_BYTES, analyse
from stq_deploy.toolchain.stack_graph import CallGraph, UnboundedStackError

STACK = Stack(
    bytes=8192,
    fault_bytes=1024,
    entry="reset",
    fault_entry="fault",
    interrupt_frame_bytes=108,
)
INTERRUPTS = ["tick", "serial"]
QUIET = {"tick": 0, "serial": 0, "fault": 0}


def graph(frames: dict[str, int], calls: dict[str, set[str]]) -> CallGraph:
    return CallGraph(QUIET | frames, calls)


def test_the_deepest_of_several_paths() -> None:
    frames = {"reset": 8, "main": 16, "a": 100, "b": 40, "c": 80}
    calls = {"reset": {"main"}, "main": {"a", "b"}, "b": {"c"}, "c": set()}
    use = analyse(graph(frames, calls), STACK, INTERRUPTS)
    assert (use.program_bytes, use.path) == (8 + 16 + 40 + 80, ("reset", "main", "b", "c"))


def test_the_deepest_interrupt_comes_on_top() -> None:
    use = analyse(graph({"reset": 10, "tick": 4, "serial": 8, "put": 30}, {"serial": {"put"}}), STACK, INTERRUPTS)
    assert (use.interrupt_bytes, use.bytes) == (108 + 38, 10 + 108 + 38)


def test_the_fault_handler_is_counted_apart() -> None:
    use = analyse(graph({"reset": 10, "fault": 8, "send": 200}, {"fault": {"send"}}), STACK, INTERRUPTS)
    assert (use.bytes, use.fault_bytes) == (118, 208)


def test_a_function_without_source_is_allowed_for_and_named() -> None:
    use = analyse(graph({"reset": 8}, {"reset": {"__aeabi_ldivmod"}}), STACK, INTERRUPTS)
    assert use.program_bytes == 8 + LIBRARY_ALLOWANCE_BYTES
    assert any("__aeabi_ldivmod" in text for text in use.assumptions)


def test_a_pointer_may_reach_every_function_whose_address_is_taken() -> None:
    given = graph({"reset": 8, "small": 8, "large": 300}, {"reset": {"__indirect_call"}})
    given.indirect = {"small", "large"}
    use = analyse(given, STACK, INTERRUPTS)
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
        analyse(graph({"reset": 8, "a": 8, "b": 8}, calls), STACK, INTERRUPTS)


def test_a_frame_that_depends_on_data_has_no_bound() -> None:
    given = graph({"reset": 8, "a": 8}, {"reset": {"a"}})
    given.unbounded = {"a"}
    with pytest.raises(UnboundedStackError, match="frame of a depends on data"):
        analyse(given, STACK, INTERRUPTS)
