"""The built firmware, under every compiler present: complete, right in its first words, the same anywhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from stq_deploy.cli import cli
from stq_deploy.common.errors import StqError
from stq_deploy.network import Network, save_network
from stq_deploy.program import plan_network
from stq_deploy.program.kernels.choice import all_kernels
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import GCC, Compiler
from stq_deploy.toolchain.elf import read_image
from stq_deploy.toolchain.stack_clang import STACK_SIZES
from tests.helpers.toolchain import COMPILERS, Build, compiler_of, folder_content

EF_ARM_ABI_FLOAT_HARD = 0x400


def test_the_folder_is_complete(built: BuiltFirmware) -> None:
    for path in (built.elf, built.bin, built.hex, built.map, built.manifest, built.folder / "build.json"):
        assert path.stat().st_size > 0
    assert json.loads((built.folder / "build.json").read_text()) == json.loads(json.dumps(built.to_json()))
    assert not (built.folder / "objects").exists()
    assert sorted(p.name for p in built.folder.parent.iterdir()) == ["firmware"]


def test_the_vector_table_starts_the_board(built: BuiltFirmware, board: Board) -> None:
    first, second = (int.from_bytes(built.bin.read_bytes()[i : i + 4], "little") for i in (0, 4))
    image = read_image(built.elf)
    reset = next(s for s in image.symbols if s.name == "startup_reset")
    assert first == board.memory_named("dtcm").origin + board.stack.bytes
    assert second == reset.address | 1  # Thumb
    assert image.entry == second
    vectors = next(s for s in image.sections if s.name == ".vectors")
    assert vectors.address == board.flash_run().origin
    assert vectors.size == 4 * (16 + 150)


def test_the_serial_interrupt_is_in_its_place(built: BuiltFirmware) -> None:
    content = built.bin.read_bytes()
    table = [int.from_bytes(content[i : i + 4], "little") for i in range(0, 4 * (16 + 150), 4)]
    names = {s.address | 1: s.name for s in read_image(built.elf).symbols}
    assert [i - 16 for i, entry in enumerate(table) if names.get(entry) == "serial_interrupt"] == [39]
    assert {names[entry] for i, entry in enumerate(table[2:], 2) if i != 16 + 39} == {"fault_entry"}


def test_the_float_abi_is_hard(built: BuiltFirmware) -> None:
    """A plain `cortex_m7` is soft-float for clang: slower, and other code than on the other compilers."""
    with built.elf.open("rb") as stream:
        elf = ELFFile(stream)
        if built.compiler_family == "gcc":
            assert elf.header.e_flags & EF_ARM_ABI_FLOAT_HARD
    names = {symbol.name for symbol in read_image(built.elf).symbols}
    assert not names & {"__aeabi_fadd", "__aeabi_fmul", "__aeabi_dadd", "__aeabi_dmul"}


def test_no_libc_and_no_heap(built: BuiltFirmware) -> None:
    names = {symbol.name for symbol in read_image(built.elf).symbols}
    assert not names & {"malloc", "free", "_sbrk", "printf", "exit", "__libc_init_array", "atexit"}


def test_the_build_id_is_in_the_image(built: BuiltFirmware) -> None:
    assert bytes.fromhex(built.build_id) in built.bin.read_bytes()
    assert bytes.fromhex(built.model_hash) in built.bin.read_bytes()
    assert len(built.build_id) == 32


def test_sizes_agree_with_the_image(built: BuiltFirmware, board: Board, network: Network) -> None:
    image = read_image(built.elf)
    assert built.flash_bytes == len(built.bin.read_bytes())
    dtcm, itcm = (next(use for use in built.memories if use.name == name) for name in ("dtcm", "itcm"))
    end = max(s.address + s.size for s in image.sections if s.address >= dtcm.origin)
    code = next(s for s in image.sections if s.address < itcm.bytes)
    assert dtcm.used_bytes == end - dtcm.origin
    assert itcm.used_bytes == code.size
    assert built.ram_bytes == dtcm.used_bytes + itcm.used_bytes
    assert built.copied_bytes == code.size + dtcm.sections[".stq_weights_dtcm"]
    assert dtcm.sections[".stack"] == board.stack.bytes + board.stack.fault_bytes
    manifest = json.loads(built.manifest.read_text())
    assert dtcm.sections[".stq_arena"] == -(-manifest["arena_bytes"] // 4) * 4
    assert sum(layer.macs for layer in built.layers) == sum(macs for _, macs in network.macs())
    assert all(layer.kernel_bytes > 0 for layer in built.layers)
    largest = max(layer.ram_bytes for layer in built.layers)
    assert largest <= manifest["arena_bytes"] + manifest["scratch_bytes"]


def test_the_image_of_all_constants_and_code_lies_in_flash(built: BuiltFirmware, board: Board) -> None:
    image = read_image(built.elf)
    flash = board.flash_run()
    programmed = [s for s in image.sections if s.content is not None]
    assert all(flash.origin <= s.load_address < flash.end for s in programmed)
    constants = sum(s.size for s in programmed if s.name.startswith((".rodata", ".stq_weights")))
    expected = sum(layer.weight_bytes + layer.table_bytes for layer in built.layers)
    assert constants >= expected > 0


def test_only_the_kernels_needed_are_there(built: BuiltFirmware) -> None:
    wanted = {layer.kernel for layer in built.layers}
    instances = (built.folder / "kernels" / "instances.c").read_text()
    defined = re.findall(r"^STQ_DEFINE_\w+\((\w+)", instances, re.MULTILINE)
    files = {p.stem for p in (built.folder / "kernels").rglob("*.c")}
    names = {kernel.function for kernel in all_kernels()}
    assert sorted(set(defined) | files & names) == sorted(wanted)
    assert len(defined) == len(set(defined)) > 0


def test_the_stack_is_bounded(built: BuiltFirmware, board: Board) -> None:
    assert built.stack is not None, built.stack_reason
    assert built.stack.path[:3] == ("startup_reset", "start", "main")
    assert "stq_network_run_layer" in built.stack.path
    assert board.stack.interrupt_frame_bytes < built.stack.interrupt_bytes < 400
    assert 300 < built.stack.bytes < board.stack.bytes


def test_what_measures_the_stack_is_not_in_the_image(built: BuiltFirmware) -> None:
    """Sections that only describe the program are in the ELF, and none of them is loaded."""
    with built.elf.open("rb") as stream:
        elf = ELFFile(stream)
        described = [s for s in elf.iter_sections() if s.name in (STACK_SIZES, ".debug_info")]
        assert all(not section.header.sh_flags & SH_FLAGS.SHF_ALLOC for section in described)
        assert (STACK_SIZES in {section.name for section in described}) == (built.compiler_family == "zig")
    assert STACK_SIZES not in {section.name for section in read_image(built.elf).sections}


@pytest.mark.usefixtures("compiled_anew")
def test_the_same_bytes_in_another_folder(built: BuiltFirmware, board: Board, network: Network, tmp_path: Path) -> None:
    out = tmp_path / "deeper" / "in another place"
    again = build_firmware(plan_network(network), board, out, compiler=compiler_of(built))
    ours, theirs = folder_content(built.folder), folder_content(again.folder)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_no_path_of_this_machine(built: BuiltFirmware) -> None:
    for name, content in folder_content(built.folder).items():
        # The map names the compiler's libraries; debug information names those that zig builds itself.
        if name != "firmware.map" and (name != "firmware.elf" or built.compiler_family == "gcc"):
            assert str(built.folder.parent).encode() not in content, name
            assert str(Path.home()).encode() + b"/" not in content, name


def test_the_build_id_follows_the_command(gcc: Compiler, board: Board, tiny: Network, tmp_path: Path) -> None:
    """It stands in the sources, and so in what the image is made of."""
    one, two = (
        build_firmware(
            plan_network(tiny), board, tmp_path / name, compiler=gcc, command=f"stq-deploy build --model {name}"
        )
        for name in ("one", "two")
    )
    assert one.build_id != two.build_id
    assert one.model_hash == two.model_hash


def test_make_builds_the_same_image(build: Build, tmp_path: Path) -> None:
    if GCC not in COMPILERS or not shutil.which("make"):
        pytest.skip(f"{GCC} and make are not both on PATH")
    built = build(GCC)
    copy = tmp_path / "copy"
    shutil.copytree(built.folder, copy)
    for name in ("firmware.elf", "firmware.bin", "firmware.hex"):
        (copy / name).unlink()
    done = subprocess.run(["make", "-j2"], cwd=copy, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (copy / "firmware.bin").read_bytes() == built.bin.read_bytes()


def test_a_folder_of_something_else_is_left_alone(board: Board, network: Network, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StqError, match="something that is not a build"):
        build_firmware(plan_network(network), board, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    with pytest.raises(StqError, match="is a file"):
        build_firmware(plan_network(network), board, tmp_path / "thesis.txt")


@pytest.mark.usefixtures("compiled_anew")
def test_a_source_that_does_not_compile(gcc: Compiler, board: Board, tiny: Network, tmp_path: Path) -> None:
    folder = tmp_path / "boards" / board.name
    shutil.copytree(board.folder, folder)
    (folder / "clocks.c").write_text("int clocks(void) { return nothing; }\n")
    broken = board.model_copy()
    broken._folder = folder
    out = tmp_path / "out"
    with pytest.raises(StqError, match="does not compile") as caught:
        build_firmware(plan_network(tiny), broken, out, compiler=gcc)
    assert caught.value.where == "board/clocks.c"
    assert "'nothing' undeclared" in caught.value.what
    assert not out.exists()
    log = tmp_path / "out.compile-errors.log"
    assert "nothing" in log.read_text() and str(log) in caught.value.next
    others = tmp_path / "out.log"
    others.touch()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["boards", "out.compile-errors.log", "out.log"]
    build_firmware(plan_network(tiny), board, out, compiler=gcc)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["boards", "out", "out.log"]


@pytest.mark.usefixtures("compiled_anew")
def test_a_compiler_that_disappears(board: Board, tiny: Network, tmp_path: Path, gcc: Compiler) -> None:
    gone = Compiler("gcc", (str(tmp_path / "gone"),), gcc.version, "test")
    with pytest.raises(StqError, match="does not start"):
        build_firmware(plan_network(tiny), board, tmp_path / "out", compiler=gone)


def test_a_stack_too_small_is_refused(compiler: Compiler, board: Board, tiny: Network, tmp_path: Path) -> None:
    small = board.model_copy(update={"stack": board.stack.model_copy(update={"bytes": 512})})
    small._folder = board.folder
    with pytest.raises(StqError, match="the stack of program and interrupts may need") as caught:
        build_firmware(plan_network(tiny), small, tmp_path / "out", compiler=compiler)
    assert "startup_reset" in caught.value.cause


@pytest.mark.skipif(not COMPILERS, reason="no compiler is installed")
def test_command_prints_one_json_object(tiny: Network, tmp_path: Path) -> None:
    save_network(tiny, tmp_path / "net.stq")
    arguments = ["build", "--model", str(tmp_path / "net.stq"), "--out", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    wanted = {"board", "build_id", "flash_bytes", "ram_bytes", "stack_bytes", "layers", "memories", "macs"}
    assert wanted <= answer.keys()
    assert (tmp_path / "out" / "firmware.elf").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--board", "nothing"], "there is no board 'nothing'"),
        (["--model", "absent.stq"], "there is no such model file"),
        (["--compiler", "/absent/gcc"], "there is no compiler '/absent/gcc'"),
    ],
)
def test_command_fails_without_a_traceback(arguments: list[str], told: str, tiny: Network, tmp_path: Path) -> None:
    save_network(tiny, tmp_path / "net.stq")
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["build", "--model", str(tmp_path / "net.stq"), "--out", str(out), *arguments])
    assert done.exit_code == 1
    assert told in done.stderr
    assert "Traceback" not in done.output
    assert not out.exists()


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_compiler_that_is_stopped_with_us_is_no_failure(
    board: Board, tiny: Network, tmp_path: Path, gcc: Compiler, name: str
) -> None:
    stopped = tmp_path / "cc"
    stopped.write_text(f"#!/bin/sh\nkill -{name} $$\nsleep 5\n")
    stopped.chmod(0o755)
    with pytest.raises(KeyboardInterrupt):
        build_firmware(
            plan_network(tiny), board, tmp_path / "out", compiler=Compiler("gcc", (str(stopped),), gcc.version, "test")
        )
    assert [path.name for path in tmp_path.iterdir()] == ["cc"]
