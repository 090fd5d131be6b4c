"""Call graphs and frames as each compiler tells them, of C where they are known."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from stq_deploy.targets.boards import Board
from stq_deploy.targets.boards.model import Stack
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.elf import read_image
from stq_deploy.toolchain.stack import StackUse, analyse, read_call_graph
from stq_deploy.toolchain.stack_graph import INDIRECT_CALL, CallGraph, UnboundedStackError
from stq_deploy.toolchain.stack_objects import add_calls, read_object
from tests.helpers.toolchain import COMPILERS

STACK = Stack(
    bytes=8192,
    fault_bytes=1024,
    entry="reset",
    fault_entry="fault",
    interrupt_frame_bytes=108,
)
INTERRUPTS = ["tick", "serial"]
SOURCE = """
void sink(volatile char *p);
void sink(volatile char *p) { *p = 0; }
#define FUNCTION static __attribute__((noinline)) void
FUNCTION inner(int n) { volatile char room[300]; room[n] = 1; sink(room); }
FUNCTION deep(int n) { volatile char room[1000]; inner(n); room[n] = 1; sink(room); }
FUNCTION pointed(int n) { volatile char room[2000]; room[n] = 1; sink(room); }
FUNCTION never(int n) { volatile char room[4000]; room[n] = 1; sink(room); }
volatile int depth = 3;
FUNCTION hidden(void) { volatile char room[500]; room[depth] = 1; sink(room); }
void (*volatile pointer)(int) = pointed;
void unused(void) { never(depth); hidden(); }
void reset(void) { deep(depth); }
void tick(void) { pointer(4); depth = 1; }
void serial(void) {}
__attribute__((naked)) void fault(void) { __asm volatile("cpsid i\\n ldr r1, =0x20000100\\n mov sp, r1"); }
"""


def compiled(source: str, compiler: Compiler, board: Board, folder: Path, name: str = "x") -> Path:
    (folder / f"{name}.c").write_text(source)
    driver = [*compiler.command, *(["cc"] if compiler.family == "zig" else [])]
    command = [*driver, *board.cpu.flags[compiler.family], *compiler.compile_flags, "-c", f"{name}.c"]
    environment = os.environ | compiler.environment
    subprocess.run([*command, "-o", f"{name}.o"], cwd=folder, check=True, timeout=60, env=environment)
    return folder / f"{name}.o"


def graph_of(source: str, compiler: Compiler, board: Board, folder: Path) -> CallGraph:
    return read_call_graph([compiled(source, compiler, board, folder)], compiler.family, {})


def measure(source: str, compiler: Compiler, board: Board, folder: Path) -> StackUse:
    return analyse(graph_of(source, compiler, board, folder), STACK, INTERRUPTS)


def near(value: int, room: int) -> bool:
    """A frame is its arrays and some saved registers."""
    return room <= value <= room + 64


def test_nested_calls_with_known_frames(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    use = measure(SOURCE, compiler, board, tmp_path)
    assert near(use.program_bytes, 1300)
    assert use.path[0] == "reset" and [name.partition(".")[0] for name in use.path[1:3]] == ["deep", "inner"]
    assert near(use.interrupt_bytes - STACK.interrupt_frame_bytes, 2000)
    assert any("pointed" in text for text in use.assumptions)
    assert not any("never" in text for text in use.assumptions)
    assert use.fault_bytes == 0


def test_calls_in_assembly_are_added(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    path = compiled(SOURCE, compiler, board, tmp_path)
    use = analyse(read_call_graph([path], compiler.family, {"fault": ["hidden"]}), STACK, INTERRUPTS)
    assert near(use.fault_bytes, 500)


@pytest.mark.parametrize(
    "body",
    ["volatile char room[n * 100];", "volatile char *room = __builtin_alloca((unsigned)n);"],
    ids=["array", "alloca"],
)
def test_a_frame_of_variable_size_has_no_bound(body: str, compiler: Compiler, board: Board, tmp_path: Path) -> None:
    source = SOURCE.replace("volatile char room[1000];", body)
    with pytest.raises(UnboundedStackError, match="the frame of deep depends on data"):
        measure(source, compiler, board, tmp_path)


def test_a_frame_aligned_when_it_runs(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    """clang states its size before the alignment, which is not a bound; GCC's includes it."""
    source = SOURCE.replace("volatile char room[1000];", "_Alignas(128) volatile char room[1024];")
    if compiler.family == "zig":
        with pytest.raises(UnboundedStackError, match="deep"):
            measure(source, compiler, board, tmp_path)
    else:
        assert measure(source, compiler, board, tmp_path).program_bytes >= 1324 + 128 - 8


def test_recursion_inside_of_a_section(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    """clang's call of a static function by itself has no relocation."""
    recursive = "FUNCTION deep(int n) { volatile char a[8]; a[0] = 1; if (n) { deep(n - 1); deep(depth); } sink(a); }"
    source = SOURCE.replace("FUNCTION deep(int n) {", f"volatile int depth;\n{recursive}\nFUNCTION other(int n) {{")
    with pytest.raises(UnboundedStackError, match=r"recursion: deep.* -> deep"):
        measure(source, compiler, board, tmp_path)


def test_recursion_through_another(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    source = SOURCE.replace(
        "FUNCTION inner(int n) {", "FUNCTION deep(int n);\nFUNCTION inner(int n) { if (n) deep(n / 2);"
    )
    with pytest.raises(UnboundedStackError, match="recursion: deep -> inner -> deep"):
        measure(source, compiler, board, tmp_path)


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("pointer(1); depth = 2;", {INDIRECT_CALL}),
        ("pointer(1);", {INDIRECT_CALL}),  # a jump
        ("sink(0);", {"sink"}),
        ("depth = 1; long_division(depth);", {"long_division"}),
        ("if (depth) { pointer(1); } long_division(2); long_division(3);", {INDIRECT_CALL, "long_division"}),
        ("switch (depth) { case 0: case 1: depth = 7; break; case 2: depth = 9; break; case 3: long_division(1); }"
         " depth = 4;", {"long_division"}),
        ("depth = 5;", set()),
    ],
)  # fmt: skip
def test_every_kind_of_call(body: str, calls: set[str], compiler: Compiler, board: Board, tmp_path: Path) -> None:
    source = f"""
    extern void sink(char *p);
    extern void long_division(int n);
    extern volatile int depth;
    extern void (*volatile pointer)(int);
    void caller(void) {{ {body} }}
    """
    graph = graph_of(source, compiler, board, tmp_path)
    assert graph.calls.get("caller", set()) == calls


def test_static_functions_of_equal_name_are_told_apart(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    source = """
    static __attribute__((noinline)) void same(volatile char *p) {{ volatile char room[{0}]; room[*p] = 1; }}
    void (*volatile pointer_{1})(volatile char *);
    void user_{1}(volatile char *p) {{ pointer_{1} = {2}; same(p); }}
    """
    paths = [
        compiled(source.format(100, "a", "0"), compiler, board, tmp_path, "a"),
        compiled(source.format(900, "b", "same"), compiler, board, tmp_path, "b"),
    ]
    graph = read_call_graph(paths, compiler.family, {})
    for user, room in (("user_a", 100), ("user_b", 900)):
        (callee,) = graph.calls[user]
        assert near(graph.frames[callee], room)
    assert graph.indirect == graph.calls["user_b"]


def test_a_weak_function_is_called_by_its_name(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    """As the kernels of kernels/instances.c are; GCC writes their titles as those of static functions."""
    weak = """
    void sink(volatile char *p);
    static __attribute__((noinline)) void part(int n) { volatile char room[700]; room[n] = 1; sink(room); }
    __attribute__((weak)) void kernel(int n) { volatile char room[400]; part(n); room[n] = 1; sink(room); }
    """
    caller = """
    void sink(volatile char *p);
    void sink(volatile char *p) { *p = 0; }
    void kernel(int n);
    void reset(void) { kernel(1); }
    void tick(void) {}
    void serial(void) {}
    __attribute__((naked)) void fault(void) { __asm volatile("cpsid i\\n ldr r1, =0x20000100\\n mov sp, r1"); }
    """
    objects = [compiled(text, compiler, board, tmp_path, name) for name, text in (("w", weak), ("c", caller))]
    graph = read_call_graph(objects, compiler.family, {})
    assert near(graph.frames["kernel"], 400)
    assert graph.places["kernel"].section == ".text.kernel"
    found = analyse(graph, STACK, INTERRUPTS)
    assert list(found.path[:2]) == ["reset", "kernel"]
    assert near(found.program_bytes, 700 + 400)


def test_memory_helpers_of_the_run_time_abi_call_ours(board: Board, tmp_path: Path) -> None:
    zig = next((compiler for compiler in COMPILERS.values() if compiler.family == "zig"), None)
    if zig is None:
        pytest.skip("zig is not installed")
    source = "struct s { int a[200]; }; void clear(struct s *p); void clear(struct s *p) { *p = (struct s){{0}}; }"
    graph = graph_of(source, zig, board, tmp_path)
    (helper,) = graph.calls["clear"]
    assert helper.startswith("__aeabi_memclr")
    assert graph.calls[helper] == {"memset"}


def test_functions_in_one_section_are_refused(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    """Calls among them need no relocation, so a bound of theirs would be wrong."""
    place = '__attribute__((section(".text.fast"), noinline))'
    source = f"""
    volatile int v;
    {place} void a(void) {{ v = 1; }}
    {place} void b(void) {{ a(); v = 2; }}
    """
    with pytest.raises(UnboundedStackError, match="a and b share a section"):
        graph_of(source, compiler, board, tmp_path)


def test_relocations_give_the_graph_that_gcc_writes(built: BuiltFirmware, objects: list[Path], board: Board) -> None:
    """The firmware's objects, read in both ways. Relocations tell of calls in assembly, too."""
    if built.compiler_family != "gcc":
        pytest.skip("only GCC writes a call graph")
    written = read_call_graph(objects, "gcc", board.stack.assembly_calls)
    derived = CallGraph()
    for path in objects:
        (source,) = re.findall(r'^graph: \{ title: "(.+?)"', path.with_suffix(".ci").read_text(), re.M)
        add_calls(derived, read_object(path, source))
    assert derived.calls == written.calls
    assert sum(len(callees) for callees in written.calls.values()) > 50
    assert any(":" in caller for caller in written.calls)


def test_every_function_of_the_firmware_has_a_frame(built: BuiltFirmware, objects: list[Path], board: Board) -> None:
    graph = read_call_graph(objects, built.compiler_family, board.stack.assembly_calls)
    ours = {title.rpartition(":")[2] for title in graph.frames}
    linked = {symbol.name for symbol in read_image(built.elf).symbols if symbol.is_function}
    library = {name for name in linked if name.startswith(("__aeabi_", "compiler_rt."))}
    jumps = {name for name in linked if name.endswith("_veneer") or "LongThunk" in name}  # the linkers' own
    assert linked - library - jumps <= ours
    assert not graph.unbounded


PUSHES = {
    "push {r4, lr}": 8,
    "push.w {r4, r8, lr}": 12,
    "str r8, [sp, #-4]!": 4,
    "str r1, [sp, #-8]!": 8,
    "strb r1, [sp, #-1]!": 1,
    "str r1, [sp], #-4": 4,
    "strd r0, r1, [sp, #-16]!": 16,
    "strd r0, r1, [sp], #-8": 8,
    "stmdb sp!, {r0-r3}": 16,
    "vpush {d8-d9}": 16,
    "vpush {s1}": 4,
    "sub sp, sp, #508": 508,
    "sub.w sp, sp, #512": 512,
    "sub.w sp, sp, #0x00120012": 0x120012,
    "sub.w sp, sp, #0x3FC00": 0x3FC00,
    "subw sp, sp, #2052": 2052,
    "pop {r4}": 0,
    "str r1, [sp, #-4]": 0,
    "str r1, [sp, #8]!": 0,
    "ldr r1, [sp], #8": 0,
    "strd r0, r1, [sp, #-8]": 0,
    "strd r0, r1, [sp, #8]!": 0,
    "strd r0, r1, [r2, #-8]!": 0,
    "str r1, [r2, #-8]!": 0,
    "str r1, [sp, r2]": 0,
    "add sp, sp, #8": 0,
    "sub.w r0, sp, #512": 0,
    "sub.w r0, r0, #512": 0,
    "cmp sp, #512": 0,
    "vpop {d8}": 0,
}


def test_what_assembly_pushes_is_counted(compiler: Compiler, board: Board, tmp_path: Path) -> None:
    """The assembler encodes each instruction, alone in a naked function, whose frame compilers state as 0."""
    source = "".join(
        f'__attribute__((naked)) void f{i}(void) {{ __asm volatile("{text}\\n bx lr"); }}\n'
        for i, text in enumerate(PUSHES)
    )
    graph = graph_of(source, compiler, board, tmp_path)
    assert {text: graph.frames[f"f{i}"] for i, text in enumerate(PUSHES)} == PUSHES


@pytest.mark.parametrize("room", [200, 2000, 6000, 70_000])
def test_pushes_of_assembly_come_on_top_of_the_compilers_frame(
    room: int, compiler: Compiler, board: Board, tmp_path: Path
) -> None:
    """A large frame may be made by a register; the bound is then more than needed."""
    push = '__asm volatile("push {r0-r3}\\n add sp, sp, #16" ::: "memory");'
    body = f"void f(int n); void f(int n) {{ volatile char room[{room}]; room[n] = 1; PUSH }}"
    frames = [graph_of(body.replace("PUSH", text), compiler, board, tmp_path).frames["f"] for text in ("", push)]
    assert near(frames[0], room)
    if room < 1000:
        assert frames[1] == frames[0] + 16
    else:
        assert frames[0] + 16 <= frames[1] <= frames[0] + 64


@pytest.mark.parametrize("text", ["add sp, r1", "sub.w sp, sp, r1", "add.w sp, sp, r1, lsl #1"])
def test_assembly_that_moves_sp_by_a_register_is_noticed(
    text: str, compiler: Compiler, board: Board, tmp_path: Path
) -> None:
    source = f'__attribute__((naked)) void f(void) {{ __asm volatile("{text}\\n bx lr"); }}'
    assert read_object(compiled(source, compiler, board, tmp_path), "x.c").grows_by_register == {"f"}
