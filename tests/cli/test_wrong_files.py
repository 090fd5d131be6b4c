"""A command that gets a file or folder of the wrong kind says what it is, and which command takes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.network import save_network
from tests.helpers.command_line import invoke
from tests.helpers.model_files import tiny_model
from tests.helpers.networks import random_network

KINDS = {
    "net.stq": ("a converted network (.stq)", "`build`, `run`, `verify` and `evaluate`"),
    "m.h5": ("an HDF5 file", "`convert` takes a Keras model"),
    "m.keras": ("a .keras archive", "`convert` takes a Keras model"),
    "renamed.npz": ("a converted network (.stq)", "if its name ends in .stq"),
    "x.npz": ("a file of NumPy arrays", "--samples takes arrays x and y"),
    "x.npy": ("a single NumPy array", "numpy.savez"),
    "firmware.elf": ("a program (ELF)", "`emulate` runs built firmware"),
    "firmware.hex": ("an image without names of functions", "`flash` writes it from the build's folder"),
    "fw": ("a folder, a build of a network", "fw/firmware.elf"),
    "ran": ("a folder, the results of a run", "ran/report.html shows it"),
    "build.json": ("the record of a build", ""),
    "certificate.json": ("a certificate that `certify` wrote", ""),
    "other.json": ("a JSON file", ""),
    "recipe.toml": ("a text file (TOML)", "`train --recipe` takes recipes"),
    "m.pte": ("an ExecuTorch program", ""),
    "empty": ("an empty file", ""),
    "trained": ("a folder", ""),
}
"""What is given -> what it is called, and which command takes it."""

COMMANDS = {
    "emulate F": ("not an ELF file", {"firmware.elf"}),
    "inspect F": ("", {"net.stq", "m.h5", "m.keras", "renamed.npz"}),
    "convert F -o OUT": ("", {"m.h5", "m.keras", "renamed.npz"}),
    "build --model F --out OUT": ("", {"net.stq", "m.h5", "m.keras", "renamed.npz"}),
    "evaluate --model F --samples S": ("", {"net.stq", "m.h5", "m.keras", "renamed.npz"}),
    "certify F --family mirror --samples S": ("", {"net.stq", "m.h5", "m.keras", "renamed.npz"}),
    "evaluate --model N --samples F": ("not a sample file (.npz)", {"x.npz"}),
    "verify --model N --executors numpy,host --samples F": ("not a sample file (.npz)", {"x.npz"}),
    "run --model N --emulated --samples F --out OUT": ("not a sample file (.npz)", {"x.npz"}),
    "convert M -o OUT --calibrate F": ("not a sample file (.npz)", {"x.npz"}),
    "attack --model M --attack none --samples F -o OUT": ("not a sample file (.npz)", {"x.npz"}),
    "train --recipe F --out OUT": ("not a recipe (.toml)", {"recipe.toml", "empty"}),
    "robustness M --preset F --out OUT": ("not a preset (.toml)", {"recipe.toml", "empty"}),
    "flash --out F": ("not the folder of a build", {"fw", "ran", "trained"}),
}
"""Command with F for what is given -> words about what it wants, and the kinds that it takes or tells of elsewhere."""


@pytest.fixture(name="work", scope="module")
def _work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("kinds")
    save_network(random_network(1), work / "net.stq")
    (work / "renamed.npz").write_bytes((work / "net.stq").read_bytes())
    tiny_model().save_h5(work / "m.h5")
    tiny_model().save_keras(work / "m.keras")
    samples = SampleSet(np.zeros((2, 6, 5, 2), np.uint8), np.zeros(2, np.int64))
    save_samples(samples, work / "x.npz")
    np.save(work / "x.npy", samples.x)
    (work / "firmware.elf").write_bytes(b"\x7fELF\x01\x01" + bytes(60))
    (work / "firmware.hex").write_text(":020000040800F2\n")
    for name, format in (("build.json", "stq-build"), ("certificate.json", "stq-certificate"), ("other.json", "x")):
        (work / name).write_text(json.dumps({"format": format, "version": 1}))
    for folder, name in (("fw", "build.json"), ("ran", "run.json"), ("trained", "model.h5")):
        (work / folder).mkdir()
        (work / folder / name).write_bytes(b"{}")
    (work / "recipe.toml").write_text("epochs = 3\n")
    (work / "m.pte").write_bytes(b"\x20\0\0\0ET12" + bytes(40))
    (work / "empty").touch()
    return work


@pytest.mark.parametrize("command", COMMANDS)
def test_the_wrong_kind_of_file_is_named(command: str, work: Path, tmp_path: Path) -> None:
    wanted, taken = COMMANDS[command]
    given = {"S": work / "x.npz", "N": work / "net.stq", "M": work / "m.h5", "OUT": tmp_path / "out"}
    for name, (what, use) in KINDS.items():
        if name in taken:
            continue
        result = invoke(*((given | {"F": work / name}).get(word, word) for word in command.split()))
        said = " ".join(result.stderr.split())
        assert result.exit_code == 1, (name, result.output)
        assert f"{work / name}: " in said and f"is {what}" in said, (name, said)
        assert wanted in said and use in said, (name, said)
        assert "What to do" in said and "damaged" not in said, (name, said)
        assert not (tmp_path / "out").exists(), name


def test_a_network_to_emulate_is_built_first(work: Path) -> None:
    for name in ("net.stq", "m.h5", "renamed.npz"):
        said = " ".join(invoke("emulate", work / name).stderr.split())
        assert f"first `stq-deploy build --model {work / name} --out FOLDER`" in said


def test_an_empty_recipe_or_preset_starts_nothing(work: Path, tmp_path: Path) -> None:
    """An empty text is TOML, and of a recipe it would be the defaults: hours of training by mistake."""
    for command in (("train", "--recipe"), ("robustness", work / "m.h5", "--preset")):
        result = invoke(*command, work / "empty", "--out", tmp_path / "out")
        assert result.exit_code == 1
        assert f"{work / 'empty'}: the " in result.stderr and "is empty" in result.stderr
        assert not (tmp_path / "out").exists()


def test_a_card_is_not_shown_of_a_file(work: Path) -> None:
    result = invoke("zoo", work / "m.h5")
    assert result.exit_code == 1
    assert "stq-deploy inspect" in result.stderr
