"""What strangers read first: README, citation, changelog, package data."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import tomllib
from pathlib import Path

import pytest

from stq_deploy import __version__
from stq_deploy.frontend.formats.registry import endings
from stq_deploy.toolchain.host_compiler import find_host_compiler

TOP = Path(__file__).resolve().parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
KERNEL_FOLDERS = ("reference/", "cortex_m7/")
"""Folders of kernels, named without the one that holds them."""
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), TOP / "tools" / "README.md"])


def test_the_readme_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) < 120
    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_index_lists_every_page() -> None:
    index = (TOP / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (TOP / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md", "docs/API.md", "docs/COMMANDS.md", "docs/OWN_MODEL.md"])
def test_every_format_of_model_files_is_named(page: str) -> None:
    text = (TOP / page).read_text(encoding="utf-8")
    assert [ending for ending in endings() if f"`{ending}`" not in text] == []


def test_the_places_where_things_are_added_exist() -> None:
    """Paths in DESIGN's table, below the package or the checkout."""
    table = (
        (TOP / "docs" / "DESIGN.md").read_text(encoding="utf-8").partition("## Adding things")[2].partition("## ")[0]
    )
    paths = [path for path in re.findall(r"`([a-z_0-9/.]+/[a-z_0-9/.]*)[ `]", table) if path not in KERNEL_FOLDERS]
    assert len(paths) > 12
    assert [path for path in paths if not any((base / path).exists() for base in (TOP / "stq_deploy", TOP))] == []


def test_the_readme_s_c_compiles(tmp_path: Path) -> None:
    """Against the interface of the golden network, without a warning."""
    (snippet,) = re.findall(r"```c\n(.*?)```", README, re.DOTALL)
    include, _, body = snippet.partition("\n\n")
    assert include == '#include "stq_model.h"'
    source = tmp_path / "main.c"
    pixels = "static const uint8_t pixels[STQ_MODEL_INPUT_ELEMENTS];"
    source.write_text(f"{include}\nint main(void)\n{{\n    {pixels}\n{body}    return 0;\n}}\n")
    folders = (TOP / "tests" / "codegen" / "golden", TOP / "firmware_templates" / "kernels" / "include")
    flags = ["-std=c99", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused-variable", "-Werror"]
    command = [*find_host_compiler().command, *flags, *(f"-I{folder}" for folder in folders), str(source)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_all_files_state_the_same_version() -> None:
    assert f"\nversion: {__version__}\n" in (TOP / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{__version__}] - " in (TOP / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_changelog_has_short_entries() -> None:
    """One line each in a release; a merge of long ones is noticed."""
    release = (TOP / "CHANGELOG.md").read_text(encoding="utf-8").partition(f"## [{__version__}]")[2]
    entries = [line for line in release.splitlines()[1:] if line and not line.startswith("#")]
    assert [line for line in entries if line.startswith(" ") or len(line) > 200] == []


def test_the_package_states_its_types_and_what_it_runs_on() -> None:
    assert (TOP / "stq_deploy" / "py.typed").is_file()
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = {text.rpartition(" ")[2] for text in project["classifiers"] if "Python :: 3." in text}
    assert stated == {"3.11", "3.12", "3.13"}
    assert project["requires-python"] == ">=3.11,<3.14"


def test_the_picture_of_the_architecture_is_that_of_the_code() -> None:
    """`tools/draw_architecture.py` writes it."""
    tool = runpy.run_path(str(TOP / "tools" / "draw_architecture.py"))
    tool["check"]([name for name in tool["order"]() if (TOP / "stq_deploy" / name).is_dir()])
    assert tool["draw"]() == (TOP / "docs" / "figures" / "architecture.svg").read_text(encoding="utf-8")


def test_a_folder_that_is_not_drawn_is_an_error() -> None:
    tool = runpy.run_path(str(TOP / "tools" / "draw_architecture.py"))
    folders = [name for name in tool["order"]() if (TOP / "stq_deploy" / name).is_dir()]
    for wrong in ([*folders, "another"], folders[::-1], folders[1:]):
        with pytest.raises(SystemExit):
            tool["check"](wrong)


def test_the_experiments_are_those_recorded() -> None:
    """`tools/record_experiment.py` writes them."""
    tool = runpy.run_path(str(TOP / "tools" / "record_experiment.py"))
    records = json.loads(tool["RECORDS"].read_text(encoding="utf-8"))
    page = tool["PAGE"].read_text(encoding="utf-8")
    assert f"{tool['BEGIN']}\n\n{tool['table'](records)}\n{tool['END']}" in page
