"""Scratch memory in the arena or apart, by what fits a board's fastest memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stq_deploy.network import Network
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.layout import VARIABLES_BYTES, laid_out_for


def with_dtcm(board: Board, size: int) -> Board:
    """The board, with a fastest memory of this size."""
    memories = [one.model_copy(update={"bytes": size}) if one.name == "dtcm" else one for one in board.memory]
    return board.model_copy(update={"memory": memories})


def kept(board: Board) -> int:
    return board.stack.bytes + board.stack.fault_bytes + VARIABLES_BYTES


@pytest.mark.parametrize(("spare", "is_apart"), [(0, False), (-1, True)])
def test_one_arena_where_it_fits_the_fastest_memory(network: Network, board: Board, spare: int, is_apart: bool) -> None:
    program = plan_network(network)
    found = laid_out_for(program, with_dtcm(board, kept(board) + program.arena.bytes + spare))
    assert (found.separate_scratch_bytes > 0) == is_apart
    assert [layer.op for layer in found.layers] == [layer.op for layer in program.layers]


def test_one_arena_where_scratch_alone_would_not_fit_either(network: Network, board: Board) -> None:
    program = plan_network(network)
    small = with_dtcm(board, kept(board) + program.scratch_bytes - 1)
    assert program.scratch_bytes < program.arena.bytes
    assert laid_out_for(program, small) is program


def test_who_places_scratch_memory_gets_it_apart(network: Network, board: Board) -> None:
    program = plan_network(network)
    assert laid_out_for(program, board, {"arena": ["dtcm"]}) is program
    assert laid_out_for(program, board, {"scratch": ["axi_sram"]}).separate_scratch_bytes == program.scratch_bytes


def test_one_memory_has_one_arena(network: Network, board: Board) -> None:
    placement = board.placement.model_copy(update={"arena": ["dtcm"], "scratch": ["dtcm"]})
    program = plan_network(network)
    tight = with_dtcm(board.model_copy(update={"placement": placement}), kept(board) + program.arena.bytes - 1)
    assert laid_out_for(program, tight) is program


def test_a_program_without_scratch_memory_stays(network: Network, board: Board) -> None:
    program = plan_network(network)
    without = replace(program, arena=replace(program.arena, scratch=()))
    assert laid_out_for(without, board) is without


def test_the_variables_fit_what_is_kept_for_them(built: BuiltFirmware) -> None:
    sections = next(use.sections for use in built.memories if use.name == "dtcm")
    variables = sum(sections[name] for name in (".data", ".bss", ".noinit"))
    assert VARIABLES_BYTES * 3 // 4 < variables <= VARIABLES_BYTES
