"""Compare our audio features with others' of the same clips, and print what was found.

    python tools/check_mfcc.py FOLDER

FOLDER holds:

- gsc_samples/: clips WORD_NAME.flac or .wav; .flac needs the package soundfile;
- gsc12_mfcc.npz: features of these and more clips;
- mlperf_tiny/kws01_mfcc_int8.npz: int8 features of MLPerf Tiny's performance set;
- mlperf_tiny/kws_ref_model_float32.tflite and kws_ref_model.tflite: MLPerf Tiny's DS-CNN.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from stq_deploy.datasets.mfcc import mfcc
from stq_deploy.datasets.wav import CLIP_SAMPLES, RATE, read_clip

WORDS_OF_DS_CNN = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "silence", "unknown")
SAME_CLIP = 3
"""Levels (of 256) that the features of one clip may differ by at most; those of two clips differ by far more."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Compare our audio features with others' of the same clips."""
    with np.load(folder / "gsc12_mfcc.npz") as file:
        names = [name.decode() for name in file["name"]]
        stored, labels, words = file["x"], file["y"], file["words"].tolist()
    _clips(folder / "gsc_samples", names, stored)
    _int8_features(folder / "mlperf_tiny", names, stored)
    _ds_cnn(folder / "mlperf_tiny", stored, labels, words)


def _clips(folder: Path, names: list[str], stored: np.ndarray) -> None:
    paths = sorted(folder.glob("*.wav")) + sorted(folder.glob("*.flac"))
    theirs = np.stack([stored[names.index(f"{path.stem.replace('_', '/', 1)}.wav")] for path in paths])
    ours = mfcc(np.stack([_clip(path) for path in paths]))
    difference = np.abs(ours.astype(np.float64) - theirs)
    half_a_step = np.spacing(np.abs(theirs)).astype(np.float64) / 2
    equal = int((ours.astype(np.float16) == theirs).sum())
    print(f"{len(paths)} clips, {theirs.size} features stored as float16:")
    beyond = (difference - half_a_step).max()
    print(f"  largest difference {difference.max():.4g}; at most {beyond:.2g} beyond half a step of float16")
    print(f"  rounded to float16, {equal} are equal ({theirs.size - equal} are not)")


def _clip(path: Path) -> np.ndarray:
    if path.suffix == ".wav":
        return read_clip(path.read_bytes(), path.name)
    try:
        import soundfile
    except ImportError as error:
        raise click.ClickException(f"{path.name}: FLAC needs soundfile; pip install soundfile") from error

    samples, rate = soundfile.read(path, dtype="int16")
    if rate != RATE or samples.ndim != 1:
        sys.exit(f"{path}: not one channel at {RATE} Hz")
    return np.pad(samples[:CLIP_SAMPLES], (0, max(0, CLIP_SAMPLES - len(samples))))


def _int8_features(folder: Path, names: list[str], stored: np.ndarray) -> None:
    scale, zero_point = _interpreter(folder / "kws_ref_model.tflite").get_input_details()[0]["quantization"]
    with np.load(folder / "kws01_mfcc_int8.npz") as file:
        theirs = file["x"].reshape(len(file["x"]), -1).astype(np.int16)
    # Cut off towards zero: not stated anywhere, but with it their levels come out.
    exact = stored.reshape(len(stored), -1).astype(np.float64) / scale + zero_point
    ours = np.clip(np.trunc(exact), -128, 127).astype(np.int16)
    same, differing, farthest = [], 0, 0.0
    for row in theirs:
        distance = np.abs(ours - row).max(axis=1)
        nearest = int(distance.argmin())
        if distance[nearest] <= SAME_CLIP:
            unlike = ours[nearest] != row
            same.append(names[nearest])
            differing += int(unlike.sum())
            to_a_step = np.abs(exact[nearest][unlike] - np.rint(exact[nearest][unlike]))
            farthest = max(farthest, *to_a_step.tolist(), 0.0)
    print(f"MLPerf Tiny's int8 features of {len(theirs)} clips; {len(same)} are also here: {', '.join(same)}")
    print(f"  {differing} of {490 * len(same)} levels differ, all within {farthest:.2g} of a step between levels")


def _ds_cnn(folder: Path, stored: np.ndarray, labels: np.ndarray, words: list[str]) -> None:
    model = _interpreter(folder / "kws_ref_model_float32.tflite")
    model.allocate_tensors()
    takes, gives = model.get_input_details()[0], model.get_output_details()[0]
    expected = np.array([WORDS_OF_DS_CNN.index(w) if w in WORDS_OF_DS_CNN else 11 for w in words])[labels]
    found = []
    for features in stored.astype(np.float32):
        model.set_tensor(takes["index"], features.reshape(takes["shape"]))
        model.invoke()
        found.append(int(model.get_tensor(gives["index"]).argmax()))
    right = int((np.array(found) == expected).sum())
    print(f"MLPerf Tiny's trained DS-CNN on these features: {right} of {len(found)} right ({right / len(found):.1%})")


def _interpreter(path: Path) -> Any:
    import tensorflow as tf

    return tf.lite.Interpreter(str(path))


if __name__ == "__main__":
    main()
