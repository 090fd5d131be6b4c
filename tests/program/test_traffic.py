"""Bytes that layers read and write, as estimated, beside what their compiled kernels do on an emulated core."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Curve, Dense, MaxPool, Op, Softmax, Table, Window
from stq_deploy.network.requantize import TableRequantize, ThresholdRequantize
from stq_deploy.program import plan_network, with_scratch_apart
from stq_deploy.program.kernels.choice import choose
from stq_deploy.program.kernels.spec import Traffic
from stq_deploy.program.kernels.work import Work
from stq_deploy.targets.boards import load_board
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import candidates, probe
from stq_deploy.toolchain.elf import read_image
from tests.helpers.networks import random_levels, random_network

KINDS = ("activations", "scratch", "constants")
SMALL_BYTES = 512
"""Bytes of traffic below which a kernel's fixed work weighs more than its loops."""
SEEDS = (0, 3)


def measured(built: BuiltFirmware, network: Network) -> list[dict[str, int]]:
    """Bytes that each layer reads and writes, by kind: the image's own code on a core without start-up."""
    unicorn = pytest.importorskip("unicorn")
    from stq_deploy.targets.emulator.core import Core

    stack, end = 0x1000_0000, 0x1001_0000
    core = Core()
    uc = core.uc
    for memory in load_board("stm32h743").memory:
        uc.mem_map(memory.origin, memory.bytes)
    uc.mem_map(stack, end - stack)
    image = read_image(built.elf)
    for section in image.sections:
        if section.content is not None:
            uc.mem_write(section.address, section.content)
    places = {symbol.name: (symbol.address, symbol.size) for symbol in image.symbols}
    places |= {section.name: (section.address, section.size) for section in image.sections}
    manifest = json.loads(built.manifest.read_text())
    layers = manifest["layers"]
    at = places[".stq_arena"][0] + manifest["tensors"][network.input]["arena_offset"]
    uc.mem_write(at, random_levels(network, 3)[2].astype(network.input_type.dtype).tobytes())
    kinds = {".stq_arena": "activations", ".stq_scratch": "scratch"}
    kinds |= {name: "constants" for layer in layers for name in layer["constants"]}
    found: Counter[str] = Counter()

    def count(_uc: Any, _access: int, _address: int, size: int, _value: int, kind: str) -> None:
        found[kind] += size
        core.end_it_block()

    for name, kind in kinds.items():
        address, size = places[name]
        uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, count, kind, address, address + size - 1)
    counted = []
    for index in range(len(layers)):
        found.clear()
        core.set_registers({0: index, 13: end - 256, 14: end - 16 | 1})
        uc.emu_start(places["stq_network_run_layer"][0] | 1, end - 16)
        assert core.register(0) == 0
        counted.append({kind: found[kind] for kind in KINDS})
    return counted


@pytest.mark.parametrize("seed", SEEDS)
def test_estimates_agree_with_what_the_kernels_do(seed: int, tmp_path: Path) -> None:
    """Each layer's within a factor of three, a whole network's within a half: enough to tell hot from cold."""
    if not any(map(probe, candidates())):
        pytest.skip("no compiler for the board is installed")
    network = random_network(seed, 25)
    # Scratch memory apart, so that accesses to it are counted apart from those to tensors.
    program = with_scratch_apart(plan_network(network))
    built = build_firmware(program, load_board("stm32h743"), tmp_path / "build")
    layers = json.loads(built.manifest.read_text())["layers"]
    sums: dict[str, Counter[str]] = {"estimated": Counter(), "measured": Counter()}
    for layer, seen in zip(layers, measured(built, network), strict=True):
        for kind in KINDS:
            low, high = sorted((layer["traffic"][kind], seen[kind]))
            assert high < SMALL_BYTES or high <= 3 * low, (layer["kernel"], kind, layer["traffic"], seen)
        sums["estimated"].update(layer["traffic"])
        sums["measured"].update(seen)
    for kind in KINDS:
        assert sums["estimated"][kind] == pytest.approx(sums["measured"][kind], rel=0.5)


BYTE = {"dtype": "int8", "minimum": -128, "maximum": 127, "scale": 1.0}


def tensor(*shape: int) -> TensorType:
    return TensorType(shape, **BYTE)


def traffic(op: Op, x: TensorType, y: TensorType) -> Traffic:
    work = Work(op, (x,), y)
    return choose(work).spec.traffic(work)


def test_a_look_up_reads_one_entry_for_each_element() -> None:
    x = tensor(3, 5, 2)
    op = Table("table", ("x",), "y", (), table=np.zeros(256, np.int8))
    assert traffic(op, x, x) == Traffic(60, 0, 30)


@pytest.mark.parametrize(("shift", "entries"), [(0, 1), (3, 3)])
def test_a_curve_reads_a_parabolas_entries(shift: int, entries: int) -> None:
    x, y = tensor(3, 5, 2), TensorType((3, 5, 2), "int32", 0, 4, 1.0)
    op = Curve("curve", ("x",), "y", (), table=np.array([0, 1, 4], np.int32), base=0, shift=shift)
    assert traffic(op, x, y) == Traffic(30 + 120, 0, entries * 4 * 30)


def test_softmax_looks_every_element_up_twice() -> None:
    x, y = tensor(3, 5, 2), TensorType((3, 5, 2), "int16", 0, 32767, 2**-15)
    op = Softmax("softmax", ("x",), "y", (), table=np.array([65536, 0], np.int32))
    assert traffic(op, x, y) == Traffic(3 * 30 + 60, 0, 2 * 4 * 30)


@pytest.mark.parametrize(("levels", "entries"), [(2, 1), (3, 2), (4, 2), (5, 3), (256, 8)])
def test_thresholds_are_searched_and_not_read_through(levels: int, entries: int) -> None:
    x, y = tensor(8), tensor(4)
    thresholds = np.zeros((4, levels - 1), np.int32)
    requantize = ThresholdRequantize(thresholds, np.ones(4, np.int8), 0)
    op = Dense("dense", ("x",), "y", (), weights=np.zeros((8, 4), np.int8), weight_bits=8, requantize=requantize)
    found = traffic(op, x, y)
    assert found.constants == 32 + 4 * (4 * entries + 1)


def test_a_table_of_accumulators_is_read_once_for_each_element() -> None:
    x, y = tensor(8), tensor(4)
    requantize = TableRequantize(np.zeros((1, 200), np.int8), 0, channels=4)
    op = Dense("dense", ("x",), "y", (), weights=np.zeros((8, 4), np.int8), weight_bits=8, requantize=requantize)
    assert traffic(op, x, y).constants == 32 + 4


def test_padding_is_not_read() -> None:
    """4 x 4 elements under 3 x 3 windows at every place: 100 of 144 are inside."""
    x = tensor(4, 4, 1)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
    op = MaxPool("pool", ("x",), "y", (), window=window)
    assert traffic(op, x, x) == Traffic(100 + 16, 0, 0)


def test_the_traffic_of_a_network_is_in_its_plan() -> None:
    network: Network = random_network(1)
    for layer in plan_network(network).layers:
        work = Work(layer.op, tuple(network.input_types(layer.op)), network.tensors[layer.op.output])
        assert layer.traffic.activations >= work.output.bytes
        assert layer.traffic == layer.spec.traffic(work)
