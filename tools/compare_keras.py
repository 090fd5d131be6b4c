"""Hundreds of random models with random input domains against Keras's predictions.

Batches run in processes of their own, as TensorFlow keeps what it once built.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


from stq_deploy import __version__
from stq_deploy.common.errors import StqError
from stq_deploy.research.training.result import git_commit
from tests.helpers.sweep.drawing import draw
from tests.helpers.sweep.input_domains import Case, cases
from tools.figures_file import write_figures

BATCH = 25
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "docs" / "figures" / "compare_keras.json"
NOT_IN_ONEDNN = "could not create a primitive"
"""The error of TensorFlow's oneDNN for a convolution that it cannot run; TensorFlow's own kernels can."""
KINDS = ("samples", "rounding", "fixed_point", "input_rounding", "unexplained", "float_column")
"""Counts of `check_against_keras.Compared`."""


def draw_cases(count: int, start: int, sweep_seed: int) -> list[Case]:
    """`count` models; the same numbers give the same models."""
    return draw(cases(), count, start, sweep_seed)


def run_batch(start: int, count: int, sweep_seed: int, only: list[int] | None = None) -> dict[str, Any]:
    """Compare `count` models, the first of them number `start`; or `only` those, counted from the batch's first."""
    from tests.helpers.sweep.check_against_keras import check_against_keras

    counts: Counter[str] = Counter()
    failures: list[str] = []
    again: list[int] = []
    for number, case in enumerate(draw_cases(count, start, sweep_seed)):
        if only is not None and number not in only:
            continue
        with tempfile.TemporaryDirectory(prefix="stq-compare-") as folder:
            try:
                found = check_against_keras(case, Path(folder))
            except Exception as error:  # whatever the error, the other models are compared, and this one is named
                if NOT_IN_ONEDNN in str(error) and only is None:
                    again.append(number)
                    continue
                count_model(counts, case)
                counts["errors"] += 1
                failures.append(f"{type(error).__name__}: {error}\n{case!r}")
                continue
        count_model(counts, case)
        if found.refused:
            counts.update(("refused", f"refusal {found.refused}"))
            continue
        values = asdict(found)
        counts.update({kind: values[kind] for kind in KINDS})
        if found.unexplained or found.float_column:
            failures.append(f"{found}\n{case!r}")
    return {"counts": dict(counts), "failures": failures, "again": again}


def count_model(counts: Counter[str], case: Case) -> None:
    counts.update(("models", f"domain {case.domain}", f"ending {case.ending}"))


def run_batches(count: int, sweep_seed: int, processes: int) -> tuple[Counter[str], list[str]]:
    """Counts and failures of all batches."""

    def one(start: int) -> list[dict[str, Any]]:
        size = min(BATCH, count - start)
        results = [run_process(start, size, sweep_seed)]
        if again := results[0]["again"]:
            results.append(run_process(start, size, sweep_seed, again))
            results[1]["counts"]["without oneDNN"] = len(again)
        print(f"{start + size} of {count} models", file=sys.stderr)
        return results

    counts: Counter[str] = Counter()
    failures: list[str] = []
    with ThreadPoolExecutor(processes) as pool:
        for results in pool.map(one, range(0, count, BATCH)):
            for result in results:
                counts.update(result["counts"])
                failures += result["failures"]
    return counts, failures


def run_process(start: int, count: int, sweep_seed: int, only: list[int] | None = None) -> dict[str, Any]:
    """A batch in a process of its own; `only` some of its models run with TensorFlow's own kernels, without oneDNN."""
    words = ["--batch", str(start), "--count", str(count), "--seed", str(sweep_seed)]
    environment = dict(os.environ)
    if only is not None:
        words += ["--only", *map(str, only)]
        environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
    command = [sys.executable, __file__, *words]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if found.returncode != 0:
        raise StqError(f"the batch at {start} failed:\n{found.stderr[-2000:]}", next="run it alone with --batch")
    result: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return result


def summary(options: argparse.Namespace, counts: Counter[str], failures: list[str]) -> dict[str, Any]:
    """The figures of a whole comparison."""

    def group(prefix: str) -> dict[str, int]:
        return {k.removeprefix(f"{prefix} "): n for k, n in sorted(counts.items()) if k.startswith(f"{prefix} ")}

    differing = sum(counts[kind] for kind in ("rounding", "fixed_point", "input_rounding", "unexplained"))
    return {
        "command": f"tools/compare_keras --count {options.count} --seed {options.seed}",
        "version": __version__,
        "commit": git_commit(),
        "models": counts["models"],
        "refused": counts["refused"],
        "refusals": group("refusal"),
        "errors": counts["errors"],
        "keras_without_onednn": counts["without oneDNN"],
        "samples": counts["samples"],
        "predictions_differing": differing,
        "explained": {kind: counts[kind] for kind in ("rounding", "fixed_point", "input_rounding")},
        "unexplained": counts["unexplained"],
        "float_column_differs": counts["float_column"],
        "domains": group("domain"),
        "outputs": group("ending"),
        "failures": failures,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=500, help="models to compare")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, default=DEFAULT_OUT, help="file to write the figures to")
    parser.add_argument("--batch", type=int, help="compare only the batch that starts here, and print its figures")
    parser.add_argument("--only", type=int, nargs="+", help="with --batch: only these of its models, counted from 0")
    options = parser.parse_args()
    if options.batch is not None:
        print(json.dumps(run_batch(options.batch, options.count, options.seed, options.only)))
        return 0
    found = summary(options, *run_batches(options.count, options.seed, options.processes))
    write_figures(options.json, found)
    for key, value in found.items():
        if key != "failures":
            print(f"{key.replace('_', ' '):24} {value}")
    for text in found["failures"][:5]:
        print(f"\nFAILED: {text}")
    return int(bool(found["errors"] or found["unexplained"] or found["float_column_differs"]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StqError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
