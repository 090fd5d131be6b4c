"""The fuzz target: a sample of it, its corpus, a failure that it must notice, and continuing where it stopped."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.frontend.mutations import MUTATIONS, PAYLOAD_MODULE
from tests.helpers.frontend.polyglots import hdf5_first, zip_first
from tools import fuzz_import

OUTCOMES = {
    "keras_float.h5": "accepted",
    "keras_lambda.h5": "listed",
    "keras_layers.h5": "accepted",
    "keras_layers.keras": "accepted",
    "keras_nested.h5": "accepted",
    "keras_nested.keras": "accepted",
    "keras_payload.h5": "listed",
    "found_heap_without_end.h5": "out of time",
}


@pytest.mark.parametrize("path", sorted(fuzz_import.CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus(path: Path, tmp_path: Path) -> None:
    assert fuzz_import.attempt(path.read_bytes(), tmp_path / "m") == OUTCOMES[path.name]


def test_a_sample() -> None:
    """In a process of its own: this one may hold gigabytes of other tests, which are not the import's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context(fuzz_import.START_METHOD)) as pool:
        batch = pool.submit(fuzz_import.run_batch, range(200), 7).result()
    assert not batch["failures"]
    assert set(batch["outcomes"]) == set(MUTATIONS)
    assert batch["megabytes"] < fuzz_import.MAXIMUM_MEGABYTES


def test_polyglots_are_refused_or_what_they_begin_as(tmp_path: Path) -> None:
    """Every pair of the corpus, either way round, under any name."""
    seeds = fuzz_import.originals()
    archives = [seed for seed in seeds if seed.startswith(b"PK")]
    files = [seed for seed in seeds if not seed.startswith(b"PK")]
    for archive, hdf5 in itertools.product(archives, files):
        for content, ending in ((zip_first(archive, hdf5), ".keras"), (hdf5_first(hdf5, archive), ".h5")):
            other = ".h5" if ending == ".keras" else ".keras"
            assert fuzz_import.attempt(content, tmp_path / f"m{other}") == "refused"
            alone = fuzz_import.attempt(archive if ending == ".keras" else hdf5, tmp_path / f"a{ending}")
            for name in (f"m{ending}", "m"):
                assert fuzz_import.attempt(content, tmp_path / name) == alone


def test_it_would_notice_what_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def import_payload(path: Path) -> None:
        sys.modules.pop(PAYLOAD_MODULE, None)
        __import__(PAYLOAD_MODULE)

    monkeypatch.setattr(fuzz_import, "open_model_file", lambda path: eval("[]"))
    assert "compile" in fuzz_import.run_batch(range(1), 1)["failures"][0]
    monkeypatch.setattr(fuzz_import, "open_model_file", import_payload)
    assert "the payload ran" in fuzz_import.run_batch(range(1), 1)["failures"][0]


@pytest.mark.keras
def test_accepted_files_are_loaded_as_they_were_checked() -> None:
    accepted = fuzz_import.run_batch(range(150), seed=7)["accepted"]
    loaded = fuzz_import.load_batch(accepted[:12], seed=7)
    assert not loaded["failures"]
    assert loaded["outcomes"]["loaded"] > 6


def test_equal_numbers_are_equal_files() -> None:
    """Whatever was made before them: no mutation changes the values that others choose from."""
    originals = fuzz_import.originals()
    numbers = range(300)
    first = [fuzz_import.file_number(number, 3, originals) for number in numbers]
    assert [fuzz_import.file_number(number, 3, originals) for number in reversed(numbers)] == first[::-1]


def test_memory_held_before_is_not_counted() -> None:
    """The memory of the process that starts another one is not that one's."""
    held = np.ones(600 << 17)  # 600 MB
    with ProcessPoolExecutor(1, multiprocessing.get_context(fuzz_import.START_METHOD)) as pool:
        peak = pool.submit(fuzz_import.peak_kilobytes, "self").result()
    assert held.nbytes >> 10 <= fuzz_import.peak_kilobytes("self")
    assert 0 < peak < held.nbytes >> 10


def test_it_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_import, "BATCH", 10)
    for name, counts in (("whole", (40,)), ("parts", (20, 40))):
        for count in counts:
            assert fuzz_import.main(["--count", str(count), "--seed", "5", "--out", str(tmp_path / name)]) == 0
    whole, parts = (json.loads((tmp_path / name).read_text()) for name in ("whole", "parts"))
    assert whole["files"] == parts["files"] == 40
    assert whole["outcomes"] == parts["outcomes"]


def test_any_other_exception_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise OverflowError("int too large")

    monkeypatch.setattr(fuzz_import, "open_model_file", broken)
    # The stand-in is this process's, so the pool is forked from it; its own addresses may be beyond the limit.
    monkeypatch.setattr(fuzz_import, "START_METHOD", "fork")
    monkeypatch.setattr(fuzz_import, "limit_memory", lambda: None)
    assert fuzz_import.main(["--count", "3", "--jobs", "1", "--out", str(tmp_path / "f")]) == 1
    failures = json.loads((tmp_path / "f").read_text())["failures"]
    assert list(failures) == ["0", "1", "2"]
    assert "OverflowError: int too large" in failures["0"]
    monkeypatch.setattr(fuzz_import, "HANG_SECONDS", 1)
    monkeypatch.setattr(fuzz_import, "open_model_file", lambda path: [None for _ in iter(int, 1)])
    assert "not done in 1 s" in fuzz_import.attempt(b"", tmp_path / "m")


def test_a_sample_of_keras_3() -> None:
    """In a process of its own, as above."""
    with ProcessPoolExecutor(1, multiprocessing.get_context(fuzz_import.START_METHOD)) as pool:
        batch = pool.submit(fuzz_import.run_batch, range(100), 7, fuzz_import.KERAS_3).result()
    assert not batch["failures"]
    assert "keras 3" in batch["outcomes"]
    assert batch["megabytes"] < fuzz_import.MAXIMUM_MEGABYTES
