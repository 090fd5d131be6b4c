"""Fetching from a server, well and ill: what is kept is the known file, and else nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.fetch import fetch, in_words
from tests.helpers.datasets.publisher import Publisher

CONTENT = bytes(range(256)) * 20
ADVICE = "fetch it by hand"


def test_a_file_is_fetched_once(publisher: Publisher, cache: Path) -> None:
    file = publisher.publish("a.bin", CONTENT)
    path = fetch(file, "set", ADVICE)
    assert path == cache / "set" / "a.bin"
    assert path.read_bytes() == CONTENT
    assert fetch(file, "set", ADVICE) == path
    assert publisher.asked == ["/a.bin"]


@pytest.mark.parametrize("damaged", [CONTENT[:-1], CONTENT[:-1] + b"x", b""])
def test_a_damaged_copy_is_fetched_anew(publisher: Publisher, cache: Path, damaged: bytes) -> None:
    file = publisher.publish("a.bin", CONTENT)
    (cache / "set").mkdir(parents=True)
    (cache / "set" / "a.bin").write_bytes(damaged)
    assert fetch(file, "set", ADVICE).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("served", "promised", "message"),
    [
        (CONTENT[:-1] + b"x", None, "not the known one"),
        (CONTENT[:100], None, "not the known one"),
        (CONTENT[:100], len(CONTENT), "not the known one|cannot fetch"),  # the connection breaks off
        (CONTENT + b"x", None, "longer than the 5120 bytes"),
        (b"<html>log in first</html>", None, "not the known one"),
        (None, None, "cannot fetch"),
    ],
)
def test_what_is_not_the_known_file_is_refused_and_not_kept(
    publisher: Publisher, cache: Path, served: bytes | None, promised: int | None, message: str
) -> None:
    file = publisher.publish("a.bin", CONTENT)
    if served is None:
        del publisher.files["/a.bin"]
    else:
        publisher.files["/a.bin"] = served
    if promised is not None:
        publisher.promised["/a.bin"] = promised
    with pytest.raises(StqError, match=message) as caught:
        fetch(file, "set", ADVICE)
    assert ADVICE in str(caught.value)
    assert file.address in str(caught.value)
    assert list((cache / "set").iterdir()) == []


def test_an_endless_answer_is_not_read_to_its_end(publisher: Publisher, cache: Path) -> None:
    file = dataclasses.replace(publisher.publish("a.bin", b"x" * (64 << 20)), size=1000)
    with pytest.raises(StqError, match="longer than the 1000 bytes"):
        fetch(file, "set", ADVICE)
    assert list((cache / "set").iterdir()) == []


def test_no_network(publisher: Publisher) -> None:
    file = publisher.publish("a.bin", CONTENT)
    for address in ("http://127.0.0.1:9/a.bin", "http://nowhere.invalid/a.bin"):
        with pytest.raises(StqError, match="cannot fetch the data"):
            fetch(dataclasses.replace(file, address=address), "set", ADVICE)


def test_no_cache(publisher: Publisher, cache: Path) -> None:
    cache.write_text("a file is in the way")
    with pytest.raises(StqError, match="cannot fetch the data"):
        fetch(publisher.publish("a.bin", CONTENT), "set", ADVICE)


@pytest.mark.parametrize(
    ("size", "text"), [(999, "999 bytes"), (5148, "5.15 KB"), (64_275_384, "64.3 MB"), (2_428_923_189, "2.43 GB")]
)
def test_sizes_in_words(size: int, text: str) -> None:
    assert in_words(size) == text
