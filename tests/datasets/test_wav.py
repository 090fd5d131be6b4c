"""Clips from WAV files: one second, or a clear error."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.wav import CLIP_SAMPLES, read_clip
from tests.helpers.datasets.tiny_speech import CLIPS, wav

RAMP = np.arange(1, 20_001) % 30_000 - 9_000


@pytest.mark.parametrize("length", [1, 2, 15_999, 16_000, 16_001, 20_000])
def test_short_clips_get_zeros_and_long_ones_are_cut_at_the_end(length: int) -> None:
    clip = read_clip(wav(RAMP[:length]), "c")
    assert (clip.shape, clip.dtype) == ((CLIP_SAMPLES,), np.int16)
    kept = min(length, CLIP_SAMPLES)
    np.testing.assert_array_equal(clip[:kept], RAMP[:kept])
    assert not clip[kept:].any()


def test_a_real_short_clip() -> None:
    clip = read_clip((CLIPS / "bed" / "0474c92a_nohash_0.wav").read_bytes(), "c")
    assert np.flatnonzero(clip)[-1] < 12_971 and not clip[12_971:].any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav(RAMP, rate=8_000), "1 channels of 16 bits at 8000 Hz"),
        (wav(RAMP, channels=2), "2 channels"),
        (wav(RAMP, bits=32), "of 32 bits"),
        (wav(RAMP, bits=8), "of 8 bits"),
        (wav(RAMP[:0]), "no sound"),
        (b"", "cannot read"),
        (b"fLaC" + bytes(100), "cannot read"),
        (wav(RAMP).replace(b"fmt ", b"fmx "), "cannot read"),
        (wav(RAMP).replace(b"\x10\0\0\0\x01\0", b"\x10\0\0\0\x03\0"), "cannot read"),  # not PCM
    ],
)
def test_other_files(content: bytes, message: str) -> None:
    with pytest.raises(StqError, match=message) as caught:
        read_clip(content, "yes/1.wav")
    assert "yes/1.wav" in str(caught.value)


def test_truncations_and_claims_of_length() -> None:
    whole = wav(RAMP[:50])
    for length in range(len(whole)):
        try:
            clip = read_clip(whole[:length], "c")
        except StqError:
            continue
        assert length > 44 and np.array_equal(clip[: (length - 44) // 2], RAMP[: (length - 44) // 2])
    claims = whole.replace((100).to_bytes(4, "little"), (2**32 - 2).to_bytes(4, "little"))
    assert claims != whole
    np.testing.assert_array_equal(read_clip(claims, "c"), read_clip(whole, "c"))
