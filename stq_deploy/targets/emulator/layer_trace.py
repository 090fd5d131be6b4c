"""What a layer of a built firmware executes: its basic blocks with exact counts, and samples of their addresses.

The layers run as the firmware runs them, with code and constants at their places, but without start-up, link and
interrupts: the ELF is loaded as start-up leaves it, and the network's own functions are called. So it takes any board
whose core Unicorn emulates, and counts nothing but the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.installation import how_to_install
from stq_deploy.targets.boards import Board
from stq_deploy.targets.emulator.block_trace import BlockTrace, BlockWatch, Hooks, trace_call
from stq_deploy.targets.emulator.program import load_program

_INPUT_FUNCTION, _LAYER_FUNCTION = "stq_network_input", "stq_network_run_layer"
_OUTPUT_FUNCTION = "stq_network_output"
_PAGE = 0x1000
_TIMEOUT_US = 600 * 1_000_000


class NetworkOnCore:
    """The network of a firmware on an emulated core, layer by layer.

    Args:
        elf: a firmware from `build_firmware`.
        board: the board it is for.

    Raises:
        StqError: unicorn is not installed, or the file is not such a firmware.
    """

    def __init__(self, elf: Path, board: Board) -> None:
        try:
            import unicorn
            from unicorn import arm_const
        except ImportError as error:
            raise StqError(
                "unicorn, which emulates the core, is not installed",
                next=f"install it: {how_to_install('emulator')}",
            ) from error
        self._elf = elf
        self._memories = board.memory
        program = load_program(elf, board.memory)
        symbols = {name: start for start, _, name in program.functions}
        missing = [name for name in (_INPUT_FUNCTION, _LAYER_FUNCTION, _OUTPUT_FUNCTION) if name not in symbols]
        if missing:
            raise StqError(
                f"the firmware has no function {missing[0]}", where=str(elf), next="build it with `stq-deploy build`"
            )
        self._symbols = symbols
        # UC_MODE_MCLASS would silently make this a Cortex-M33.
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, cpu=arm_const.UC_CPU_ARM_CORTEX_M7)
        for memory in board.memory:
            self._uc.mem_map(memory.origin, -(-memory.bytes // _PAGE) * _PAGE)
        try:
            for segment in program.segments:
                self._uc.mem_write(segment.run_address, segment.data)
        except unicorn.UcError as error:
            raise StqError(
                "the firmware does not fit the memories of the board", where=str(elf),
                cause=f"it was built for another board than {board.name}",
            ) from error  # fmt: skip
        table = board.memory_named(board.placement.code).origin
        self._return = _free_address(board)
        self._stack = int.from_bytes(self._uc.mem_read(table, 4), "little") & ~7

    def put_input(self, levels: bytes) -> None:
        """Write the input of the network.

        Args:
            levels: in the input's storage type and order, little endian.
        """
        self._uc.mem_write(self._call(_INPUT_FUNCTION), levels)

    def output(self, size: int) -> bytes:
        """The first `size` bytes of the network's first output, after the last layer."""
        return bytes(self._uc.mem_read(self._call(_OUTPUT_FUNCTION), size))

    def trace(self, layer: int, watches: Sequence[BlockWatch] = ()) -> BlockTrace:
        """Run a layer; they must run in order, from 0, after `put_input`.

        Raises:
            StqError: the layer reports an error, faults, or does not end within ten minutes.
        """
        memory = [(one.origin, one.bytes) for one in self._memories if one.kind == "ram"]

        def run(hooks: Hooks) -> None:
            if self._call(_LAYER_FUNCTION, layer, hooks) != 0:
                raise self._failed(f"layer {layer} reports an error")

        return trace_call(self._uc, run, memory, watches)

    def _call(self, function: str, argument: int = 0, hooks: Hooks | None = None) -> int:
        """Call a function; R0 after it, or 0 where the hooks have seen enough."""
        from unicorn import UcError, arm_const

        uc = self._uc
        uc.reg_write(arm_const.UC_ARM_REG_R0, argument)
        uc.reg_write(arm_const.UC_ARM_REG_SP, self._stack)
        uc.reg_write(arm_const.UC_ARM_REG_LR, self._return | 1)
        try:
            uc.emu_start(self._symbols[function] | 1, self._return, timeout=_TIMEOUT_US)
        except UcError as error:
            raise self._failed(f"{function} stops at 0x{self._pc:08X}: {error}") from error
        if hooks is not None and hooks.is_done:
            return 0
        if self._pc != self._return:
            raise self._failed(f"{function} has not returned within {_TIMEOUT_US // 1_000_000} s")
        return int(uc.reg_read(arm_const.UC_ARM_REG_R0))

    @property
    def _pc(self) -> int:
        from unicorn import arm_const

        return int(self._uc.reg_read(arm_const.UC_ARM_REG_PC))

    def _failed(self, what: str) -> StqError:
        return StqError(what, where=str(self._elf), next="run `stq-deploy verify`, which compares every layer")


def _free_address(board: Board) -> int:
    """Where a finished call returns to: an address of the code region in which the board has nothing."""
    for address in range(0x1FFF_F000, 0, -_PAGE):
        if not any(memory.origin <= address < memory.end for memory in board.memory):
            return address
    raise StqError(f"board {board.name!r} has memory at every address below 512 MiB")
