"""Resumable results: nothing lost, nothing twice, nothing of another run."""

import dataclasses
import json
from pathlib import Path

import pytest

from stq_deploy.errors import StqError
from stq_deploy.evaluation.results_file import Result, ResultsFile, RunIdentity

IDENTITY = RunIdentity("stm32h743", "aa", "bb", "cc", classes=2)


def _fill(path: Path, indices: list[int]) -> None:
    with ResultsFile(path, IDENTITY, 5) as results:
        for i in indices:
            results.append(i, Result((i, -i)))


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.jsonl"
    _fill(path, [0, 2])
    with ResultsFile(path, IDENTITY, 5) as results:
        assert results.missing(5) == [1, 3, 4]
        assert results.missing(3) == [1]
        for i in results.missing(5):
            results.append(i, Result((i, -i), cycles=(10, 20)))
        assert results.logits(5).tolist() == [[i, -i] for i in range(5)]
    with ResultsFile(path, IDENTITY, 5) as results:
        assert results.missing(5) == []
        assert results.results[3].cycles == (10, 20)
    assert len(path.read_text().splitlines()) == 6


def test_every_cut_of_the_file_resumes_with_the_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _fill(path, [0, 1, 2])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with ResultsFile(path, IDENTITY, 5) as results:
            complete = max(0, whole[:length].count(b"\n") - 1)
            assert sorted(results.results) == list(range(complete))
            for i in results.missing(5):
                results.append(i, Result((i, -i)))
        lines = path.read_text().splitlines()
        assert [json.loads(line)["index"] for line in lines[1:]] == [0, 1, 2, 3, 4]


def test_a_result_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ResultsFile(path, IDENTITY, 5) as results:
        results.append(4, Result((1, 2)))
        assert json.loads(path.read_text().splitlines()[-1]) == {"index": 4, "logits": [1, 2]}


def test_no_result_twice(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _fill(path, [1])
    with ResultsFile(path, IDENTITY, 5) as results, pytest.raises(ValueError, match="already"):
        results.append(1, Result((0, 0)))
    with path.open("a") as file:
        file.write('{"index":1,"logits":[1,-1]}\n')
    with pytest.raises(StqError, match=r"line 3 is damaged \(sample 1 occurs twice\)"):
        ResultsFile(path, IDENTITY, 5)


@pytest.mark.parametrize("field", ["board", "model_hash", "build_id", "samples_sha256"])
def test_results_of_another_run_are_not_continued(tmp_path: Path, field: str) -> None:
    path = tmp_path / "r.jsonl"
    _fill(path, [0])
    before = path.read_bytes()
    with pytest.raises(StqError, match=f"another run: their {field}"):
        ResultsFile(path, dataclasses.replace(IDENTITY, **{field: "other"}), 5)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", "x", '{"index":9,"logits":[1,2]}', '{"index":-1,"logits":[1,2]}', '{"index":1,"logits":[1]}',
     '{"index":1,"logits":[1,2.5]}',
     '{"index":true,"logits":[1,2]}', '{"index":1,"logits":[1,2],"cycles":[null]}',
     '{"index":1,"logits":[1,' + "9" * 30 + "]}"],
)  # fmt: skip
def test_damaged_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    _fill(path, [0])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StqError, match="line 3 is damaged"):
        ResultsFile(path, IDENTITY, 5)


@pytest.mark.parametrize("content", ['{"what": "mine"}\n', "my notes", '{"format"\n1,'])
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(content)
    with pytest.raises(StqError, match="line 1 is damaged"):
        ResultsFile(path, IDENTITY, 5)
    assert path.read_text() == content


def test_two_runs_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ResultsFile(path, IDENTITY, 5), pytest.raises(StqError, match="another run is writing"):
        ResultsFile(path, IDENTITY, 5)


def test_an_impossible_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StqError, match="cannot write the results"):
        ResultsFile(tmp_path / "file" / "r.jsonl", IDENTITY, 5)
