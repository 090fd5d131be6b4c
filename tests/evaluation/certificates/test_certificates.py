"""Certificates against brute force that shares no code with them, and families against their definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.evaluation.certificates.families import Contrast, Picture, parse_family
from stq_deploy.evaluation.certificates.prove import prove
from stq_deploy.program import plan_network
from tests.helpers.command_line import invoke, json_of

SHAPE = (4, 5, 1)


def _pictures(count: int, seed: int = 0) -> np.ndarray:
    """Noise, with a half that is brighter, by more from picture to picture."""
    x = np.random.default_rng(seed).integers(60, 190, (count, *SHAPE))
    for i in range(count):
        x[i, 2 * (i % 2) : 2 * (i % 2) + 2] += i
    return np.clip(x, 0, 255).astype(np.uint8)


def _classify(x: np.ndarray) -> np.ndarray:
    """A network with edges everywhere: class 1 if the upper half is the brighter one, by a sum of odd weights."""
    flat = x.reshape(len(x), -1).astype(np.int64)
    return (flat @ np.array([3, 1, 2, 1, 4, 1, 2, 3, 1, 1, -2, -1, -3, -1, -1, -2, -4, -1, -2, -2]) > 0).astype(
        np.int64
    )


def test_local_families_by_incremental_recomputation_equal_the_whole() -> None:
    from stq_deploy.evaluation.certificates.certify import Certifier, Questions
    from stq_deploy.evaluation.certificates.classify import classifier
    from stq_deploy.evaluation.task import scoring_of
    from stq_deploy.network import reference
    from tests.helpers.networks import random_network

    falling = 0
    for seed in range(8):
        network = random_network(seed)
        scoring = scoring_of(network, None)
        whole = classifier(lambda levels, n=network: reference.run(n, levels), network, scoring)
        x = np.random.default_rng(seed).integers(0, 256, (3, *network.input_type.shape)).astype(np.uint8)
        y = whole(x)
        y[2] = (y[2] + 1) % scoring.classes
        with Certifier(plan_network(network), scoring, x, y, "numpy") as certifier:
            (found,), _ = certifier.answer(Questions.parse(["pixel:extremes"]))
        wanted = prove("pixel:extremes", parse_family("pixel:extremes"), x, y, whole)
        assert found == wanted
        falling += sum(not one.proved for one in wanted.outcomes[:2])
    assert falling > 0


def test_a_disagreement_of_the_two_computations_is_an_error() -> None:
    x = _pictures(1)
    other = lambda picture: lambda members: 1 - _classify(members)  # noqa: E731
    with pytest.raises(StqError, match="disagree on a picture's class"):
        prove("pixel:extremes", parse_family("pixel:extremes"), x, _classify(x), _classify, near=other)


def test_any_level_is_tried_after_the_extremes() -> None:
    (picture,) = _pictures(1)
    names = [name for name, _ in parse_family("pixel:any").members(picture)]
    extremes = [name for name, _ in parse_family("pixel:extremes").members(picture)]
    assert names[: len(extremes)] == extremes
    assert len(set(names)) == len(names) == picture.size * 255 + 1


def _brute(family: str, picture: Picture) -> Iterator[np.ndarray]:
    """The members, by loops over pixels and Python integers."""
    height, width, _ = picture.shape
    value = [[int(picture[r, c, 0]) for c in range(width)] for r in range(height)]

    def mirrored(i: int, size: int) -> int:
        return -i if i < 0 else 2 * (size - 1) - i if i >= size else i

    def made(cell: object) -> np.ndarray:
        return np.array([[cell(r, c) for c in range(width)] for r in range(height)], np.uint8)[..., None]  # type: ignore[operator]

    if family == "brightness:9":
        for d in range(-9, 10):
            yield made(lambda r, c, d=d: min(max(value[r][c] + d, 0), 255))
    elif family == "shift:1":
        for down in range(-1, 2):
            for right in range(-1, 2):
                yield made(lambda r, c, a=down, b=right: value[mirrored(r - a, height)][mirrored(c - b, width)])
    elif family == "mirror":
        yield picture
        yield made(lambda r, c: value[r][width - 1 - c])
    elif family == "pixel:extremes":
        for r in range(height):
            for c in range(width):
                for level in (0, 255):
                    changed = picture.copy()
                    changed[r, c, 0] = level
                    yield changed
    elif family == "mirror+shift:1":
        for first in _brute("mirror", picture):
            yield from _brute("shift:1", first)


@pytest.mark.parametrize("family", ["brightness:9", "shift:1", "mirror", "pixel:extremes", "mirror+shift:1"])
def test_proofs_equal_brute_force(family: str) -> None:
    x = _pictures(60)
    y = _classify(x)
    y[::7] = 1 - y[::7]  # wrong already: never proved
    found = prove(family, parse_family(family), x, y, _classify)
    proved = [all(_classify(m[None])[0] == label for m in _brute(family, p)) for p, label in zip(x, y, strict=True)]
    assert [one.proved for one in found.outcomes] == proved
    assert 0 < found.proved.correct < 60
    for one, picture in zip(found.outcomes, x, strict=True):
        members = dict(parse_family(family).members(picture))
        if one.proved:
            assert one.members == len(members)
        else:
            assert _classify(members[one.counterexample][None])[0] == one.taken_for != one.label


@pytest.mark.parametrize(
    "family", ["brightness:9", "shift:1", "mirror", "pixel:extremes", "mirror+shift:1", "contrast:30"]
)
def test_members_are_those_counted_and_hold_the_picture_itself(family: str) -> None:
    (picture,) = _pictures(1, 5)
    members = list(parse_family(family).members(picture))
    assert len({name for name, _ in members}) == len(members)
    assert any(np.array_equal(changed, picture) for _, changed in members)
    assert parse_family(family).count(SHAPE) - picture.size <= len(members) <= parse_family(family).count(SHAPE)


def test_contrast_rounds_halves_away_from_gray() -> None:
    picture = np.array([0, 118, 127, 128, 129, 138, 255], np.uint8).reshape(1, 7, 1)
    members = dict(Contrast(50).members(picture))
    assert members["-50 %"].ravel().tolist() == [64, 123, 127, 128, 129, 133, 192]
    assert members["+50 %"].ravel().tolist() == [0, 113, 126, 128, 130, 143, 255]
    assert members["+0 %"].ravel().tolist() == picture.ravel().tolist()


@pytest.mark.parametrize("text", ["", "rotate:3", "brightness", "brightness:-1", "brightness:256", "pixel", "mirror:2",
                                  "shift:1.5", "mirror+", "shift:1e3"])  # fmt: skip
def test_what_is_no_family_is_refused(text: str) -> None:
    with pytest.raises(StqError, match="is not a family") as caught:
        parse_family(text)
    assert "brightness:N" in str(caught.value)


def test_a_shift_beyond_the_picture_is_refused() -> None:
    with pytest.raises(StqError, match="cannot be shifted by 4"):
        list(parse_family("shift:4").members(_pictures(1)[0]))


def test_the_command_proves_on_the_generated_c(tmp_path: Path) -> None:
    from stq_deploy.executors.numpy_executor import NumpyExecutor
    from stq_deploy.network import save_network
    from stq_deploy.network.input_format import quantize_input
    from tests.helpers.networks import random_network

    network = random_network(3)
    save_network(network, tmp_path / "n.stq")
    shape = network.input_type.shape
    x = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.uint8)
    executor = NumpyExecutor(plan_network(network))
    y = executor.run(quantize_input(x, network.input_format))[0].reshape(4, -1).argmax(axis=1)
    save_samples(SampleSet(x, y.astype(np.int64)), tmp_path / "in.npz")
    done = invoke(
        "certify", tmp_path / "n.stq", "--family", "brightness:3", "--samples", tmp_path / "in.npz", "--json",
        "-o", tmp_path / "c.json",
    )  # fmt: skip
    found = json_of(done)
    assert found == json.loads((tmp_path / "c.json").read_text())
    assert found["model_hash"] == network.sha256()
    for one, picture, label in zip(found["families"][0]["samples"], x, y, strict=True):
        bright = np.clip(picture.astype(int) + np.arange(-3, 4).reshape(-1, 1, 1, 1), 0, 255).astype(np.uint8)
        classes = executor.run(quantize_input(bright, network.input_format))[0].reshape(7, -1).argmax(axis=1)
        assert one["proved"] == bool((classes == label).all())


def test_the_command_bounds_and_smooths(tmp_path: Path) -> None:
    from stq_deploy.network import reference, save_network
    from stq_deploy.network.input_format import quantize_input
    from tests.helpers.networks import random_network

    network = random_network(3)
    save_network(network, tmp_path / "n.stq")
    x = np.random.default_rng(0).integers(0, 256, (3, *network.input_type.shape)).astype(np.uint8)
    y = reference.run(network, quantize_input(x, network.input_format)).reshape(3, -1).argmax(axis=1)
    save_samples(SampleSet(x, y.astype(np.int64)), tmp_path / "in.npz")
    given = (tmp_path / "n.stq", "--samples", tmp_path / "in.npz", "--executor", "numpy")
    found = json_of(
        invoke(
            "certify", *given, "--family", "linf:0", "--smoothing", "0.3", "--smoothing", "9", "--draws", "60", "--json"
        )
    )
    (bound,) = found["families"]
    assert (bound["method"], bound["proved"]["correct"], bound["right"]) == ("interval bounds", 3, 3)
    assert [one["sigma"] for one in found["smoothing"]] == [0.3, 9.0]
    assert all(one["draws"] == 60 and len(one["samples"]) == 3 for one in found["smoothing"])
    text = invoke("certify", *given, "--family", "linf:1").stdout
    assert "proved by interval bounds" in text


def test_the_command_wants_something_to_certify(tmp_path: Path) -> None:
    done = invoke("certify", "zoo:stq-cifar10")
    assert done.exit_code != 0
    assert "what is to be certified?" in done.stderr
    for option, value in (("--draws", "10"), ("--confidence", "0.9"), ("--seed", "1")):
        done = invoke("certify", "zoo:stq-cifar10", "--family", "mirror", option, value)
        assert done.exit_code == 1 and "add --smoothing" in done.stderr
