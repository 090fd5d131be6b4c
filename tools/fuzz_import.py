"""Model files, mutated, through the import: each gives a model or one clear error, in little time and memory.

Nothing in them is executed. Two of the files hold code that touches a marker, and the tool watches what Python runs,
imports or starts meanwhile. Some accepted files become Keras models, which must have the very classes and arrays that
were checked.

Others are converted.

`--format tflite` does the same to the .tflite files of tests/data/tflite_cases.npz, and `--format onnx` to the ONNX
files of tests/frontend/onnx/models. `--format keras3` does it to the files of Keras 3,
QKeras v3 and HGQ2 in tests/frontend/keras3.

Keras's files come from tests/frontend/corpus. tf_keras and qkeras wrote those that are mutated (`keras_*`). Files
found to be of interest are kept there, too (`found_*`), and the tests replay them. Number N of a seed is the same file
on every computer.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.frontend import check_model, list_layers, parse_model
from stq_deploy.frontend.checked import CheckedModel
from stq_deploy.frontend.model_file import open_model_file
from stq_deploy.sandbox import process
from tests.helpers.frontend import keras_3_mutations, onnx_mutations, tflite_mutations
from tests.helpers.frontend.mutations import PAYLOAD_MODULE, mutate
from tools.figures_file import write_figures
from tools.kept_reader import KEPT_READER, WATCHED, KeptReader, Reader

TOP = Path(__file__).resolve().parent.parent
CORPUS = TOP / "tests" / "frontend" / "corpus"
ONNX_MODELS = TOP / "tests" / "frontend" / "onnx" / "models"
TFLITE_CASES = TOP / "tests" / "data" / "tflite_cases.npz"
FIGURES = TOP / "docs" / "figures"
KERAS_3_FILES = TOP / "tests" / "frontend" / "keras3"
KERAS, KERAS_3, ONNX, TFLITE = FORMATS = ("keras", "keras3", "onnx", "tflite")
APART = 20
"""Every 20th file goes the whole way, through a process of its own that reads it; the others through `kept_reader`."""
NETWORKS, KERAS_MODELS = "networks", "keras_models"
EXTRACTORS = {
    format: f"stq_deploy.frontend.formats.{'keras' if format == KERAS_3 else format}.extract" for format in FORMATS
}
BATCH = 1000
HANG_SECONDS = 60  # of processor time, far beyond what the import allows a file
WAIT_SECONDS = 3600  # for another process; a busy computer may have no time for this one
MAXIMUM_MEGABYTES = 1024
REPEATED = 3
"""A file is out of time only if it is so again and again."""
START_METHOD = "spawn"
"""Processes are not forked: one that starts the tool may hold gigabytes, which would count as the import's."""
STOPPED = {"takes too long": "out of time", "that reads it fails": "crash", "memory": "out of memory"}
"""Cause for which the process that reads the file was stopped, as the error states it -> its name in the figures."""


def originals(format: str = KERAS) -> list[bytes]:
    """The files that are mutated."""
    if format == TFLITE:
        with np.load(TFLITE_CASES, allow_pickle=False) as cases:
            return [cases[name].tobytes() for name in cases.files if name.endswith(".model")]
    if format == KERAS_3:
        files = [path for path in sorted(KERAS_3_FILES.iterdir()) if path.suffix in (".h5", ".keras")]
        return [path.read_bytes() for path in (*files, CORPUS / "keras_payload.h5")]
    folder, names = (ONNX_MODELS, "*.onnx") if format == ONNX else (CORPUS, "keras_*")
    return [path.read_bytes() for path in sorted(folder.glob(names))]


def file_number(number: int, seed: int, seeds: list[bytes], format: str = KERAS) -> tuple[str, str, bytes]:
    """(kind of mutation, name, content) of a mutated file."""
    state = random.Random(f"{seed}:{number}")  # noqa: S311 - the same file on every computer
    if format == TFLITE:
        kind, content = tflite_mutations.mutate(seeds, state)
        return kind, state.choices(("model.tflite", "model"), (6, 1))[0], content
    if format == ONNX:
        kind, content = onnx_mutations.mutate(seeds, state)
        return kind, state.choices(("model.onnx", "model"), (6, 1))[0], content
    kind, content = (keras_3_mutations.mutate if format == KERAS_3 else mutate)(seeds, state)
    endings = (".h5", ".keras") if content.startswith(b"\x89HDF") else (".keras", ".h5")
    return kind, "model" + state.choices((*endings, ""), (4, 2, 1))[0], content


# What must not happen

MARKER = "STQ_FUZZ_MARKER"
"""Environment variable: the file that the payload of `keras_payload.h5` touches when Keras builds it."""
_seen: list[str] = []
_watching = [False]


def watch(folder: Path, format: str) -> None:
    """Lay out the payloads, have everything imported that the import needs, and watch from then on."""
    os.environ[MARKER] = str(folder / "marker")
    (folder / f"{PAYLOAD_MODULE}.py").write_text(f"import os, pathlib\npathlib.Path(os.environ[{MARKER!r}]).touch()\n")
    sys.path.insert(0, str(folder))
    for content in originals(format):
        attempt(content, folder / "model")
    if not _watching[0]:
        sys.addaudithook(_audit)
    _watching[0] = True


def unwatch(folder: Path) -> None:
    _watching[0] = False
    sys.path.remove(str(folder))


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching[0] and event in WATCHED:
        if event == "subprocess.Popen" and {"stq_deploy.sandbox", KEPT_READER} & set(arguments[1]):
            return
        _seen.append(f"{event} {arguments!r:.200}")


def kept_reader(format: str, true_reader: Reader) -> KeptReader:
    """A reader that lives for a batch, and has read every sound file of the format."""
    return KeptReader(true_reader, [(content, EXTRACTORS[format]) for content in originals(format)])


def executed(kept: KeptReader) -> str:
    """Forbidden events since the last call, here and where files are read; "" if there are none."""
    happened = [*_seen, *kept.executed, *(["the payload ran"] if Path(os.environ[MARKER]).exists() else [])]
    _seen.clear()
    kept.executed.clear()
    Path(os.environ[MARKER]).unlink(missing_ok=True)
    return "\n".join(happened)


# The import


def attempt(content: bytes, path: Path) -> str:
    """Import a file as `inspect` and `convert` do, without TensorFlow.

    Returns:
        "accepted", "listed" (with what is wrong), "refused" or one of STOPPED. Anything else is a failure: a traceback.
    """
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    limit_time()
    try:
        file = open_model_file(path)
        _, _, rows = list_layers(file)
        json.dumps([row.to_json() for row in rows], allow_nan=False)
        outcome = "listed"
        if not any(row.problem for row in rows):
            parse_model(file, post_training=True)
            outcome = "accepted"
    except StqError as error:
        str(error).encode("ascii", "replace")
        stopped = (name for text, name in STOPPED.items() if text in error.what)
        outcome = next(stopped, "refused")
    except BaseException:  # the very thing that is looked for
        outcome = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return outcome


def limit_time() -> None:
    """Have an exception end what hangs, whether it computes or waits."""
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, _hang)
    signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
    signal.alarm(WAIT_SECONDS)


class Hang(Exception):
    """The import has not ended in time."""


def _hang(number: int, frame: object) -> None:
    raise Hang(f"not done in {HANG_SECONDS if number == signal.SIGPROF else WAIT_SECONDS} s")


def run_batch(numbers: range, seed: int, format: str = KERAS) -> dict[str, Any]:
    """Outcomes of some files, by kind of mutation; the failures; the largest use of time and memory."""
    seeds = originals(format)
    outcomes: dict[str, Counter[str]] = {}
    failures: dict[int, str] = {}
    accepted: list[int] = []
    stopped: dict[int, str] = {}
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        true_reader = process._READER
        kept = kept_reader(format, true_reader)
        watch(Path(folder), format)
        for number in numbers:
            _watching[0] = False  # making the file is none of the import
            kind, name, content = file_number(number, seed, seeds, format)
            _watching[0] = True
            start = time.process_time()
            process._READER = true_reader if number % APART == 0 else kept
            outcome = attempt(content, Path(folder) / name)
            longest = max(longest, time.process_time() - start)
            for _ in range(REPEATED):  # the reader also ends after a minute of waiting on a busy computer
                if outcome == "out of time":
                    outcome = attempt(content, Path(folder) / name)
            if happened := executed(kept):
                before = outcome if "\n" in outcome else ""  # a traceback compiles the lines it quotes
                outcome = f"{before}something was executed:\n{happened}"
            if outcome == "accepted":
                accepted.append(number)
            if "\n" in outcome:
                failures[number] = outcome
                outcome = "failed"
            if outcome in STOPPED.values():
                stopped[number] = outcome
            outcomes.setdefault(kind, Counter())[outcome] += 1
        unwatch(Path(folder))
        process._READER = true_reader
    readers = [kept.pid, *([true_reader._process.pid] if true_reader._process else [])]  # its children are limited
    megabytes = max(peak_kilobytes(pid) for pid in ("self", *readers)) // 1024
    kept.stop()
    return {
        "outcomes": outcomes,
        "failures": failures,
        "accepted": accepted,
        "stopped": stopped,
        "seconds": longest,
        "megabytes": megabytes,
    }


def load_batch(numbers: list[int], seed: int, format: str = KERAS, made: str = KERAS_MODELS) -> dict[str, Any]:
    """What is made of accepted files: outcome -> how many; number -> what differs; the longest time of one."""
    seeds = originals(format)
    attempt_further = attempt_to_convert if made == NETWORKS else attempt_to_load
    outcomes: Counter[str] = Counter()
    failures: dict[int, str] = {}
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        os.environ[MARKER] = str(Path(folder) / "marker")
        for number in numbers:
            _, name, content = file_number(number, seed, seeds, format)
            start = time.process_time()
            outcome = attempt_further(content, Path(folder) / name)
            longest = max(longest, time.process_time() - start)
            if Path(os.environ[MARKER]).exists():
                outcome = "the payload ran\n"
            if "\n" in outcome:
                failures[number] = outcome
                outcome = "failed"
            outcomes[outcome] += 1
    return {"outcomes": outcomes, "failures": failures, "seconds": longest}


def attempt_to_load(content: bytes, path: Path) -> str:
    """Make a Keras model of a file that is accepted; the file is gone by then.

    Returns:
        "loaded", "refused" by Keras; or with a line break, what of the model is not as it was checked.
    """
    from stq_deploy.frontend.keras_model import build_keras_model

    path.unlink(missing_ok=True)
    path.write_bytes(content)
    try:
        checked = check_model(path)
        path.unlink()
        return _differences(build_keras_model(checked, path.name), checked) or "loaded"
    except StqError:
        return "refused"
    except BaseException:
        return traceback.format_exc()
    finally:
        import tf_keras

        tf_keras.backend.clear_session()


def attempt_to_convert(content: bytes, path: Path) -> str:
    """Convert a file that is accepted.

    Returns:
        "converted" or "refused"; or with a line break, a traceback.
    """
    from stq_deploy.pipeline import Pipeline

    path.unlink(missing_ok=True)
    path.write_bytes(content)
    limit_time()
    try:
        Pipeline().convert(path)
        return "converted"
    except StqError:
        return "refused"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def _differences(model: Any, checked: CheckedModel) -> str:
    """A line for each layer that has another class, or other arrays, than were checked; and one for each stranger."""
    built = {layer.name: layer for layer in model.layers}
    lines = []
    for layer in checked.layers:
        found = built.get(layer.name)
        if found is None:  # applied again, or the input of an inner model
            continue
        held = {variable.name.rpartition("/")[2].partition(":")[0]: variable.numpy() for variable in found.weights}
        same = all(np.array_equal(held[name.rpartition("/")[2]], array) for name, array in layer.arrays.items())
        if type(found).__name__ != layer.kind or not same:
            lines.append(f"layer {layer.name!r} is a {type(found).__name__}; equal arrays: {same}\n")
    lines += [f"layer {name!r} was not checked\n" for name in built.keys() - {layer.name for layer in checked.layers}]
    return "".join(lines)


def peak_kilobytes(pid: int | str) -> int:
    """The largest resident memory of a process since its program began; 0 if it has ended.

    `getrusage` is not asked: its peak survives `exec`, so a child of a large process begins with that process's peak.
    """
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def merge(figures: dict[str, Any], batch: dict[str, Any], size: int) -> None:
    """Add a batch's figures."""
    figures["files"] += size
    for kind, outcomes in batch["outcomes"].items():
        into = figures["outcomes"].setdefault(kind, {})
        for outcome, n in sorted(outcomes.items()):
            into[outcome] = into.get(outcome, 0) + n
    for what in ("failures", "stopped"):
        figures[what] |= {str(number): text for number, text in batch[what].items()}
    figures["largest_megabytes"] = max(figures["largest_megabytes"], batch["megabytes"])
    figures["longest_processor_seconds"] = max(figures["longest_processor_seconds"], round(batch["seconds"], 2))


def made_of(format: str) -> tuple[str, ...]:
    """What is made of some files that are accepted."""
    return (NETWORKS, KERAS_MODELS) if format in (KERAS, KERAS_3) else (NETWORKS,)


def merge_loaded(figures: dict[str, Any], batch: dict[str, Any], made: str) -> None:
    """Add the figures of what was made of accepted files."""
    for outcome, n in batch["outcomes"].items():
        figures[made][outcome] = figures[made].get(outcome, 0) + n
    figures["failures"] |= {str(number): text for number, text in batch["failures"].items()}
    if made == NETWORKS:
        longest = max(figures["longest_conversion_seconds"], round(batch["seconds"], 2))
        figures["longest_conversion_seconds"] = longest


def limit_memory() -> None:
    """Turn the use of far too much memory into an exception, and so into a failure with a traceback."""
    limit = 3 * MAXIMUM_MEGABYTES << 20  # addresses, of which the libraries reserve more than they use
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def batches(first: int, count: int) -> Iterator[range]:
    for start in range(first, count, BATCH):
        yield range(start, min(start + BATCH, count))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/fuzz_import", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="files (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--format", choices=FORMATS, default=KERAS, help="of the files (default %(default)s)")
    parser.add_argument(
        "--load-every", type=int, default=20, metavar="N", help="load every Nth accepted file in Keras (default 20)"
    )
    parser.add_argument(
        "--convert-every", type=int, default=4, metavar="N", help="also convert every Nth accepted file (default 4)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default %(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file (default: docs/figures/fuzz_import[_FORMAT].json)")
    parser.add_argument("--again", type=int, metavar="N", help="only file number N: print what becomes of it")
    parser.add_argument("--save", type=Path, help="with --again: write the file there")
    options = parser.parse_args(arguments)
    format = options.format
    if options.again is not None:
        return again(options.again, options.seed, options.save, format)
    out = options.out or FIGURES / f"fuzz_import{'' if format == KERAS else '_' + format}.json"
    figures = unfinished(out, options.seed, format)
    if figures["files"]:
        print(f"going on after {figures['files']} files")
    context = multiprocessing.get_context(START_METHOD)
    with (
        ProcessPoolExecutor(options.jobs, context, initializer=limit_memory) as pool,
        ProcessPoolExecutor(1, context) as loading,  # TensorFlow takes more memory than the import may
    ):
        todo = list(batches(figures["files"], options.count))
        for numbers, batch in zip(
            todo, pool.map(run_batch, todo, *([value] * len(todo) for value in (options.seed, format))), strict=True
        ):
            merge(figures, batch, len(numbers))
            for made in made_of(format):
                every = options.convert_every if made == NETWORKS else options.load_every
                chosen = [number for number in batch["accepted"] if number % every == 0]
                merge_loaded(figures, loading.submit(load_batch, chosen, options.seed, format, made).result(), made)
            write_figures(out, figures)
            print(f"{figures['files']} files, {len(figures['failures'])} failures", flush=True)
    report(figures)
    return 1 if figures["failures"] or figures["largest_megabytes"] > MAXIMUM_MEGABYTES else 0


_WHAT = {
    KERAS: "mutated model files, polyglots among them, through the import (list_layers, parse_model), watched for "
    "anything executed; some that are accepted are converted, and a Keras model is made of the values of some",
    KERAS_3: "mutated files of Keras 3, QKeras v3 and HGQ2, polyglots among them, through the import (list_layers, "
    "parse_model), watched for anything executed; some that are accepted are converted, and a tf_keras model is made "
    "of the values of some",
    ONNX: "mutated ONNX files, polyglots among them, through the import (list_layers, parse_model), watched for "
    "anything executed; some that are accepted are converted",
    TFLITE: "mutated .tflite files through the import (list_layers, parse_model), watched for anything executed; some "
    "that are accepted are converted",
}


def unfinished(path: Path, seed: int, format: str) -> dict[str, Any]:
    """The figures so far of a run that was interrupted; those of a new run if there is none of its kind and seed."""
    figures: dict[str, Any] = {
        "what": _WHAT[format],
        "format": format,
        "seed": seed,
        "files": 0,
        "outcomes": {},
        **{made: {} for made in made_of(format)},
        "failures": {},
        "stopped": {},
        "longest_processor_seconds": 0.0,
        "longest_conversion_seconds": 0.0,
        "largest_megabytes": 0,
    }
    if path.is_file():
        found = json.loads(path.read_text())
        if (found["seed"], found["what"]) == (seed, figures["what"]):
            return {**figures, **found}
    return figures


def again(number: int, seed: int, save: Path | None, format: str) -> int:
    """Repeat one file of a run."""
    kind, name, content = file_number(number, seed, originals(format), format)
    if save is not None:
        write_whole(save, content)
    with tempfile.TemporaryDirectory() as folder:
        outcome = attempt(content, Path(folder) / name)
        if outcome == "accepted":
            outcome = attempt_to_convert(content, Path(folder) / name)
    print(f"{kind}: {outcome}")
    return int("\n" in outcome)


def report(figures: dict[str, Any]) -> None:
    columns = sorted({outcome for outcomes in figures["outcomes"].values() for outcome in outcomes})
    print(f"{'':10}", *(f"{column:>14}" for column in columns))
    for kind, outcomes in sorted(figures["outcomes"].items()):
        print(f"{kind:10}", *(f"{outcomes.get(column, 0):>14,}" for column in columns))
    for made in made_of(figures["format"]):
        print(f"{made.replace('_', ' ')}:", *(f"{n:,} {outcome}" for outcome, n in sorted(figures[made].items())))
    print(
        f"{figures['files']:,} files; {len(figures['failures'])} failures; at most {figures['largest_megabytes']} MB"
        f" and {figures['longest_processor_seconds']} s of the importing process"
    )


if __name__ == "__main__":
    sys.exit(main())
