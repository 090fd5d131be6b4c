"""The parts of training that need no TensorFlow, or little."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.research.training.augment import Augmenter
from stq_deploy.research.training.batches import epoch_batches
from stq_deploy.research.training.recipe import Recipe, load_recipe, parse_changes, recipe_names
from stq_deploy.research.training.schedule import cosine, geometric, warm_up


@pytest.mark.parametrize("recipe", [Recipe(), load_recipe("paper")])
def test_the_paper_recipe_and_the_defaults_are_table_ii(recipe: Recipe) -> None:
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer) == (1000, 64, "adamax")
    assert (recipe.learning_rate, recipe.final_learning_rate) == (1e-3, 1e-6)
    assert recipe.augment == "none"
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.mixup, recipe.cutout) == (0, 0, 0, 0)
    assert (recipe.warm_start, recipe.distillation, recipe.average_decay, recipe.patience) == (None, 0, 0, 0)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid_and_has_a_title(name: str) -> None:
    assert load_recipe(name).title


def test_the_manual_names_every_recipe_and_every_entry() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "TRAINING.md").read_text()
    assert [name for name in (*recipe_names(), *Recipe.model_fields) if f"`{name}`" not in manual] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sparsity = 1.0", r"line 1: sparsity: a share of zeros is at least 0 and below 1, not 1\.0"),
        ("[sparsity]\nconv2 = -0.1", "a share of zeros is at least 0"),
        ('sparsity = "much"', "sparsity"),
        ("epochs = 3\n  epoks = 4", r"recipe\.toml, line 2: a recipe has no entry 'epoks'[\s\S]*slip for 'epochs'"),
        ("\n\nbatch_size = 'many'", r"line 3: batch_size: .*valid integer.*'many'"),
        ("epochs = 0", r"line 1: epochs: .*greater than or equal to 1, not 0"),
        ("learning_rate = 0.0", "learning_rate: .*greater than 0"),
        ("augment = 'mirror'", "augment: .*'none', 'crop'"),
        ("validation_samples = 0\npatience = 3", "patience needs validation_samples"),
        ("epochs = 1\nepochs", "not a TOML file: .*at end of document"),
        ("[schedule]\nepochs = 3", "no entry 'schedule'"),
    ],
)
def test_a_wrong_recipe_is_explained(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(StqError) as error:
        load_recipe(str(path))
    assert re.search(said, str(error.value)), error.value


def test_changes_replace_entries_and_are_checked_too() -> None:
    changes = parse_changes(["epochs=7", "augment=crop", "learning_rate = 2e-3", "warm_start=runs/fp/model.h5"])
    recipe = load_recipe("fp", changes)
    assert (recipe.epochs, recipe.augment, recipe.learning_rate) == (7, "crop", 2e-3)
    assert recipe.entries()["warm_start"] == "model.h5"  # records tell nothing about folders
    assert recipe.sha256() != load_recipe("fp").sha256() == load_recipe("fp", {}).sha256()
    with pytest.raises(StqError, match="--set epoks: a recipe has no entry"):
        load_recipe("fp", parse_changes(["epoks=7"]))
    with pytest.raises(StqError, match="entry=value"):
        parse_changes(["epochs"])
    with pytest.raises(StqError, match="no recipe 'papre'"):
        load_recipe("papre")


def test_schedules() -> None:
    assert cosine(1.0, 0.1, 0.0) == 1.0
    assert cosine(1.0, 0.1, 0.5) == pytest.approx(0.55)
    assert cosine(1.0, 0.1, 1.0) == cosine(1.0, 0.1, 2.0) == pytest.approx(0.1)
    assert geometric(8.0, 200.0, 0.5) == pytest.approx(40.0)
    assert [warm_up(step, 4) for step in (0, 3, 9)] == [0.25, 1.0, 1.0]
    assert warm_up(0, 0) == 1.0


def test_crop_flip_gives_shifted_or_mirrored_windows() -> None:
    x = np.random.default_rng(0).integers(1, 256, (4, 8, 8, 1), dtype=np.uint8)
    augmenter = Augmenter(x, np.arange(4), 4, Recipe(augment="crop-flip"))
    out, labels = augmenter.batch(np.array([2] * 200), np.random.default_rng(1))
    assert (labels == np.eye(4)[2]).all()
    assert out.shape == (200, 8, 8, 1)
    assert out.dtype == np.uint8
    mirror = np.r_[4:0:-1, :8, 6:2:-1]
    padded = x[2, :, :, 0][mirror][:, mirror]
    windows = {padded[r : r + 8, c : c + 8].tobytes() for r in range(9) for c in range(9)}
    mirrored = {padded[r : r + 8, c : c + 8][:, ::-1].tobytes() for r in range(9) for c in range(9)}
    found = [picture[:, :, 0].tobytes() for picture in out]
    assert all(one in windows or one in mirrored for one in found)
    assert any(one in windows for one in found)
    assert any(one in mirrored for one in found)
    assert len(set(found)) > 60


def test_time_shift_moves_rows_only() -> None:
    x = np.random.default_rng(0).random((1, 12, 3, 1), dtype=np.float32)
    augmenter = Augmenter(x, np.zeros(1, np.int64), 1, Recipe(augment="time-shift"))
    out, _ = augmenter.batch(np.zeros(100, np.int64), np.random.default_rng(1))
    shifted = {x[0, np.clip(np.arange(12) + by, 0, 11)].tobytes() for by in range(-4, 5)}
    assert {one.tobytes() for one in out} == shifted


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_cutout_puts_the_mean_into_a_square_and_changes_nothing_else(dtype: type) -> None:
    mean = np.arange(81).reshape(9, 9, 1)
    x = (mean + np.where(np.arange(300) % 2, 60, -60)[:, None, None, None] + 80).astype(dtype)
    augmenter = Augmenter(x, np.zeros(300, np.int64), 1, Recipe(cutout=4))
    out, _ = augmenter.batch(np.arange(300), np.random.default_rng(1))
    assert out.dtype == dtype
    holes = out != x
    np.testing.assert_allclose(out[holes], np.broadcast_to(mean + 80, x.shape)[holes], rtol=1e-6)
    for hole in holes[..., 0]:
        rows, columns = np.where(hole)
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1) <= 16
    assert {int(hole.sum()) for hole in holes} >= {16, 4}  # whole, and cut at a corner


def test_mixup_and_label_smoothing_keep_labels_whole_and_mix_both_alike() -> None:
    x = np.stack([np.full((2, 2, 1), 200 * i, np.uint8) for i in range(2)])
    augmenter = Augmenter(x, np.arange(2), 2, Recipe(mixup=1.0))
    for seed in range(20):
        pictures, labels = augmenter.batch(np.array([0, 1]), np.random.default_rng(seed))
        np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(pictures[:, 0, 0, 0], 200 * labels[:, 1], atol=0.51)
    smoothed = Augmenter(x, np.arange(2), 5, Recipe(label_smoothing=0.1)).batch(np.array([1]), np.random.default_rng(0))
    np.testing.assert_allclose(smoothed[1], [[0.02, 0.92, 0.02, 0.02, 0.02]], rtol=1e-6)


def test_batches_cover_an_epoch_once_and_repeat_by_seed() -> None:
    augmenter = Augmenter(np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1), np.arange(50), 50, Recipe())

    def labels(seed: int, epoch: int) -> list[list[int]]:
        return [b.argmax(1).tolist() for _, b in epoch_batches(augmenter, 8, seed, epoch)]

    first = labels(0, 0)
    assert [len(batch) for batch in first] == [8] * 6  # the short rest is left out
    assert len({label for batch in first for label in batch}) == 48
    assert labels(0, 0) == first
    assert labels(0, 1) != first
    assert labels(1, 0) != first
    for pictures, part in epoch_batches(augmenter, 8, 0, 0):
        np.testing.assert_array_equal(pictures.ravel(), part.argmax(1))


def test_a_failing_helper_thread_is_heard() -> None:
    augmenter = Augmenter(np.zeros((4, 1, 1, 1), np.uint8), np.zeros(4, np.int64), 1, Recipe())
    augmenter._labels = augmenter._labels[:2]
    with pytest.raises(IndexError):
        list(epoch_batches(augmenter, 4, 0, 0))


@pytest.mark.keras
def test_settled_weights_quantize_to_the_same_values() -> None:
    import qkeras.quantizers as qk
    import tensorflow as tf

    from stq_deploy.research.training.settle import settled

    def shrinks(x: Any) -> Any:  # not idempotent: its own output comes out smaller still
        return tf.round(x * 0.7 * 8) / 8

    w = np.random.default_rng(0).normal(0, 0.3, (40, 64)).astype(np.float32)
    for quantizer in (shrinks, qk.quantized_bits(4, 0, 1, alpha="auto_po2"), qk.ternary(alpha="auto_po2")):
        wanted = quantizer(tf.constant(w)).numpy()
        compact = settled(quantizer, w)
        np.testing.assert_array_equal(quantizer(tf.constant(compact)).numpy(), wanted)
        assert np.array_equal(compact, wanted) == (quantizer is not shrinks)
    # A scale that is not a power of two is found anew from the values, and then differs in its last bit.
    ternary = qk.ternary(alpha="auto")
    wanted = ternary(tf.constant(w)).numpy()
    compact = settled(ternary, w)
    np.testing.assert_allclose(compact, wanted, rtol=1e-6, atol=0)
    np.testing.assert_allclose(ternary(tf.constant(compact)).numpy(), wanted, rtol=1e-6, atol=0)
    assert settled(ternary, compact) is compact
    assert all(len(np.unique(compact[:, channel])) <= 3 for channel in range(64))


def test_dead_channels_settle_to_few_values() -> None:
    """qkeras' own result of weights around 1e-8 is not a fixed point of it."""
    import qkeras.quantizers as qk
    import tensorflow as tf

    from stq_deploy.research.training.settle import settled

    generator = np.random.default_rng(0)
    w = generator.normal(0, 0.3, (200, 24)) * np.where(np.arange(24) % 2, 1, 10.0 ** -generator.uniform(5.5, 8, 24))
    w = w.astype(np.float32)
    binary, few_bits = qk.binary(alpha="auto_po2"), qk.quantized_bits(4, 0, 1, alpha="auto_po2")
    for quantizer, levels in ((binary, 2), (few_bits, 15)):
        wanted = quantizer(tf.constant(w)).numpy()
        assert not np.array_equal(quantizer(tf.constant(wanted)).numpy(), wanted)
        compact = settled(quantizer, w)
        np.testing.assert_array_equal(quantizer(tf.constant(compact)).numpy(), wanted)
        assert max(len(np.unique(compact[:, channel])) for channel in range(24)) <= levels
