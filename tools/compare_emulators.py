"""Prints the instructions of every layer as two emulators count them; exit code 1 if any two counts differ.

The boards' images hold the same kernels, from the same compiler with the same flags. The networks are a model, and
random ones from tests/helpers/networks.py. Their default seeds together hold every kernel with every requantization and
output type.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import stq_deploy as stq
from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.instruction_counts import LayerCounts, instruction_counts
from stq_deploy.network import Network
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import load_board
from stq_deploy.toolchain.compilers import find_compiler
from stq_deploy.zoo.shipped import DEFAULT_MODEL
from tests.helpers.covering_networks import LAYERS, SEEDS
from tests.helpers.networks import random_levels, random_network
from tools.figures_file import check_figures, write_figures

BOARDS = ("stm32h743", "mps2-an500")
ROW = "{:26} {:29} {:>12} {:>14} {:>14}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a .stq network or zoo:NAME; default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS, help="of random networks")
    parser.add_argument("--samples", type=int, default=2, help="samples for each network; default: %(default)s")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to FILE")
    options = parser.parse_args()
    try:
        return compare(options)
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def compare(options: argparse.Namespace) -> int:
    check_figures(options.json, [Path(options.model)])
    boards = [load_board(name) for name in BOARDS]
    compiler = find_compiler()
    emulators = [f"{board.name} ({board.emulator.kind})" for board in boards if board.emulator]
    print(f"Instructions executed by layer, {options.samples} samples; {compiler.version}; {', '.join(emulators)}.")
    found: dict[str, list[LayerCounts]] = {}
    for name, network in networks(options):
        levels = random_levels(network, options.samples)
        found[name] = instruction_counts(plan_network(network), boards, levels)
        show(name, found[name])
    rows = [row for rows in found.values() for row in rows]
    differing = sum(not row.equal for row in rows)
    kernels = sorted({row.kernel for row in rows})
    print(f"\n{len(rows)} layers, {len(kernels)} kernels, {len(found)} networks: {differing} layers differ.")
    if options.json is not None:
        document = {
            "compiler": compiler.version,
            "samples": options.samples,
            "emulators": {board.name: board.emulator.kind for board in boards if board.emulator},
            "differing_layers": differing,
            "kernels": kernels,
            "networks": {name: [as_json(row) for row in rows] for name, rows in found.items()},
        }
        write_figures(options.json, document)
    return 1 if differing else 0


def networks(options: argparse.Namespace) -> Iterator[tuple[str, Network]]:
    yield options.model, stq.load(options.model).network
    for seed in options.seeds:
        yield f"random network {seed}", random_network(seed, LAYERS)


def show(name: str, rows: list[LayerCounts]) -> None:
    print(f"\n{name}")
    print(ROW.format("layer", "kernel", "MACs", *BOARDS, ""))
    for row in rows:
        first = (f"{row.counts[board][0]:,}" for board in BOARDS)
        print(ROW.format(row.name, row.kernel, f"{row.macs:,}", *first, "equal" if row.equal else "DIFFERENT"))


def as_json(row: LayerCounts) -> dict[str, Any]:
    return {"layer": row.name, "kernel": row.kernel, "macs": row.macs, "equal": row.equal, "instructions": row.counts}


if __name__ == "__main__":
    sys.exit(main())
