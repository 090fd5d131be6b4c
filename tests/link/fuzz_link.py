"""Long runs over bad lines: is every sample answered once and rightly, and what does recovery cost?

The server's C code and the host's session are the shipped ones; line, clock and network are simulated, so
that equal options give equal figures on every computer. `tools/fuzz_link` runs this.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from c_boards import compile_board
from damage import KINDS, Damage
from simulated_board import SimulatedBoard, expected_logits

from stq_deploy.errors import StqError
from stq_deploy.files import write_whole
from stq_deploy.link.session import Session

BAUD = 921_600
INFERENCE_SECONDS = 0.02
RATES = (0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3)
DEFAULT_OUT = Path(__file__).resolve().parents[2] / "docs" / "figures" / "link_recovery.json"


def samples(count: int, seed: int) -> Iterator[np.ndarray]:
    """int8 (1024,) each, no two alike but by chance."""
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


def measure(rates: tuple[float, ...], count: int, seed: int) -> dict[str, Any]:
    """A run per rate, beside the cost of the clean line."""
    with tempfile.TemporaryDirectory() as folder:
        library = compile_board(Path(folder), "memory_board", ["-shared", "-fPIC"])
        clean = run(library, 0.0, count, seed)
        runs = [clean if rate == 0 else run(library, rate, count, seed) for rate in rates]
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
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/fuzz_link", description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000, help="per rate (default 20000)")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="strikes per byte")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="JSON file (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        figures = measure(tuple(options.rates), options.samples, options.seed)
        write_whole(options.out, json.dumps(figures, indent=1) + "\n")
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
    print(f"written to {options.out}")
    return 1 if figures["wrong"] or figures["unanswered"] or figures["run_twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
