"""What people see: progress on a terminal and elsewhere, tables on terminals of any width, completion."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stq_deploy.cli import _screen, cli
from stq_deploy.cli._layout import print_table
from stq_deploy.common.resources import with_docs
from stq_deploy.frontend import list_layers
from stq_deploy.zoo.shipped import resolve_model
from tests.helpers.command_line import invoke


def console(width: int, *, terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, no_color=True, highlight=False)


def printed(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return Text.from_ansi(screen.file.getvalue()).plain


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_no_word_is_folded_at_any_width(width: int) -> None:
    from stq_deploy.cli._network_tables import layer_table

    _, _, rows = list_layers(resolve_model("zoo:stq-cifar10", keras=True))
    screen = console(width)
    print_table(screen, layer_table(rows))
    text = printed(screen)
    assert max(map(len, text.splitlines())) <= width
    for row in rows:
        assert row.name in text and row.type in text
    if width >= 60:
        assert "quantized_bits(4,0,symmetric=True,alpha='auto_po2')" in text


def test_a_table_that_fits_stays_a_table_and_markup_stays_text() -> None:
    table = Table("name", "value")
    table.add_row(Text("[red]x"), "1")
    for screen in (console(80), console(10, terminal=False)):
        print_table(screen, table)
        assert "[red]x" in printed(screen) and "name" in printed(screen).splitlines()[1]
    narrow = console(10)
    print_table(narrow, table)
    assert printed(narrow).split() == ["[red]x", "value", "1"]


def test_progress_in_a_pipe_is_a_line_a_stage_and_one_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(_screen.time, "monotonic", lambda: now)
    with _screen.progress_bars() as progress:
        for done in range(101):
            progress("certifying [b]layers\x1b[2J", done, 100)
            now += 0.25
        progress("linking", 0, 1)
        progress("linking", 1, 1)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "certifying [b]layers?[2J ..." and lines[-1] == "linking ..."
    assert lines[1:-1] == [f"certifying [b]layers?[2J: {n} of 100" for n in (20, 40, 60, 80)]


def test_progress_on_a_terminal_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = console(60)
    monkeypatch.setattr(_screen, "human_console", lambda: screen)
    with _screen.progress_bars() as progress:
        progress("counting", 0, 3)
        progress("counting", 2, 3)
        progress("something", 0, 1)
    assert isinstance(screen.file, io.StringIO)
    assert "2 of 3" in screen.file.getvalue()


@pytest.mark.parametrize(
    ("arguments", "incomplete", "found"),
    [
        ([], "cr", {"cross-validate"}),
        (["build", "--board"], "stm", {"stm32h743"}),
        (["build", "--model"], "zoo:stq-c", {"zoo:stq-cifar10"}),
        (["inspect"], "zoo:stq-c", {"zoo:stq-cifar10"}),
        (["zoo"], "stq-c", {"stq-cifar10"}),
        (["train", "--scheme"], "s", {"stq", "s-binary"}),
        (["train", "--recipe"], "quantized-s", {"quantized-speech"}),
        (["train", "--network"], "ds", {"ds_cnn"}),
        (["train", "--dataset"], "fash", {"fashion-mnist"}),
        (["attack", "--attack"], "pg", {"pgd", "pgd-full"}),
        (["attack", "--attack"], "no", {"none", "noise"}),
        (["cross-validate", "--attack"], "pg", {"pgd", "pgd-full"}),
        (["verify", "--executors"], "numpy,stm", {"numpy,stm32h743"}),
        (["verify", "--executors"], "num", {"numpy"}),
    ],
)
def test_the_shell_completes_names(arguments: list[str], incomplete: str, found: set[str]) -> None:
    completion = ShellComplete(cli, {}, "stq-deploy", "_STQ_DEPLOY_COMPLETE")
    assert {item.value for item in completion.get_completions(arguments, incomplete)} == found


def test_a_model_that_is_no_name_is_completed_as_a_file() -> None:
    completion = ShellComplete(cli, {}, "stq-deploy", "_STQ_DEPLOY_COMPLETE")
    (item,) = completion.get_completions(["build", "--model"], "mine")
    assert item.type == "file"


@pytest.mark.keras
def test_the_networks_that_are_completed_are_those_there_are() -> None:
    from stq_deploy.cli._names import NETWORK, VARIANT
    from stq_deploy.zoo.networks import NETWORKS, VARIANTS

    assert tuple(NETWORK._names()) == NETWORKS and tuple(VARIANT._names()) == VARIANTS


def test_pages_are_named_where_they_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("build", "--board", "x", "--json")
    words = json.loads(done.stdout)["error"]["next"].split()
    (page,) = (Path(word) for word in words if word.endswith("BOARDS.md"))
    assert page.is_absolute() and page.is_file()
    monkeypatch.chdir(page.parent.parent)
    assert with_docs("see docs/BOARDS.md, docs/ABSENT.md") == "see docs/BOARDS.md, docs/ABSENT.md"


@pytest.mark.parametrize("name", ["net.stq", "model.h5", "firmware.bin", "notes.txt"])
def test_emulate_says_what_a_file_is_that_is_no_program(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    done = invoke("emulate", tmp_path / name)
    assert done.exit_code == 1
    assert "stq-deploy build" in done.stderr and "firmware.elf" in done.stderr
