"""Runs black-box attacks with emulated boards as their oracle, and the same on the host twin; prints what they cost.

    tools/live_attack [--model NAME] [--attack NAME] [--samples 16] [--queries 500] [--eps 2/255] [--json FILE]

Every query and every answer of the boards is compared with the host twin's: a difference ends the tool with exit code
1. Seconds depend on what else the computer does; CPU-seconds are those of the emulators alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.datasets.samples import load_samples
from stq_deploy.evaluation.live.run import attack_live
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.pipeline import load_any
from stq_deploy.program import plan_network
from stq_deploy.research.attacks.abstract_attack import Attack
from stq_deploy.research.attacks.registry import get_attack
from stq_deploy.targets.boards import load_board
from stq_deploy.zoo.shipped import DEFAULT_MODEL, resolve_model, shipped_samples

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures" / "live_attack.json"
ROW = "{:20} {:12} {:>7} {:>6} {:>6} {:>8} {:>7} {:>9} {:>10} {:>11}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    parser.add_argument("--attack", nargs="*", default=["square"], help="default: square")
    parser.add_argument("--samples", type=int, default=16, help="first ones of the shipped file; default: %(default)s")
    parser.add_argument("--queries", type=int, default=500, help="most a sample; default: %(default)s")
    parser.add_argument("--eps", default="2/255", help="Linf budget of square; default: %(default)s")
    parser.add_argument("--boards", type=int, default=2, help="emulated ones; default: %(default)s")
    parser.add_argument("--board", default="stm32h743", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", default=FIGURES, help="where rows are kept; %(default)s")
    try:
        return run(parser.parse_args())
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def run(options: argparse.Namespace) -> int:
    program = plan_network(load_any(resolve_model(options.model)))
    samples = load_samples(shipped_samples()["clean"]).first(options.samples)
    board = load_board(options.board)
    head = ("model", "attack", "samples", "clean", "left", "queries", "equal", "seconds", "queries/s", "CPU-s")
    print(ROW.format(*head), flush=True)
    for name in options.attack:
        attack = chosen(name, options)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryDirectory(prefix="stq-live-") as folder:
            firmware = build_afresh(program, board, folder)
            built = resource.getrusage(resource.RUSAGE_CHILDREN)
            with open_emulated(board, firmware, count=options.boards) as executors:
                found = attack_live(executors, samples, attack, Path(folder)).to_json()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = [r.ru_utime + r.ru_stime for r in (before, built, after)]
        row = {
            "model": options.model,
            "cpus": os.cpu_count(),
            "load_average": round(os.getloadavg()[1], 1),
            "emulator_cpu_seconds": round(spent[2] - spent[1], 1),
            **{key: value for key, value in found.items() if key not in ("model_hash", "build_id")},
        }
        show(row)
        keep(row, options.json)
    return 0


def chosen(name: str, options: argparse.Namespace) -> Attack:
    """The attack, limited to the queries."""
    settings = {
        "square": {"eps": options.eps, "max_iter": str(options.queries)},
        "boundary": {"eps": "1", "init_size": "20", "max_queries": str(options.queries)},
        "hopskipjump": {"eps": "100", "init_size": "20", "init_eval": "20", "max_queries": str(options.queries)},
    }
    return get_attack(name).from_text(settings[name])


def show(row: dict[str, Any]) -> None:
    clean, left = row["clean"]["correct"], row["left"]["correct"]
    print(
        ROW.format(
            row["model"], row["attack"], row["samples"], clean, left, row["queries"],
            row["queries_equal_to_host_twin"], row["seconds"], row["queries_per_second"], row["emulator_cpu_seconds"],
        ),
        flush=True,
    )  # fmt: skip


def keep(row: dict[str, Any], path: Path) -> None:
    """Add the row to the file; one of the same model, attack and size is replaced."""
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []

    def key(one: dict[str, Any]) -> tuple[Any, ...]:
        return one["model"], one["attack"], one["samples"], one["boards"], json.dumps(one["settings"])

    rows = [one for one in rows if key(one) != key(row)] + [row]
    write_whole(path, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
