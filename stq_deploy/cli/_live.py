"""`attack --live`: a board answers the attack's queries."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stq_deploy.cli._outcome import interruptible

if TYPE_CHECKING:
    from stq_deploy.cli._conversion import ConversionOptions
    from stq_deploy.datasets.samples import SampleSet
    from stq_deploy.evaluation.live.run import LiveAttack
    from stq_deploy.research.attacks.abstract_attack import Attack

QUERIES = 500
"""Largest number of queries for a sample by default."""
_SETTINGS = {"square": "max_iter", "boundary": "max_queries", "hopskipjump": "max_queries"}
"""Attack -> its setting that bounds the queries."""


@dataclass(frozen=True)
class LiveOptions:
    """Where the attack runs: `board` at the serial port, or `boards` emulated ones if there is no port.

    `threshold` is the user's threshold for a network of one unit.
    """

    board: str
    port: str | None
    boards: int | None
    threshold: float | None = None


def live_settings(names: tuple[str, ...], queries: int, settings: tuple[str, ...]) -> tuple[str, ...]:
    """The number of queries as a setting, and the user's settings, which override it."""
    bounds = (f"{name}.{_SETTINGS[name]}={queries}" for name in dict.fromkeys(names) if name in _SETTINGS)
    return (*bounds, *settings)


def attack_live_boards(
    model: str,
    attacks: dict[str, Attack | None],
    samples: SampleSet,
    paths: dict[str, Path],
    out: Path,
    where: LiveOptions,
    seed: int,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Run the attacks, write their sample files, and print the results.

    Raises:
        StqError: an attack needs gradients, a board fails, or it answers unlike its host twin.
    """
    from stq_deploy.api.firmware import find_or_build
    from stq_deploy.api.network import open_network
    from stq_deploy.cli._input import say_assumed_input
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.common.files import locked, made_folder
    from stq_deploy.datasets.samples import save_samples
    from stq_deploy.evaluation.live.attack import check_live
    from stq_deploy.evaluation.live.run import attack_live
    from stq_deploy.evaluation.task import check_attackable, stated_classes
    from stq_deploy.executors.firmware import held_build
    from stq_deploy.executors.opened_boards import open_board, open_emulated
    from stq_deploy.pipeline import Pipeline
    from stq_deploy.targets.boards import load_board

    chosen = {name: attack for name, attack in attacks.items() if attack is not None}
    for attack in chosen.values():
        check_live(attack, samples)
    board = load_board(where.board)
    asked = conversion.load()
    console = result_console(as_json)
    done: list[LiveAttack] = []
    kept = f"the queries that were answered are kept in {out}; the same command goes on from there"
    with interruptible(kept), ExitStack() as held:
        folder = held.enter_context(made_folder(out))
        held.enter_context(locked(folder))
        progress = held.enter_context(progress_bars())
        net = open_network(model, Pipeline(asked, progress=progress))
        say_assumed_input(net.network)
        check_attackable(net.network.output_format)
        stated_classes(net.network.output_format, where.threshold)  # before firmware is built
        firmware = find_or_build(net, board.name, folder, progress=progress)
        held.enter_context(held_build(firmware, folder))
        if where.port is None:
            count = where.boards or os.cpu_count() or 1
            executors = held.enter_context(open_emulated(board, firmware, count=count))
        else:
            executors = [held.enter_context(open_board(board, firmware, where.port))]
        for name, attack in chosen.items():
            found = attack_live(
                executors, samples, attack, folder, seed=seed, threshold=where.threshold, progress=progress
            )  # fmt: skip
            save_samples(found.sample_set(), paths[name])
            done.append(found)
            console.print(
                f"{paths[name]}: of {len(samples)} samples the board gets right {found.clean.correct} clean, "
                f"{found.left.correct} attacked; {len(found.attacked.log)} queries, every one and its answer equal to "
                f"the host twin's; {found.asked_now} asked now in {found.seconds:.0f} s",
                soft_wrap=True,
            )
    if as_json:
        files = [{"file": str(paths[found.attack.name]), **found.to_json()} for found in done]
        print_json({"model": net.network.name, "attacks": files})
