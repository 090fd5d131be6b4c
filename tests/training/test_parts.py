"""The parts of training that need no TensorFlow, or little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.errors import StqError
from stq_deploy.training.augment import Augmenter
from stq_deploy.training.batches import epoch_batches
from stq_deploy.training.config import TrainingConfig
from stq_deploy.training.schedule import cosine, geometric, warm_up


def test_defaults_are_the_papers_table_ii() -> None:
    config = TrainingConfig(out=Path("run"))
    assert (config.epochs, config.batch_size, config.optimizer) == (1000, 64, "adamax")
    assert (config.learning_rate, config.final_learning_rate) == (1e-3, 1e-6)
    assert config.augment == "none"


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"augment": "mixup"},
        {"optimizer": "lion"},
        {"validation_samples": -1},
    ],
)
def test_nonsense_is_refused(change: dict) -> None:
    with pytest.raises(StqError, match=next(iter(change))):
        TrainingConfig(out=Path("run"), **change)


def test_schedules() -> None:
    assert cosine(1.0, 0.1, 0.0) == 1.0
    assert cosine(1.0, 0.1, 0.5) == pytest.approx(0.55)
    assert cosine(1.0, 0.1, 1.0) == cosine(1.0, 0.1, 2.0) == pytest.approx(0.1)
    assert geometric(8.0, 200.0, 0.5) == pytest.approx(40.0)
    assert [warm_up(step, 4) for step in (0, 3, 9)] == [0.25, 1.0, 1.0]
    assert warm_up(0, 0) == 1.0


def test_crop_flip_gives_shifted_or_mirrored_windows() -> None:
    x = np.random.default_rng(0).integers(1, 256, (4, 8, 8, 1), dtype=np.uint8)
    out = Augmenter(x, "crop-flip").batch(np.array([2] * 200), np.random.default_rng(1))
    assert out.shape == (200, 8, 8, 1)
    assert out.dtype == np.uint8
    padded = np.pad(x[2, :, :, 0], 4)
    windows = {padded[r : r + 8, c : c + 8].tobytes() for r in range(9) for c in range(9)}
    mirrored = {padded[r : r + 8, c : c + 8][:, ::-1].tobytes() for r in range(9) for c in range(9)}
    found = [picture[:, :, 0].tobytes() for picture in out]
    assert all(one in windows or one in mirrored for one in found)
    assert any(one in windows for one in found)
    assert any(one in mirrored for one in found)
    assert len(set(found)) > 60


def test_batches_cover_an_epoch_once_and_repeat_by_seed() -> None:
    x = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
    y = np.arange(50)

    def labels(seed: int, epoch: int) -> list[list[int]]:
        return [b.tolist() for _, b in epoch_batches(Augmenter(x, "none"), y, 8, seed, epoch)]

    first = labels(0, 0)
    assert [len(batch) for batch in first] == [8] * 6  # the short rest is left out
    assert len({label for batch in first for label in batch}) == 48
    assert labels(0, 0) == first
    assert labels(0, 1) != first
    assert labels(1, 0) != first
    for pictures, part in epoch_batches(Augmenter(x, "none"), y, 8, 0, 0):
        np.testing.assert_array_equal(pictures.ravel(), part)


def test_a_failing_helper_thread_is_heard() -> None:
    x = np.zeros((4, 1, 1, 1), np.uint8)
    with pytest.raises(IndexError):
        list(epoch_batches(Augmenter(x, "none"), np.arange(8), 4, 0, 0))


@pytest.mark.keras
def test_settled_weights_quantize_to_the_same_values() -> None:
    import qkeras.quantizers as qk
    import tensorflow as tf

    from stq_deploy.training.pretrained import settled

    def shrinks(x: Any) -> Any:  # not idempotent: its own output comes out smaller still
        return tf.round(x * 0.7 * 8) / 8

    w = np.random.default_rng(0).normal(0, 0.3, (40, 64)).astype(np.float32)
    for quantizer in (shrinks, qk.quantized_bits(4, 0, 1, alpha="auto_po2"), qk.ternary(alpha="auto_po2")):
        wanted = quantizer(tf.constant(w)).numpy()
        compact = settled(quantizer, w)
        np.testing.assert_array_equal(quantizer(tf.constant(compact)).numpy(), wanted)
        assert np.array_equal(compact, wanted) == (quantizer is not shrinks)
