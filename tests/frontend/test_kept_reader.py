"""The fuzzer's own reader of files: it answers as the true one does, and notices what is executed while it reads."""

from __future__ import annotations

import hashlib

import pytest

from stq_deploy.sandbox import process
from tests.helpers.frontend import executing_extractor
from tools import fuzz_import, kept_reader


def _extractor(content: bytes) -> str:
    return fuzz_import.EXTRACTORS[fuzz_import.TFLITE if content[4:8] == b"TFL3" else fuzz_import.KERAS]


@pytest.fixture(scope="module")
def kept() -> kept_reader.KeptReader:
    warm_up = [(content, _extractor(content)) for content in fuzz_import.originals()]
    warm_up += [(content, _extractor(content)) for content in fuzz_import.originals(fuzz_import.TFLITE)[:3]]
    return kept_reader.KeptReader(process._READER, warm_up)


def test_equal_answers(kept: kept_reader.KeptReader) -> None:
    """For sound, damaged and hostile files; the last one ends the process, and another goes on."""
    sound = [path.read_bytes() for path in sorted(fuzz_import.CORPUS.glob("keras_*"))]
    damaged = [fuzz_import.file_number(number, 5, sound)[2] for number in range(15)]
    endless = (fuzz_import.CORPUS / "found_heap_without_end.h5").read_bytes()
    before = kept.pid
    for content in (*sound, *fuzz_import.originals(fuzz_import.TFLITE)[:3], *damaged, b"", endless, sound[0]):
        ours, true = (reader.ask(content, _extractor(content)) for reader in (kept, process._READER))
        assert hashlib.sha256(ours).digest() == hashlib.sha256(true).digest()
    assert kept.asked_again >= 1
    assert kept.pid != before
    assert not kept.executed


def test_it_notices_what_is_executed() -> None:
    name = executing_extractor.__name__
    reader = kept_reader.KeptReader(process._READER, [(b"1 + 1", name)])
    assert reader.executed == []
    assert b'"4"' in reader.ask(b"2 + 2", name)
    reader.stop()
    assert "compile" in reader.executed[0]
    assert "2 + 2" in reader.executed[0]
