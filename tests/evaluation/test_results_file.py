"""Resumable results: nothing lost, nothing twice, nothing of another run."""

import dataclasses
import errno
import json
import resource
import zlib
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.results_file import Result, ResultsFile, RunIdentity

IDENTITY = RunIdentity("stm32h743", "aa", "bb", "cc", classes=2)


def checked(line: str) -> str:
    """The line with its check sum, made here anew."""
    content = line.removesuffix("}")
    return f'{content},"crc":"{zlib.crc32(content.encode()):08x}"}}\n'


def write_old(path: Path, indices: list[int]) -> None:
    """As version 1 wrote it: without check sums."""
    lines = [{"format": "stq-results", "version": 1, **dataclasses.asdict(IDENTITY)}]
    lines += [{"index": i, "logits": [i, -i]} for i in indices]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


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
        line = json.loads(path.read_text().splitlines()[-1])
        assert line == {"index": 4, "logits": [1, 2], "crc": line["crc"]}


def test_no_result_twice(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _fill(path, [1])
    with ResultsFile(path, IDENTITY, 5) as results, pytest.raises(ValueError, match="already"):
        results.append(1, Result((0, 0)))
    with path.open("a") as file:
        file.write(checked('{"index":1,"logits":[1,-1]}'))
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
     '{"index":1,"logits":[1,' + "9" * 30 + "]}", '{"index":1,"logits":[1,' + "9" * 400 + "]}",
     '{"index":1,"logits":[1,' + "9" * 9000 + "]}", '{"index":1,"logits":[1,2],"name":"' + "\\ud800" + '"}'],
)  # fmt: skip
def test_damaged_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    _fill(path, [0])
    with path.open("a") as file:
        file.write(checked(line))
    with pytest.raises(StqError, match="line 3 is damaged"):
        ResultsFile(path, IDENTITY, 5)
    write_old(path, [0])
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


def test_any_flipped_bit_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    """Or it costs the last line, whose end it hides: that sample is run again."""
    path = tmp_path / "r.jsonl"
    _fill(path, [0, 3])
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            content = bytearray(whole)
            content[at] ^= 1 << bit
            path.write_bytes(content)
            try:
                with ResultsFile(path, IDENTITY, 5) as results:
                    assert at == len(whole) - 1
                    assert results.missing(5) == [1, 2, 3, 4]
            except StqError as error:
                line = whole[:at].count(b"\n") + 1
                assert f"line {line} is damaged" in str(error)
                assert "neither board nor model" in str(error)
                assert path.read_bytes() == content


def test_a_file_without_check_sums_is_read_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_old(path, [0, 2])
    with ResultsFile(path, IDENTITY, 5) as results:
        assert results.unchecked == 2
        results.append(1, Result((1, -1)))
    with ResultsFile(path, IDENTITY, 5) as results:
        assert (results.unchecked, results.missing(5)) == (2, [3, 4])
    path.write_text(path.read_text().replace('"logits":[1,-1]', '"logits":[1,-3]'))
    with pytest.raises(StqError, match=r"line 4 is damaged \(its check sum is wrong\)"):
        ResultsFile(path, IDENTITY, 5)


def test_a_line_without_its_check_sum_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    _fill(path, [0])
    with path.open("a") as file:
        file.write('{"index":1,"logits":[1,-1]}\n')
    with pytest.raises(StqError, match=r"line 3 is damaged \(it has no check sum\)"):
        ResultsFile(path, IDENTITY, 5)


@pytest.mark.parametrize("room", range(0, 60, 7))
def test_a_full_disk_keeps_its_message_and_every_result(tmp_path: Path, room: int) -> None:
    """A limit on the size of files stands for the disk: the write that crosses it is cut, and the next one fails."""
    path = tmp_path / "r.jsonl"
    _fill(path, [0])
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    results = ResultsFile(path, IDENTITY, 5)
    with pytest.raises(StqError, match="cannot write a result: File too large") as caught, results:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + room, hard))
            for i in range(1, 5):
                results.append(i, Result((i, -i)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "make room" in str(caught.value)
    assert results._file.closed
    assert path.read_bytes().endswith(b"}\n")
    with ResultsFile(path, IDENTITY, 5) as again:
        for i in again.missing(5):
            again.append(i, Result((i, -i)))
        assert again.logits(5).tolist() == [[i, -i] for i in range(5)]


@pytest.mark.parametrize("failing", ["fsync", "close"])
def test_what_ends_a_run_is_not_replaced_when_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "r.jsonl"
    if failing == "fsync":
        monkeypatch.setattr("stq_deploy.evaluation.results_file.os.fsync", fail)
    with pytest.raises(KeyboardInterrupt), ResultsFile(path, IDENTITY, 5) as results:
        results.append(1, Result((1, -1)))
        if failing == "close":
            results._file.close()
        raise KeyboardInterrupt
    if failing == "fsync":
        with pytest.raises(StqError, match="cannot write a result: Input/output error"):
            ResultsFile(path, IDENTITY, 5).close()


def test_further_outputs_are_kept_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    two = dataclasses.replace(IDENTITY, outputs=2)
    with ResultsFile(path, two, 5) as results:
        results.append(0, Result((1, 2), others=(2**32 - 1,)))
        with pytest.raises(ValueError, match="0 further outputs instead of 1"):
            results.append(1, Result((1, 2)))
    with ResultsFile(path, two, 5) as results:
        assert results.others(1).tolist() == [[2**32 - 1]]
    for others in ("[]", "[1,2]", "[-1]", "[4294967296]", "[1.5]", "3"):
        with path.open("a") as file:
            start = file.tell()
            file.write(checked(f'{{"index":1,"logits":[1,2],"others":{others}}}'))
        with pytest.raises(StqError, match="line 3 is damaged"):
            ResultsFile(path, two, 5)
        with path.open("r+") as file:
            file.truncate(start)


def test_results_of_before_further_outputs_were_kept(tmp_path: Path) -> None:
    """They continue a run of one output, and none of several."""
    path = tmp_path / "r.jsonl"
    header = {"format": "stq-results", "version": 2, **dataclasses.asdict(IDENTITY)}
    del header["outputs"]
    lines = [header, {"index": 2, "logits": [1, 2]}]
    path.write_text("".join(checked(json.dumps(line, separators=(",", ":"))) for line in lines))
    with pytest.raises(StqError, match="another run: their outputs is 1, this run's 2"):
        ResultsFile(path, dataclasses.replace(IDENTITY, outputs=2), 5)
    with ResultsFile(path, IDENTITY, 5) as results:
        assert results.missing(5) == [0, 1, 3, 4]
        assert results.others(0).shape == (0, 0)
