"""Long runs over bad lines: is every sample answered once and rightly, and what does recovery cost?

The server's C code and the host's session are the shipped ones. Line, clock and network are simulated, so equal options
give equal figures on every computer.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.session import Session
from stq_deploy.targets.link.timeouts import TIMEOUTS
from tests.helpers.link.c_boards import compile_board
from tests.helpers.link.damage import KINDS, Damage
from tests.helpers.link.floods import BABBLE, Flood
from tests.helpers.link.simulated_board import SimulatedBoard, expected_logits
from tools.figures_file import write_figures

BAUD = 921_600
INFERENCE_SECONDS = 0.02
RATES = (0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3)
FLOODED = 6
"""Samples of a flooded run."""
LONGEST_WAIT = (
    TIMEOUTS.first_answer * (2 ** (TIMEOUTS.attempts + 1) - 1)
    + TIMEOUTS.hello * TIMEOUTS.hello_attempts * (TIMEOUTS.resets + 1)
    + 1.0
)
"""Seconds for one answer: all its repeats, with a session lost and opened again, and what is on the wire then."""
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "docs" / "figures" / "link_recovery.json"


def samples(count: int, seed: int) -> Iterator[np.ndarray]:
    """int8 (1024,) each; two are alike only by chance."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.integers(-128, 127, 1024, dtype=np.int8)


def run(library: Path, rate: float, count: int, seed: int) -> dict[str, Any]:
    """Stream `count` samples over a line that strikes at `rate` per byte in both directions."""
    damage = Damage(seed, rate), Damage(seed + 1, rate)
    board = SimulatedBoard(
        library, to_board=damage[0], to_host=damage[1], baud=BAUD, inference_seconds=INFERENCE_SECONDS
    )
    nonces = itertools.count(seed + 1)
    session = Session(board, nonces=lambda: next(nonces))
    session.open()
    begin = board.now()
    answered = wrong = 0
    for result, sample in zip(session.infer(samples(count, seed)), samples(count, seed), strict=False):
        answered += 1
        wrong += not np.array_equal(result.logits, expected_logits(sample))
    seconds = board.now() - begin
    counts = session.statistics
    return {
        "damage_per_byte": rate,
        "samples": count,
        "answered": answered,
        "wrong": wrong,
        "runs_on_board": board.runs,
        "injected": {kind: damage[0].injected[kind] + damage[1].injected[kind] for kind in KINDS},
        "injected_total": damage[0].injected.total() + damage[1].injected.total(),
        "bytes_to_board": board.bytes_to_board,
        "bytes_to_host": board.bytes_to_host,
        "frames_sent": counts.frames_sent,
        "frames_received": counts.frames_received,
        "damaged_requests": counts.damaged_reported,
        "damaged_answers": counts.damaged_received,
        "retries": counts.retries,
        "timeouts": counts.timeouts,
        "repeated_answers_ignored": counts.duplicates,
        "samples_per_second": round(answered / seconds, 2),
    }


def flood(library: Path, babble: str, seed: int) -> dict[str, Any]:
    """Stream samples over a line that never falls silent: every wait for an answer must end, whatever comes."""
    chance = random.Random(f"{babble} {seed}")  # noqa: S311 - equal options give equal figures
    line = Flood(
        SimulatedBoard(library, to_board=Damage(seed, 1e-5), to_host=Damage(seed + 1, 1e-5)),
        BABBLE[babble],
        seed=seed,
        period=chance.choice((0.02, 0.2, 1.9)),
        lets_through=chance.random() < 0.5,
    )
    line.running, line.tag = False, 0x4321
    session = Session(line, nonces=itertools.chain([0x1234_4321], itertools.count(seed)).__next__)
    session.open()
    line.running = True
    answered = wrong = 0
    longest, moment, gave_up = 0.0, line.now(), False
    try:
        for result, sample in zip(session.infer(samples(FLOODED, seed)), samples(FLOODED, seed), strict=False):
            answered += 1
            wrong += not np.array_equal(result.logits, expected_logits(sample))
            longest, moment = max(longest, line.now() - moment), line.now()
    except StqError:
        gave_up = True
    longest = max(longest, line.now() - moment)
    return {"wrong": wrong, "answered": answered, "gave_up": gave_up, "longest_wait": longest}


def measure_floods(library: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` floods of every kind."""
    rows = []
    for babble in BABBLE:
        runs = [flood(library, babble, seed + number) for number in range(count)]
        rows.append(
            {
                "babble": babble,
                "runs": count,
                "finished": sum(not run["gave_up"] for run in runs),
                "gave_up": sum(run["gave_up"] for run in runs),
                "wrong": sum(run["wrong"] for run in runs),
                "longest_wait": round(max((run["longest_wait"] for run in runs), default=0.0), 2),
            }
        )
    return rows


def measure(rates: tuple[float, ...], count: int, floods: int, seed: int) -> dict[str, Any]:
    """A run per rate, beside the cost of the clean line; then the floods."""
    with tempfile.TemporaryDirectory() as folder:
        library = compile_board(Path(folder), "memory_board", ["-shared", "-fPIC"])
        clean = run(library, 0.0, count, seed)
        runs = [clean if rate == 0 else run(library, rate, count, seed) for rate in rates]
        flooded = measure_floods(library, floods, seed)
    for each in runs:
        each["throughput_of_clean_line"] = round(each["samples_per_second"] / clean["samples_per_second"], 4)
        sent = each["bytes_to_board"] + each["bytes_to_host"]
        each["bytes_of_clean_line"] = round(sent / (clean["bytes_to_board"] + clean["bytes_to_host"]), 4)
    return {
        "what": "server's C code and host's session over a simulated line; time is simulated",
        "baud": BAUD,
        "bytes_per_sample": 1024,
        "seconds_per_inference": INFERENCE_SECONDS,
        "seed": seed,
        "damage_kinds": list(KINDS),
        "samples": sum(each["samples"] for each in runs),
        "injected": sum(each["injected_total"] for each in runs),
        "recovered": sum(each["answered"] - each["wrong"] for each in runs),
        "wrong": sum(each["wrong"] for each in runs),
        "unanswered": sum(each["samples"] - each["answered"] for each in runs),
        "run_twice": sum(each["runs_on_board"] - each["samples"] for each in runs),
        "runs": runs,
        "longest_wait_allowed": LONGEST_WAIT,
        "endless": sum(row["longest_wait"] > LONGEST_WAIT for row in flooded),
        "wrong_in_floods": sum(row["wrong"] for row in flooded),
        "floods": flooded,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/fuzz_link", description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000, help="per rate (default 20000)")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="strikes per byte")
    parser.add_argument("--floods", type=int, default=20, help="lines that never fall silent, of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="JSON file (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        figures = measure(tuple(options.rates), options.samples, options.floods, options.seed)
        write_figures(options.out, figures)
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("damage/byte  injected  retries  time-outs  samples/s  of clean  wrong  run twice")
    for each in figures["runs"]:
        print(
            f"{each['damage_per_byte']:>11g}  {each['injected_total']:>8}  {each['retries']:>7}  "
            f"{each['timeouts']:>9}  {each['samples_per_second']:>9.2f}  "
            f"{each['throughput_of_clean_line']:>8.1%}  "
            f"{each['wrong']:>5}  {each['runs_on_board'] - each['samples']:>9}"
        )
    print(f"\n{'what never falls silent':34}  runs  finished  gave up  longest wait  wrong")
    for row in figures["floods"]:
        print(
            f"{row['babble']:34}  {row['runs']:>4}  {row['finished']:>8}  {row['gave_up']:>7}  "
            f"{row['longest_wait']:>10.1f} s  {row['wrong']:>5}"
        )
    print(f"written to {options.out}")
    bad = ("wrong", "unanswered", "run_twice", "endless", "wrong_in_floods")
    return 1 if any(figures[name] for name in bad) else 0


if __name__ == "__main__":
    sys.exit(main())
