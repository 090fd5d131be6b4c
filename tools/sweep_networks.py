"""Thousands of random models through Keras, import, conversion, C and boards.

Batches of models run in their own processes. Each finished batch is a line beside the result file, so an interrupted
sweep continues there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stq_deploy import __version__
from stq_deploy.common.errors import StqError
from stq_deploy.frontend.layers import supported_kinds
from stq_deploy.frontend.quantizers import ACTIVATION, KERNEL
from stq_deploy.research.training.result import git_commit
from tests.helpers.sweep.drawing import draw
from tests.helpers.sweep.random_models import Recipe, recipes
from tools.figures_file import write_figures

BATCH = 25
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "docs" / "figures" / "sweep_networks.json"
SHOWN_FAILURES = 5


def run_batch(start: int, count: int, sweep_seed: int, emulated_every: int, board: str) -> dict[str, Any]:
    """Check `count` models, the first of them number `start` of the sweep; every so many also on an emulated board."""
    from tests.helpers.sweep.check_model import LOCAL, check_model

    counts: Counter[str] = Counter()
    failures: list[str] = []

    def check(recipe: Recipe, number: int) -> None:
        executors = (*LOCAL, board) if emulated_every and number % emulated_every == 0 else LOCAL
        counts["tried"] += 1
        counts.update(f"layer {name}" for name in set(recipe.layers()))
        counts.update(f"quantizer {name}" for name in set(recipe.quantizers()))
        with tempfile.TemporaryDirectory(prefix="stq-sweep-") as folder:
            try:
                outcome = check_model(recipe, Path(folder), executors)
            except Exception as error:  # whatever the error, the sweep continues and names the model
                counts["sanitizer findings" if "sanitized program failed" in str(error) else "errors"] += 1
                failures.append(f"{type(error).__name__}: {error}{recipe!r}")
                return
        if outcome.refused:
            counts["refused"] += 1
            counts[f"refused {outcome.refused}"] += 1
            return
        counts.update(f"op {kind}" for kind in set(outcome.kinds))
        counts.update(f"executor {name}" for name in outcome.executors)
        counts.update(f"format {name}" for name in outcome.formats)
        counts["mismatches"] += len(outcome.mismatches)
        if outcome.float_differences is not None:
            counts["compared with float32 where that is exact"] += 1
            counts["float32 differences where it is exact"] += outcome.float_differences
        if outcome.mismatches or outcome.float_differences:
            failures.append(f"{outcome.mismatches} {outcome.float_differences}{recipe!r}")

    for i, recipe in enumerate(draw(recipes(), count, start, sweep_seed)):
        check(recipe, start + i)
    return {"start": start, "counts": dict(counts), "failures": failures[:SHOWN_FAILURES]}


def run_batches(options: argparse.Namespace, done: dict[int, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Results of all batches not in `done`, as they come."""
    starts = [n for n in range(0, options.count, BATCH) if n not in done]

    def one(start: int) -> dict[str, Any]:
        count = min(BATCH, options.count - start)
        words = ["--batch", str(start), "--count", str(count), "--seed", str(options.seed)]
        words += ["--emulated-every", str(options.emulated_every), "--board", options.board]
        found = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
        if found.returncode != 0:
            raise StqError(f"the batch at {start} failed:\n{found.stderr[-2000:]}", next="run it alone with --batch")
        result: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
        return result

    with ThreadPoolExecutor(options.processes) as pool:
        waiting = [pool.submit(one, start) for start in starts]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def summary(options: argparse.Namespace, batches: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The figures of a whole sweep."""
    counts: Counter[str] = Counter()
    for start in sorted(batches):
        counts.update(batches[start]["counts"])

    def group(prefix: str) -> dict[str, int]:
        return {k.removeprefix(f"{prefix} "): n for k, n in sorted(counts.items()) if k.startswith(f"{prefix} ")}

    drawn = group("layer").keys() | group("quantizer").keys()
    return {
        "command": f"tools/sweep_networks --count {options.count} --seed {options.seed}"
        f" --emulated-every {options.emulated_every} --board {options.board}",
        "version": __version__,
        "commit": git_commit(),
        "networks": counts["tried"],
        "refused": counts["refused"],
        "refusals": group("refused"),
        "mismatches": counts["mismatches"],
        "sanitizer_findings": counts["sanitizer findings"],
        "errors": counts["errors"],
        "compared_with_float32": counts["compared with float32 where that is exact"],
        "float32_differences": counts["float32 differences where it is exact"],
        "executors": group("executor"),
        "formats": group("format"),
        "layers": group("layer"),
        "quantizers": group("quantizer"),
        "ops": group("op"),
        "not_drawn": sorted({*supported_kinds(), *KERNEL.quantizers, *ACTIVATION.quantizers} - drawn),
        "failures": [text for start in sorted(batches) for text in batches[start]["failures"]],
    }


def show(found: dict[str, Any]) -> None:
    for key in ("networks", "refused", "mismatches", "sanitizer_findings", "errors"):
        print(f"{key.replace('_', ' '):28} {found[key]:>7,}")
    compared, differing = found["compared_with_float32"], found["float32_differences"]
    print(f"{'float32 differences':28} {differing:>7,} in {compared:,} networks that float32 computes exactly")
    for title in ("executors", "formats", "layers", "quantizers", "ops", "refusals"):
        print(f"\n{title}")
        for name, count in found[title].items():
            print(f"  {name:60} {count:>7,}")
    print(f"\nsupported, and not drawn: {', '.join(found['not_drawn'])}")
    for text in found["failures"][:SHOWN_FAILURES]:
        print(f"\nFAILED: {text}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=2000, help="networks to try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--emulated-every", type=int, default=10, metavar="N", help="every Nth also on a board; 0: none"
    )
    parser.add_argument("--board", default="stm32h743", help="which board, emulated")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--batch", type=int, help="run only the batch that starts here, and print its figures")
    options = parser.parse_args()
    if options.batch is not None:
        result = run_batch(options.batch, options.count, options.seed, options.emulated_every, options.board)
        print(json.dumps(result))
        return 0
    beside = options.out.with_suffix(f".{options.seed}.part")
    done = {}
    if beside.exists():
        done = {batch["start"]: batch for batch in map(json.loads, beside.read_text().splitlines())}
    columns = (TextColumn("networks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress, beside.open("a") as file:
        task = progress.add_task("", total=options.count, completed=min(len(done) * BATCH, options.count))
        for batch in run_batches(options, done):
            done[batch["start"]] = batch
            print(json.dumps(batch), file=file, flush=True)
            progress.advance(task, batch["counts"]["tried"])
    found = summary(options, done)
    write_figures(options.out, found)
    beside.unlink()
    show(found)
    return int(
        bool(found["mismatches"] or found["sanitizer_findings"] or found["errors"] or found["float32_differences"])
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StqError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
