"""The folder of a build: what is there before and after, whatever lies in it and whatever ends the build."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.toolchain import build_folder
from stq_deploy.toolchain.build_folder import FORMAT, REPORT, listed_files, replaced_build, settle

OLD = {"firmware.elf": "old image", "network/network.c": "old source", "kernels/only_old.c": "x"}
NEW = {"firmware.elf": "new image", "network/network.c": "new source", "link/only_new.c": "y"}


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / REPORT).write_text(json.dumps({"format": FORMAT, "files": listed_files(folder)}))


def build(out: str | Path, files: dict[str, str]) -> None:
    with replaced_build(out) as (_, folder):
        fill(folder, files)


def content(folder: Path) -> dict[str, str]:
    """Every file but the report, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != REPORT)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    build(tmp_path / "out", OLD)
    return tmp_path / "out"


def test_a_build_takes_the_place_of_the_former_one(built: Path) -> None:
    assert content(built) == OLD
    build(built, NEW)
    assert content(built) == NEW
    assert not (built / "kernels").exists()


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "results/clean-1.jsonl", "run.json", "report.html", "network/mine.c", "kernels/mine.c", ".git/x"],
)
def test_foreign_files_stay(built: Path, name: str) -> None:
    (built / name).parent.mkdir(exist_ok=True)
    (built / name).write_text("mine")
    build(built, NEW)
    assert content(built) == {**NEW, name: "mine"}


@pytest.mark.parametrize(
    "report",
    ["{}", "", "[]", "not json", '{"format": "other"}', '{"format": "stq-build"}',
     '{"format": "stq-build", "files": 3}', '{"format": "stq-build", "files": {"../x": ""}}',
     '{"format": "stq-build", "files": {"/etc/passwd": ""}}',
     "[" * 100_000],
)  # fmt: skip
def test_a_folder_that_is_no_build_of_ours_stays_as_it_is(tmp_path: Path, report: str) -> None:
    (tmp_path / REPORT).write_text(report)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StqError, match=r"something that is not a build|does not list its files"):
        build(tmp_path, NEW)
    assert content(tmp_path) == {"thesis.txt": "years of work"}
    assert (tmp_path / REPORT).read_text() == report


def test_a_device_as_report_is_not_read_without_end(tmp_path: Path) -> None:
    (tmp_path / REPORT).symlink_to("/dev/zero")
    with pytest.raises(StqError):
        build(tmp_path, NEW)
    assert (tmp_path / REPORT).is_symlink()


def test_a_changed_file_is_the_users(built: Path) -> None:
    (built / "network/network.c").write_text("edited")
    with pytest.raises(StqError, match=r"changed since: network/network\.c"):
        build(built, NEW)
    assert content(built) == {**OLD, "network/network.c": "edited"}


def test_an_image_that_make_made_anew_is_replaced(built: Path) -> None:
    (built / "firmware.elf").write_text("by make")
    build(built, NEW)
    assert content(built) == NEW


@pytest.mark.parametrize("name", ["firmware.elf", "network/network.c"])
def test_a_link_or_folder_in_the_place_of_a_listed_file_is_the_users(built: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").write_text("mine")
    (built / name).unlink()
    (built / name).symlink_to(tmp_path / "mine")
    with pytest.raises(StqError, match="changed since"):
        build(built, NEW)
    (built / name).unlink()
    (built / name).mkdir()
    with pytest.raises(StqError, match="changed since"):
        build(built, NEW)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("link/only_new.c", lambda path, _: path.write_text("mine")),
        ("link/only_new.c", lambda path, _: path.mkdir()),
        ("link/only_new.c", lambda path, other: path.symlink_to(other)),
        ("link/only_new.c", lambda path, _: path.symlink_to("nowhere")),
        ("link", lambda path, _: path.write_text("mine")),
        ("link", lambda path, other: path.symlink_to(other)),
    ],
)
def test_a_foreign_thing_in_the_way_is_left(
    built: Path, tmp_path: Path, name: str, make: Callable[[Path, Path], object]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (built / name).parent.mkdir(exist_ok=True)
    make(built / name, other)
    with pytest.raises(StqError, match="in the way"):
        build(built, NEW)
    assert {name: text for name, text in content(built).items() if name in OLD} == OLD
    assert os.path.lexists(built / name)
    assert list(other.iterdir()) == []


def test_a_symbolic_link_to_a_build_stays_one(built: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("out")
    build(link, NEW)
    assert link.is_symlink() and link.readlink() == Path("out")
    assert content(built) == NEW
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]


def test_a_link_to_nowhere_is_filled_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("there")
    build(tmp_path / "link", NEW)
    assert content(tmp_path / "there") == NEW


@pytest.mark.parametrize("out", [".", "./", "../here", "new/..", "", "./."])
def test_dots_name_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    build(out, OLD)
    build(out, NEW)
    assert content(here) == NEW


def test_dots_in_a_former_build(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (built / "network").joinpath("notes").write_text("mine")
    monkeypatch.chdir(built / "network")
    build("..", NEW)
    assert content(built) == {**NEW, "network/notes": "mine"}


@pytest.mark.parametrize(
    "out",
    [
        "/",
        "//",
        "n" * 300,
        "/".join(["d" * 200] * 30),
        "circle",
        "file",
        "file/below",
        "/dev/null",
        "/dev/null/x",
        "/proc/x",
    ],
)
def test_an_impossible_folder_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(StqError) as caught:
        build(out, NEW)
    assert caught.value.what and caught.value.next
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle", "file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom stq_deploy.common.errors import StqError\n"
        "from stq_deploy.toolchain.build_folder import replaced_build\n"
        "gone = Path('gone'); gone.mkdir(); os.chdir(gone); os.rmdir('../gone')\n"
        "try:\n    with replaced_build('out'): pass\nexcept StqError as error: print(error.what)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "No such file or directory" in done.stdout


@pytest.mark.parametrize("first", [True, False], ids=["nothing there", "a former build"])
def test_a_failed_build_changes_nothing(tmp_path: Path, first: bool) -> None:
    out = tmp_path / "deep" / "out"
    if not first:
        build(out, OLD)
    for error in (KeyboardInterrupt, StqError("no"), SystemExit(1), ValueError):
        with (
            pytest.raises(type(error) if isinstance(error, BaseException) else error),
            replaced_build(out) as (_, folder),
        ):
            fill(folder, NEW)
            raise error
    assert list(tmp_path.iterdir()) == ([] if first else [tmp_path / "deep"])
    assert first or content(out) == OLD


def test_a_full_disk_while_the_build_is_written(built: Path) -> None:
    with pytest.raises(StqError, match="No space left") as caught, replaced_build(built) as (_, folder):
        fill(folder, NEW)
        Path("/dev/full").write_text("x" * 100_000)
    assert "free some space" in caught.value.next
    assert content(built) == OLD


@pytest.mark.parametrize("fails_at", range(1, 9))
def test_an_exchange_that_fails_halfway_is_undone(built: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int) -> None:
    (built / "notes.txt").write_text("mine")
    whole, moves = build_folder._move, iter(range(1, 100))

    def failing(source: Path, target: Path) -> None:
        if next(moves) == fails_at:
            raise OSError(28, "No space left on device")
        whole(source, target)

    monkeypatch.setattr(build_folder, "_move", failing)
    with pytest.raises(StqError, match="No space left"):
        build(built, NEW)
    assert content(built) == {**OLD, "notes.txt": "mine"}
    assert json.loads((built / REPORT).read_text())["files"].keys() == OLD.keys()


@pytest.mark.parametrize("dies_at", range(10))
def test_a_process_killed_in_the_exchange_leaves_a_usable_build(built: Path, dies_at: int) -> None:
    (built / "notes.txt").write_text("mine")
    pid = os.fork()
    if pid == 0:
        whole, moves = build_folder._move, iter(range(100))

        def dying(source: Path, target: Path) -> None:
            if next(moves) == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            whole(source, target)

        build_folder._move = dying
        try:
            build(built, NEW)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    assert killed == (dies_at < 8)  # four former files, four new ones
    settle(built)
    found = {name: text for name, text in content(built).items() if not name.startswith(".stq-build.new")}
    assert found == {**(OLD if killed else NEW), "notes.txt": "mine"}
    build(built, OLD)
    assert content(built) == {**OLD, "notes.txt": "mine"}


def test_ctrl_c_waits_for_the_exchange(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, seen = build_folder._move, []

    def interrupted(source: Path, target: Path) -> None:
        if not seen:
            seen.append(True)
            signal.raise_signal(signal.SIGINT)
        whole(source, target)

    monkeypatch.setattr(build_folder, "_move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(built, NEW)
    assert content(built) == NEW


def test_two_builds_at_once(built: Path) -> None:
    with replaced_build(built) as (_, folder):
        fill(folder, NEW)
        with pytest.raises(StqError, match="another stq-deploy command is using this folder"):
            build(built, OLD)
        link = built.with_name("link")
        link.symlink_to(built)
        with pytest.raises(StqError, match="is using this folder"):
            build(link, OLD)
    assert content(built) == NEW


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("out", ["", "below"])
def test_an_unwritable_folder(tmp_path: Path, out: str) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(StqError, match="Permission denied") as caught:
            build(tmp_path / out, NEW)
    finally:
        tmp_path.chmod(0o755)
    assert "you may write to" in caught.value.next


def test_a_folder_whose_parent_is_not_writable_is_no_obstacle(built: Path) -> None:
    built.parent.chmod(0o555)
    try:
        build(built, NEW)
    finally:
        built.parent.chmod(0o755)
    assert content(built) == NEW
