"""Model files, mutated, through the import: each gives a model or one clear error, in little time and memory.

The files come from the corpus beside this one: what is mutated is what tf_keras and qkeras wrote (`keras_*`); what was
found to be of interest is kept there too (`found_*`), and replayed by the tests. Number N of a seed is the same file on
every computer. `tools/fuzz_import` runs this.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from mutations import mutate

from stq_deploy.errors import StqError
from stq_deploy.files import write_whole
from stq_deploy.frontend import list_layers, parse_model
from stq_deploy.quarantine import process

CORPUS = Path(__file__).parent / "corpus"
DEFAULT_OUT = Path(__file__).resolve().parents[2] / "docs" / "figures" / "fuzz_import.json"
BATCH = 500
HANG_SECONDS = 60  # far beyond what the import allows a file, so that a busy computer is not taken for a hang
MAXIMUM_MEGABYTES = 1024
STOPPED = {"takes too long": "out of time", "library fails": "crash", "memory": "out of memory"}
"""What an error says that the process reading the file was stopped for -> its name in the figures."""


def originals() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CORPUS.glob("keras_*"))]


def file_number(number: int, seed: int, seeds: list[bytes]) -> tuple[str, bytes]:
    """(kind of mutation, content) of a mutated file."""
    return mutate(seeds, random.Random(f"{seed}:{number}"))


def attempt(content: bytes, path: Path) -> str:
    """Import a file as `inspect` and `convert` do, without TensorFlow.

    Returns:
        "accepted", "listed" (with what is wrong), "refused" or one of STOPPED. Anything else is a failure: a traceback.
    """
    path.write_bytes(content)
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(HANG_SECONDS)
    try:
        _, _, rows = list_layers(path)
        json.dumps([row.to_json() for row in rows], allow_nan=False)
        outcome = "listed"
        if not any(row.problem for row in rows):
            parse_model(path, post_training=True)
            outcome = "accepted"
    except StqError as error:
        str(error).encode("ascii", "replace")
        stopped = (name for text, name in STOPPED.items() if text in error.what)
        outcome = next(stopped, "refused")
    except BaseException:  # the very thing that is looked for
        outcome = traceback.format_exc()
    finally:
        signal.alarm(0)
    return outcome


def _hang(number: int, frame: object) -> None:
    raise TimeoutError(f"not done in {HANG_SECONDS} s")


def run_batch(numbers: range, seed: int) -> dict[str, Any]:
    """Outcomes of some files, by kind of mutation; the failures; the largest use of time and memory."""
    seeds = originals()
    outcomes: dict[str, Counter[str]] = {}
    failures: dict[int, str] = {}
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            kind, content = file_number(number, seed, seeds)
            start = time.process_time()
            outcome = attempt(content, Path(folder) / "model")
            longest = max(longest, time.process_time() - start)
            if "\n" in outcome:
                failures[number] = outcome
                outcome = "failed"
            outcomes.setdefault(kind, Counter())[outcome] += 1
    megabytes = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _reader_kilobytes()) // 1024
    return {"outcomes": outcomes, "failures": failures, "seconds": longest, "megabytes": megabytes}


def _reader_kilobytes() -> int:
    """The largest memory so far of the process that reads files for this one; its children are limited."""
    reader = process._READER._process
    status = Path(f"/proc/{reader.pid}/status") if reader else Path()
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def merge(figures: dict[str, Any], batch: dict[str, Any], size: int) -> None:
    """Add a batch's figures."""
    figures["files"] += size
    for kind, outcomes in batch["outcomes"].items():
        into = figures["outcomes"].setdefault(kind, {})
        for outcome, n in sorted(outcomes.items()):
            into[outcome] = into.get(outcome, 0) + n
    figures["failures"] |= {str(number): text for number, text in batch["failures"].items()}
    figures["largest_megabytes"] = max(figures["largest_megabytes"], batch["megabytes"])
    figures["longest_processor_seconds"] = max(figures["longest_processor_seconds"], round(batch["seconds"], 2))


def limit_memory() -> None:
    """Make of whatever takes far too much memory an exception, and thereby a failure with a traceback."""
    limit = 3 * MAXIMUM_MEGABYTES << 20  # addresses, of which the libraries reserve more than they use
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def batches(first: int, count: int) -> Iterator[range]:
    for start in range(first, count, BATCH):
        yield range(start, min(start + BATCH, count))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/fuzz_import", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="files (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="JSON file (default %(default)s)")
    parser.add_argument("--again", type=int, metavar="N", help="only file number N: print what becomes of it")
    parser.add_argument("--save", type=Path, help="with --again: write the file there")
    options = parser.parse_args(arguments)
    if options.again is not None:
        return again(options.again, options.seed, options.save)
    figures = unfinished(options.out, options.seed)
    if figures["files"]:
        print(f"going on after {figures['files']} files")
    with ProcessPoolExecutor(options.jobs, initializer=limit_memory) as pool:
        todo = list(batches(figures["files"], options.count))
        for numbers, batch in zip(todo, pool.map(run_batch, todo, [options.seed] * len(todo)), strict=True):
            merge(figures, batch, len(numbers))
            write_whole(options.out, json.dumps(figures, indent=1) + "\n")
            print(f"{figures['files']} files, {len(figures['failures'])} failures", flush=True)
    report(figures)
    return 1 if figures["failures"] or figures["largest_megabytes"] > MAXIMUM_MEGABYTES else 0


def unfinished(path: Path, seed: int) -> dict[str, Any]:
    """The figures so far of a run that was interrupted; those of a new run if there is none with this seed."""
    figures: dict[str, Any] = {
        "what": "mutated model files through the import (list_layers, parse_model), without TensorFlow",
        "seed": seed,
        "files": 0,
        "outcomes": {},
        "failures": {},
        "longest_processor_seconds": 0.0,
        "largest_megabytes": 0,
    }
    if path.is_file():
        found = json.loads(path.read_text())
        if found["seed"] == seed:
            return figures | found
    return figures


def again(number: int, seed: int, save: Path | None) -> int:
    """Repeat one file of a run."""
    kind, content = file_number(number, seed, originals())
    if save is not None:
        save.write_bytes(content)
    with tempfile.TemporaryDirectory() as folder:
        outcome = attempt(content, Path(folder) / "model")
    print(f"{kind}: {outcome}")
    return int("\n" in outcome)


def report(figures: dict[str, Any]) -> None:
    columns = sorted({outcome for outcomes in figures["outcomes"].values() for outcome in outcomes})
    print(f"{'':10}", *(f"{column:>14}" for column in columns))
    for kind, outcomes in sorted(figures["outcomes"].items()):
        print(f"{kind:10}", *(f"{outcomes.get(column, 0):>14,}" for column in columns))
    print(
        f"{figures['files']:,} files; {len(figures['failures'])} failures; at most {figures['largest_megabytes']} MB"
        f" and {figures['longest_processor_seconds']} s of the importing process"
    )


if __name__ == "__main__":
    sys.exit(main())
