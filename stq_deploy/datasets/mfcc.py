"""MLPerf Tiny's audio features: 49x10 mel-frequency cepstral coefficients of one second, computed by tf.signal.

Formula and parameters are those of mlcommons/tiny, benchmark/training/keyword_spotting, get_dataset.py (feature_type
"mfcc"). librosa cannot compute them: its mel triangles are linear in hertz, tf.signal's in mel. One thing differs
from the original. It computes in float32, where the last bits depend on batch and processor; here float64 is rounded to
float32 once, at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.tensorflow_import import import_tensorflow
from stq_deploy.datasets.wav import RATE

WINDOW = 30 * RATE // 1000
STRIDE = 20 * RATE // 1000
MEL_BINS = 40
LOWEST_HERTZ, HIGHEST_HERTZ = 20.0, 4000.0
LOG_OFFSET = 1e-6
COEFFICIENTS = 10
FRAMES = (RATE - WINDOW) // STRIDE + 1
_AT_A_TIME = 256


def mfcc(clips: NDArray[np.int16]) -> NDArray[np.float32]:
    """int16 clips (N, 16000) of 16 kHz -> float32 (N, 49, 10), from about -124 (silence) to 40.

    Each clip is divided by its largest sample. Hann windows of 30 ms every 20 ms and an FFT of 512 give magnitudes.
    These give 40 mel bins from 20 to 4000 Hz, and log(bin + 1e-6). The first 10 coefficients of a DCT-II, scaled by
    sqrt(2 / 40), are the result.

    A clip without a positive sample, which the original would divide by zero or invert, is not divided. Raises StqError
    if TensorFlow or QKeras is not installed.
    """
    tf = import_tensorflow("computing the features of audio")
    parts = [_features(tf, clips[start : start + _AT_A_TIME]) for start in range(0, len(clips), _AT_A_TIME)]
    return np.concatenate([np.zeros((0, FRAMES, COEFFICIENTS), np.float32), *parts])


def _features(tf: Any, clips: NDArray[np.int16]) -> NDArray[np.float32]:
    largest = clips.max(axis=1, keepdims=True).astype(np.float64)
    scaled = clips / np.where(largest > 0, largest, 1.0)
    spectrum = tf.abs(tf.signal.stft(scaled, WINDOW, STRIDE))  # (N, 49, 257); Hann and 512 are its defaults
    to_mel = tf.signal.linear_to_mel_weight_matrix(
        MEL_BINS, spectrum.shape[-1], RATE, LOWEST_HERTZ, HIGHEST_HERTZ, dtype=tf.float64
    )
    log_mel = tf.math.log(tf.tensordot(spectrum, to_mel, 1) + LOG_OFFSET)
    cepstrum = tf.signal.mfccs_from_log_mel_spectrograms(log_mel)
    return np.asarray(cepstrum[..., :COEFFICIENTS], np.float32)
