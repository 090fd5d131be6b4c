"""What a command writes never takes the place of something of the user's, and is whole or absent."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import check_output, read_bounded, write_whole
from stq_deploy.datasets.samples import SampleSet, is_own_sample_file, save_samples
from stq_deploy.evaluation.results_file import Result, ResultsFile, RunIdentity, drop_results
from stq_deploy.network import save_network
from stq_deploy.network.archive import is_network_file
from stq_deploy.report.write import check_reports
from stq_deploy.research.training.result import check_free
from stq_deploy.zoo.shipped import resolve_model
from tests.helpers.command_line import invoke
from tests.helpers.networks import random_network

SAMPLES = SampleSet(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1]))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A trained model of the user's."""
    path = tmp_path / "model.h5"
    path.write_bytes(resolve_model("zoo:stq-cifar10", keras=True).read_bytes())
    return path


def other_files(folder: Path) -> dict[str, Path]:
    """Files that no command of ours has written as such an output."""
    contents: dict[str, bytes] = {
        "empty": b"", "notes": b"mine", "zip": b"PK\x05\x06" + bytes(18), "cut": b"PK\x03\x04cut",
        "h5": b"\x89HDF\r\n\x1a\n",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    np.savez(folder / "own.npz", x=SAMPLES.x, y=SAMPLES.y)
    np.savez(folder / "own_metadata.npz", x=SAMPLES.x, y=SAMPLES.y, metadata=json.dumps({"range": [0, 1]}))
    return {path.name: path for path in folder.iterdir()}


def test_what_a_former_output_is(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for path in other_files(tmp_path / "other").values():
        assert not is_network_file(path) and not is_own_sample_file(path), path
    save_network(random_network(0), tmp_path / "net.stq")
    save_samples(SAMPLES, tmp_path / "s.npz")
    assert (is_network_file(tmp_path / "net.stq"), is_own_sample_file(tmp_path / "net.stq")) == (True, False)
    assert (is_network_file(tmp_path / "s.npz"), is_own_sample_file(tmp_path / "s.npz")) == (False, True)
    whole = (tmp_path / "net.stq").read_bytes()
    (tmp_path / "net.stq").write_bytes(whole[: len(whole) // 2])
    assert not is_network_file(tmp_path / "net.stq")


def test_another_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    for path in other_files(tmp_path).values():
        with pytest.raises(StqError, match="a file already") as caught:
            check_output(path, what="a network", recognize=is_network_file)
        assert "--force" in caught.value.next
        check_output(path, what="a network", recognize=is_network_file, force=True)


def test_a_file_that_is_read_is_not_written(tmp_path: Path) -> None:
    path, link = tmp_path / "s.npz", tmp_path / "link"
    save_samples(SAMPLES, path)
    link.symlink_to(path)
    hard = tmp_path / "hard"
    hard.hardlink_to(path)
    for one, other in ((path, path), (link, path), (path, link), (hard, path)):
        with pytest.raises(StqError, match="that the command reads"):
            check_output(one, what="samples", recognize=is_own_sample_file, inputs=(None, "zoo:x", other))
        check_output(one, what="samples", recognize=is_own_sample_file, inputs=(other,), force=True)
    check_output(path, what="samples", recognize=is_own_sample_file, inputs=(None, tmp_path / "absent"))


@pytest.mark.parametrize(
    ("place", "told"),
    [("folder", "this is a folder"), ("/dev/null", "device or pipe"), ("/dev/full", "device or pipe"), ("pipe", "pipe"),
     ("n" * 300, "name too long"), ("file/x", "Not a directory"), ("circle", "Too many levels"),
     ("absent/x", "No such file"), ("", "this is a folder"), (".", "this is a folder"), ("/", "this is a folder")],
)  # fmt: skip
def test_an_impossible_place_is_refused_before_any_work(
    place: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo("pipe")
    monkeypatch.setattr("stq_deploy.api.network.open_network", lambda *_, **__: pytest.fail("work was done"))
    for force in ([], ["--force"]):
        done = invoke("convert", "zoo:stq-cifar10", "-o", place, *force)
        assert done.exit_code == 1 and told in done.stderr and "Traceback" not in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle", "file", "folder", "pipe"]


@pytest.mark.parametrize("out", ["model.h5", "./model.h5", "link", "hard"])
def test_convert_keeps_the_trained_model(model: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(model.parent)
    Path("link").symlink_to("model.h5")
    Path("hard").hardlink_to(model)
    before = model.read_bytes()
    done = invoke("convert", "model.h5", "-o", out)
    assert done.exit_code == 1 and "--force" in done.stderr
    assert model.read_bytes() == before and Path("link").is_symlink()


def test_attack_refuses_before_it_attacks(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    save_samples(SAMPLES, "clean.npz")
    Path("fgsm.npz").write_text("mine")
    usual = ["attack", "--model", "model.h5", "--samples", "clean.npz", "--attack"]
    for arguments, told in (
        (["none", "-o", "clean.npz"], "that the command reads"),
        (["fgsm", "-o", "fgsm.npz"], "a file already"),
        (["fgsm", "--attack", "pgd", "-o", "."], "a file already"),
        (["none", "--attack", "pgd", "-o", "."], "that the command reads"),
        (["none", "-o", "model.h5/x.npz"], "Not a directory"),
    ):
        done = invoke(*usual, *arguments)
        assert done.exit_code == 1 and told in done.stderr, done.output
    assert Path("fgsm.npz").read_text() == "mine"


@pytest.mark.parametrize("name", ["run.json", "report.html"])
def test_a_run_keeps_a_foreign_report(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(StqError, match="a file already"):
        check_reports(tmp_path)
    done = invoke("run", "--emulated", "--samples", resolve_samples(tmp_path), "--out", tmp_path)
    assert done.exit_code == 1 and name in done.stderr
    assert (tmp_path / name).read_text() == '{"mine": 1}'


def resolve_samples(folder: Path) -> Path:
    save_samples(SAMPLES, folder / "samples.npz")
    return folder / "samples.npz"


def test_a_demo_keeps_a_foreign_results_file(tmp_path: Path) -> None:
    path = tmp_path / "clean.jsonl"
    with ResultsFile(path, RunIdentity("b", "m", "i", "s", 2), 3) as results:
        results.append(0, Result((1, 2)))
    drop_results(path)
    drop_results(path)
    path.write_text("mine")
    with pytest.raises(StqError, match="not a results file"):
        drop_results(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["model.h5", "result.json", "history.jsonl"])
def test_training_keeps_a_foreign_model(tmp_path: Path, name: str) -> None:
    check_free(tmp_path)
    (tmp_path / name).symlink_to("elsewhere")
    with pytest.raises(StqError, match=name):
        check_free(tmp_path)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "v1").write_text("old")
    (tmp_path / "latest").symlink_to("v1")
    write_whole(tmp_path / "latest", "new")
    assert (tmp_path / "latest").is_symlink() and (tmp_path / "v1").read_text() == "new"


def test_text_that_utf8_cannot_hold_is_escaped(tmp_path: Path) -> None:
    write_whole(tmp_path / "x", "a\ud800b")
    assert (tmp_path / "x").read_bytes() == b"a\\ud800b"


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_full_disk_leaves_no_half_file(tmp_path: Path, size: int) -> None:
    """By a limit on the size of files, which is an error of the same kind."""
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom stq_deploy.common.errors import StqError\n"
        "from stq_deploy.common.files import write_whole\nfrom stq_deploy.network import save_network\n"
        "from stq_deploy.datasets.samples import save_samples, SampleSet\nimport numpy as np\n"
        "from tests.helpers.networks import random_network\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {resource.RLIM_INFINITY}))\n"
        "noise = np.random.default_rng(0).integers(0, 256, (9, 30, 30, 1), dtype=np.uint8)\n"
        "for write in (lambda: write_whole('out', b'x' * 100_000), lambda: save_network(random_network(0), 'out'),\n"
        "              lambda: save_samples(SampleSet(noise, np.zeros(9, int)), 'out')):\n"
        "    try:\n        write()\n    except StqError as error:\n"
        "        assert 'File too large' in error.what and error.next\n"
        "    else:\n        sys.exit(3)\n"
    )
    (tmp_path / "out").write_text("former")
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, timeout=60, check=False
    )
    assert done.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (tmp_path / "out").read_text() == "former"


@pytest.mark.parametrize(
    "make",
    [lambda path: path.symlink_to("/dev/zero"), os.mkfifo, lambda path: path.mkdir(),
     lambda path: path.write_bytes(b"#" * (2 << 20))],
    ids=["/dev/zero", "FIFO", "folder", "2 MiB"],
)  # fmt: skip
def test_a_text_file_is_read_to_its_bound(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "recipe.toml"
    make(path)
    with pytest.raises((StqError, OSError)):
        read_bounded(path)
    done = invoke("train", "--recipe", path, "--out", tmp_path / "run")
    assert done.exit_code == 1 and "Traceback" not in done.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text",
    ["learning_rate = inf", "learning_rate = nan", "final_learning_rate = -inf", "epochs = 100000000000000000000000000",
     "epochs = 0", f"batch_size = {'9' * 5000}", f"seed_ = {'9' * 5000}", f"epochs = 0x{'f' * 5000}", "mixup = 1e300",
     "gradual_shares = [nan, 1.0]", "gradual_shares = [0.5, inf]", f"gradual_shares = [{'0.5, ' * 2000}1.0]",
     f"gradual_shares = {'[' * 5000}", "title = 3", "teacher = 1979-05-27", "\x00", "title = \"\\ud800\""],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_recipe_of_impossible_values(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    done = invoke("train", "--recipe", path, "--out", tmp_path / "run")
    assert done.exit_code == 1 and "Traceback" not in done.output and "internal" not in done.stderr, done.output
    assert len(done.stderr) < 600
    assert not (tmp_path / "run").exists()
    entry = text.replace(" ", "")
    if "=" in entry and '"' not in entry:  # what is not TOML is text there
        assert invoke("train", "--set", entry, "--out", tmp_path / "run").exit_code == 1


def test_eps_of_a_billion_digits_is_no_work(tmp_path: Path) -> None:
    done = invoke("attack", "--model", "x", "--attack", "pgd", "--eps", "1e999999999", "-o", tmp_path / "x.npz")
    assert done.exit_code == 1 and "is not a number" in done.stderr
