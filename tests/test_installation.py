"""What is said to somebody who lacks an extra: never a name that the package index could give to others."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from stq_deploy.common import installation

TOP = Path(__file__).resolve().parent.parent


def test_in_a_checkout() -> None:
    assert installation.how_to_install("train", "hls4ml") == f"pip install -e '.[train,hls4ml]' in the folder {TOP}"


def test_of_an_installed_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The packages themselves, at the versions that pyproject.toml asks for."""
    monkeypatch.setattr(installation, "_PACKAGE", tmp_path / "stq_deploy")
    extras = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    stated = [f'{one}; extra == "train"' for one in extras["train"]] + ["numpy>=2.0", "ray>=2; extra == 'ray'"]
    monkeypatch.setattr(metadata, "requires", lambda name: stated)
    words = installation.how_to_install("train").replace("'", "").split()
    assert words[:2] == ["pip", "install"]
    assert words[2:] == extras["train"]


def test_of_a_copy_that_pip_does_not_know(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installation, "_PACKAGE", tmp_path / "stq_deploy")
    monkeypatch.setattr(metadata, "requires", unknown)
    assert "from where you have it" in installation.how_to_install("train")


def test_nothing_names_the_package_to_pip() -> None:
    """In no message, document or script."""
    folders = ("stq_deploy", "docs", "tools", "tests", "zoo")
    texts = [path for folder in folders for path in (TOP / folder).rglob("*") if path.suffix in (".py", ".md", ".sh")]
    texts += [TOP / "README.md"]
    named = re.compile(r"stq-deploy\[" + "|pip3? install (-\\S+ )*[\"'`]?stq-deploy")
    assert [path.name for path in texts if path.name != Path(__file__).name and named.search(path.read_text())] == []
