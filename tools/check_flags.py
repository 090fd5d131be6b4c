"""Builds the generated C with every compiler and flags of `compile_configurations` and compares every layer's bytes.

Exit code 1 if a configuration computes anything but the reference in NumPy. Configurations that this computer cannot
build are counted, and the reason printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.program import Program
from tests.helpers.covering_networks import covering_programs
from tests.helpers.kernels.compile_configurations import (
    COMPILERS,
    Configuration,
    differences,
    every_configuration,
    why_not,
)
from tools.figures_file import write_figures


@dataclass(frozen=True)
class Outcome:
    """The result of one configuration: why it was left out, or what differs."""

    configuration: Configuration
    left_out: str | None
    differs: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--networks", type=int, help="of the covering ones, for speed and for size in turn; default: all"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="builds at once")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to FILE")
    options = parser.parse_args()
    programs = _in_turn(covering_programs())[: options.networks]

    def check(configuration: Configuration) -> Outcome:
        left_out = why_not(configuration)
        return Outcome(configuration, left_out, [] if left_out else differences(configuration, programs))

    outcomes = []
    with ThreadPoolExecutor(options.workers) as pool:
        for outcome in pool.map(check, every_configuration()):
            outcomes.append(outcome)
            result = outcome.left_out or ("; ".join(outcome.differs) or "equal")
            print(f"{outcome.configuration}: {result}", flush=True)
    built = [outcome for outcome in outcomes if outcome.left_out is None]
    differing = [outcome for outcome in built if outcome.differs]
    print(
        f"\n{len(outcomes)} configurations, {len(built)} built, {len(programs)} networks each: {len(differing)} differ."
    )
    if options.json is not None:
        document = {
            "compilers": {compiler: _version(compiler) for compiler in COMPILERS},
            "networks": len(programs),
            "configurations": len(outcomes),
            "left_out": {str(outcome.configuration): outcome.left_out for outcome in outcomes if outcome.left_out},
            "equal": [str(outcome.configuration) for outcome in built if not outcome.differs],
            "different": {str(outcome.configuration): outcome.differs for outcome in differing},
        }
        write_figures(options.json, document)
    return 1 if differing else 0


def _in_turn(programs: list[Program]) -> list[Program]:
    """Those for speed and the others alternate, because each have kernels that the others lack."""
    fast = [program for program in programs if program.optimize == "speed"]
    others = [program for program in programs if program.optimize != "speed"]
    return [one for pair in zip_longest(fast, others) for one in pair if one is not None]


def _version(compiler: str) -> str:
    try:
        done = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return "not installed"
    return done.stdout.splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
