"""MLPerf Tiny's features: against features computed elsewhere, the formula in NumPy, and the original's float32."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.datasets.mfcc import mfcc
from stq_deploy.datasets.wav import read_clip
from tests.helpers.datasets.tiny_speech import CLIPS

pytestmark = pytest.mark.keras


@pytest.fixture(name="clips", scope="module")
def _clips() -> np.ndarray:
    with np.load(CLIPS / "reference_mfcc.npz") as reference:
        return np.stack([read_clip((CLIPS / name).read_bytes(), name) for name in reference["name"]])


@pytest.fixture(name="features", scope="module")
def _features(clips: np.ndarray) -> np.ndarray:
    return mfcc(clips)


def _by_numpy(clip: np.ndarray) -> np.ndarray:
    """The formula, step by step."""
    sound = clip / clip.max()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    frames = np.stack([sound[start : start + 480] * window for start in range(0, 16_000 - 480 + 1, 320)])
    spectrum = np.abs(np.fft.rfft(frames, 512))

    def mel(hertz: np.ndarray) -> np.ndarray:
        return 1127.0 * np.log(1 + hertz / 700)

    edges = np.linspace(mel(np.array(20.0)), mel(np.array(4000.0)), 42)
    bins = mel(np.arange(257) * 16_000 / 512)
    triangles = np.zeros((257, 40))
    for number in range(40):
        left, middle, right = edges[number : number + 3]
        rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
        triangles[:, number] = np.maximum(0, np.minimum(rising, falling))
    log_mel = np.log(spectrum @ triangles + 1e-6)
    angles = np.pi / 40 * (np.arange(40) + 0.5)[:, np.newaxis] * np.arange(10)
    return np.sqrt(2 / 40) * log_mel @ np.cos(angles)


def test_features_computed_elsewhere(features: np.ndarray) -> None:
    """They are stored as float16: ours must round to them, except at ties."""
    with np.load(CLIPS / "reference_mfcc.npz") as reference:
        stored = reference["x"]
    half_a_step = np.spacing(np.abs(stored)).astype(np.float64) / 2
    assert (np.abs(features.astype(np.float64) - stored) - half_a_step).max() < 1e-5
    assert np.abs(features - stored.astype(np.float32)).max() < 0.032


def test_the_formula(clips: np.ndarray, features: np.ndarray) -> None:
    expected = np.stack([_by_numpy(clip) for clip in clips])
    assert (features.shape, features.dtype) == ((12, 49, 10), np.float32)
    np.testing.assert_allclose(features, expected, rtol=2**-24, atol=1e-9)


def test_the_original_in_float32(clips: np.ndarray, features: np.ndarray) -> None:
    """The same calls in single precision, clip by clip, as MLPerf Tiny's get_dataset.py makes them."""
    import tensorflow as tf

    for clip, ours in zip(clips, features, strict=True):
        sound = tf.cast(clip, tf.float32)
        spectrum = tf.abs(tf.signal.stft(sound / tf.reduce_max(sound), 480, 320, None, tf.signal.hann_window))
        to_mel = tf.signal.linear_to_mel_weight_matrix(40, spectrum.shape[-1], 16_000, 20.0, 4000.0)
        log_mel = tf.math.log(tf.tensordot(spectrum, to_mel, 1) + 1e-6)
        theirs = tf.signal.mfccs_from_log_mel_spectrograms(log_mel)[..., :10]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4)


def test_a_clips_features_do_not_depend_on_its_neighbours(
    clips: np.ndarray, features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stq_deploy.datasets.mfcc._AT_A_TIME", 5)
    np.testing.assert_array_equal(mfcc(clips), features)
    np.testing.assert_array_equal(mfcc(clips[3:4]), features[3:4])


def test_loudness_does_not_matter_and_silence_is_finite(clips: np.ndarray) -> None:
    np.testing.assert_array_equal(mfcc(clips[:1] // 2 * 2), mfcc(clips[:1] // 2))
    silent = mfcc(np.stack([np.zeros(16_000, np.int16), np.full(16_000, -5, np.int16)]))
    assert np.isfinite(silent).all()
    np.testing.assert_allclose(silent[0, :, 0], np.log(1e-6) * np.sqrt(2 * 40), rtol=1e-6)
    np.testing.assert_allclose(silent[0, :, 1:], 0, atol=1e-9)


def test_no_clip_at_all() -> None:
    assert mfcc(np.zeros((0, 16_000), np.int16)).shape == (0, 49, 10)
