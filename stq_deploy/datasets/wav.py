"""One-second clips from WAV files."""

from __future__ import annotations

import io
import wave

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError

RATE = 16_000
CLIP_SAMPLES = RATE
"""One second."""


def read_clip(content: bytes, name: str) -> NDArray[np.int16]:
    """A WAV file's bytes -> int16 (16000,): a shorter clip gets zeros at its end, and a longer one is cut there.

    Raises StqError, naming the clip `name`, unless it is 16-bit mono PCM of 16 kHz, not empty and undamaged. Nothing is
    resampled. MLPerf Tiny does not resample either, and takes any rate for 16 kHz.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            found = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            # At most one clip, whatever length the header claims.
            samples = file.readframes(CLIP_SAMPLES)
    except (wave.Error, EOFError, ValueError) as error:
        raise StqError(
            "cannot read the clip", where=name, cause=f"it is damaged, or not a PCM WAV file ({error})"
        ) from error
    if found != (1, 16, RATE):
        channels, bits, rate = found
        raise StqError(
            f"the clip has {channels} channels of {bits} bits at {rate} Hz",
            where=name,
            next=f"convert it to 1 channel of 16 bits at {RATE} Hz",
        )
    clip = np.zeros(CLIP_SAMPLES, np.int16)
    given = np.frombuffer(samples[: len(samples) // 2 * 2], "<i2")
    if not len(given):
        raise StqError("the clip holds no sound", where=name)
    clip[: len(given)] = given
    return clip
