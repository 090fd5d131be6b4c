"""What `build` states of the network alone, beside the plan and the firmware that holds the same network."""

from __future__ import annotations

import json

from stq_deploy.network import Network
from stq_deploy.program import plan_network
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.elf import read_image


def test_flash_is_constants_and_code_of_the_network(built: BuiltFirmware, network: Network) -> None:
    plan, image = plan_network(network), read_image(built.elf)
    constants = plan.weight_bytes + plan.table_bytes
    kernels = sum(image.symbol_bytes(kernel) for kernel in {layer.kernel for layer in plan.layers})
    assert constants + kernels < built.alone.flash_bytes < built.flash_bytes


def test_ram_is_arena_and_scratch(built: BuiltFirmware, network: Network) -> None:
    plan, alone = plan_network(network), built.alone
    assert (alone.arena_bytes, alone.scratch_bytes) == (plan.arena.bytes, plan.separate_scratch_bytes)
    assert 0 <= alone.ram_bytes - plan.arena.bytes - plan.separate_scratch_bytes < 64 + 4


def test_the_stack_is_part_of_the_firmware_s(built: BuiltFirmware) -> None:
    assert built.stack is not None and built.alone.stack_bytes is not None
    assert 0 < built.alone.stack_bytes < built.stack.program_bytes


def test_the_report_states_it(built: BuiltFirmware) -> None:
    stated = json.loads((built.folder / "build.json").read_text())["network_alone"]
    assert stated["flash_bytes"] == built.alone.flash_bytes
    assert stated["stack_bytes"] == built.alone.stack_bytes
