"""Speech Commands in small: the dozen real clips in tests/datasets, and tones for the rest of the paper's words."""

from __future__ import annotations

import io
import tarfile
import wave
from pathlib import Path

import numpy as np

from stq_deploy.datasets.speech_commands import WORDS

CLIPS = Path(__file__).resolve().parents[2] / "datasets" / "clips"
"""One clip each of twelve words, of which four are the paper's."""

PER_WORD = 4


def wav(samples: np.ndarray, rate: int = 16_000, channels: int = 1, bits: int = 16) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return content.getvalue()


def files() -> dict[str, bytes]:
    """By path: four clips of each of the paper's words (at most one real), other words, noise, the two lists."""
    random = np.random.default_rng(7)
    found = {path.relative_to(CLIPS).as_posix(): path.read_bytes() for path in sorted(CLIPS.glob("*/*.wav"))}
    for number, word in enumerate(WORDS):
        for take in range(sum(name.startswith(f"{word}/") for name in found), PER_WORD):
            time = np.arange(16_000) / 16_000
            tone = np.sin(2 * np.pi * (200 + 150 * number) * time) * 9000  # one pitch per word, to distinguish them
            found[f"{word}/{take:08x}_nohash_0.wav"] = wav(tone + random.normal(0, 300, 16_000))
    names = [f"{word}/{PER_WORD - 1:08x}_nohash_0.wav" for word in WORDS]
    found["testing_list.txt"] = "".join(f"{name}\n" for name in names).encode()
    found["validation_list.txt"] = b"yes/00000000_nohash_0.wav\nno/00000001_nohash_0.wav\ncat/0819edb0_nohash_0.wav\n"
    found["_background_noise_/running_tap.wav"] = wav(random.normal(0, 900, 48_000))
    found["README.md"] = b"Speech Commands"
    return found


def archive(path: Path, contents: dict[str, bytes], *further: tarfile.TarInfo, prefix: str = "./") -> Path:
    """A .tar.gz as the official one is, with names that begin in ./"""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for info in further:
            tar.addfile(info)
        for name, content in contents.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def folder(path: Path, contents: dict[str, bytes]) -> Path:
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path
