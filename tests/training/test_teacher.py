"""A teacher's answers kept in a folder: the same as those asked for, and never those of other batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

tf_keras = pytest.importorskip("tf_keras")

from stq_deploy.research.training.recipe import Recipe  # noqa: E402
from stq_deploy.research.training.teacher import Teacher  # noqa: E402

pytestmark = pytest.mark.keras
SHAPE = (6, 5, 1)
RECIPE = Recipe(distillation=0.5)
Batches = list[NDArray[np.uint8]]


def _model(seed: int) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(seed)
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [layers.Input(SHAPE), layers.Flatten(), layers.Dense(3, name="fc"), layers.Activation("softmax")]
    )


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two teachers."""
    for seed in range(2):
        _model(seed).save(tmp_path / f"teacher{seed}.h5")
    return [str(tmp_path / f"teacher{seed}.h5") for seed in range(2)]


@pytest.fixture
def batches() -> Batches:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (4, *SHAPE), dtype=np.uint8) for _ in range(3)]


def _epoch(teacher: Teacher, batches: Batches) -> list[NDArray[np.float32]]:
    answers = [teacher.logits(x).numpy() for x in batches]
    teacher.end_epoch()
    return answers


def _mute(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> Teacher:
    """One that can only answer from what was kept."""

    def refuse(x: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(teacher, "_ask", refuse)
    return teacher


def test_kept_answers_are_those_that_were_given(
    files: list[str], batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = tmp_path / "kept"
    student = _model(2)
    asked = _epoch(Teacher(files[0], student, RECIPE), batches)
    assert not keep.exists()
    dense = tf_keras.models.load_model(files[0], compile=False).get_layer("fc")
    flat = batches[1].reshape(4, -1) / 255
    np.testing.assert_allclose(asked[1], flat @ dense.kernel.numpy() + dense.bias.numpy(), atol=1e-5)
    np.testing.assert_array_equal(_epoch(Teacher(files[0], student, RECIPE, keep), batches), asked)
    assert len(list(keep.iterdir())) == 1
    muted = _mute(Teacher(files[0], student, RECIPE, keep), monkeypatch)
    for _ in range(2):
        np.testing.assert_array_equal(_epoch(muted, batches), asked)


@pytest.mark.parametrize("change", ["teacher", "precision", "first batch", "a later batch", "more batches"])
def test_other_batches_and_other_teachers_are_asked_anew(
    change: str, files: list[str], batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, student = tmp_path / "kept", _model(2)
    _epoch(Teacher(files[0], student, RECIPE, keep), batches)
    file, recipe, others = files[change == "teacher"], RECIPE, [x.copy() for x in batches]
    if change == "precision":
        recipe = Recipe(distillation=0.5, precision="bfloat16")
    elif change == "more batches":
        others.append(others[0][::-1])
    elif change.endswith("batch"):
        others[0 if change == "first batch" else 2][3, 5, 4, 0] ^= 1
    with pytest.raises(AssertionError, match="asked"):
        _epoch(_mute(Teacher(file, student, recipe, keep), monkeypatch), others)
    wanted = _epoch(Teacher(file, student, recipe), others)
    np.testing.assert_array_equal(_epoch(Teacher(file, student, recipe, keep), others), wanted)
    np.testing.assert_array_equal(_epoch(_mute(Teacher(file, student, recipe, keep), monkeypatch), others), wanted)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", "half"])
def test_a_damaged_file_is_written_anew(
    content: bytes | str, files: list[str], batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, student = tmp_path / "kept", _model(2)
    asked = _epoch(Teacher(files[0], student, RECIPE, keep), batches)
    (path,) = keep.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    np.testing.assert_array_equal(_epoch(Teacher(files[0], student, RECIPE, keep), batches), asked)
    assert path.read_bytes() == whole
    _epoch(_mute(Teacher(files[0], student, RECIPE, keep), monkeypatch), batches)
