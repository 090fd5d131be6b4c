"""A sample of the fuzz target for ONNX files: `tools/fuzz_import --format onnx` takes thousands."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.helpers.frontend.onnx_mutations import MUTATIONS
from tools import fuzz_import

pytest.importorskip("onnx")


def test_a_sample() -> None:
    """In a process of its own: this one may hold gigabytes of other tests, which are not the import's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context(fuzz_import.START_METHOD)) as pool:
        batch = pool.submit(fuzz_import.run_batch, range(100), 7, fuzz_import.ONNX).result()
    assert not batch["failures"]
    assert set(batch["outcomes"]) == set(MUTATIONS)
    assert {outcome for found in batch["outcomes"].values() for outcome in found} == {"accepted", "listed", "refused"}
    assert batch["megabytes"] < fuzz_import.MAXIMUM_MEGABYTES
