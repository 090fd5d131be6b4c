#!/usr/bin/env python3
"""Makes the files of HGQ2 in tests/frontend/keras3, with what HGQ2 itself predicts for random inputs.

HGQ2 ships a package `qkeras` of its own, and needs Keras 3. So this tool runs in an environment of its own:

    python3 -m venv HGQ && HGQ/bin/pip install keras tensorflow hgq2
    HGQ/bin/python tools/make_hgq2_models.py

Weights and widths are random and equal in every run. Weights have widths of their own, from none to 8 bits.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from hgq.config import QuantizerConfig
from hgq.layers import QConv1D, QConv2D, QDense, Quantizer

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "frontend" / "keras3"
SAMPLES = 16
L = keras.layers


def main() -> None:
    """Make every file anew."""
    for make in (hgq2_images, hgq2_rows, hgq2_defaults, hgq2_channels, hgq2_pixels, hgq2_refused):
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        model = make()
        randomize(model)
        x = np.random.default_rng(1).uniform(-2.5, 2.5, (SAMPLES, *model.input_shape[1:])).astype(np.float32)
        path = FOLDER / f"{make.__name__}.keras"
        if make is not hgq2_refused:
            np.savez_compressed(path.with_suffix(".npz"), x=x, y0=model.predict(x, verbose=0))
        model.save(path)
        compress(path)


def data(rounding: str, overflow: str, kind: str = "kif") -> Any:
    """A quantizer of activations with one width."""
    more = {"i0": 2, "f0": 4} if kind == "kif" else {"b0": 6, "i0": 2}
    return QuantizerConfig(kind, "datalane", k0=1, round_mode=rounding, overflow_mode=overflow,
                           homogeneous_axis=None, heterogeneous_axis=(), **more)  # fmt: skip


def weights(rounding: str, overflow: str, kind: str = "kbi") -> Any:
    """A quantizer with a width for each weight."""
    return QuantizerConfig(kind, "weight", round_mode=rounding, overflow_mode=overflow)


def hgq2_images() -> Any:
    """Convolutions and a dense layer, with each rounding of activations."""
    return keras.Sequential(
        [
            L.Input((7, 6, 2)),
            QConv2D(4, 3, activation="relu", iq_conf=data("RND", "SAT"), kq_conf=weights("RND", "SAT_SYM"),
                    name="first"),
            L.MaxPooling2D(2),
            QConv2D(3, 1, use_bias=False, iq_conf=data("TRN", "SAT_SYM"), kq_conf=weights("RND", "WRAP", "kif"),
                    name="second"),
            L.Flatten(),
            QDense(5, iq_conf=data("RND_CONV", "SAT", "kbi"), kq_conf=weights("RND_CONV", "SAT"), name="logits"),
        ]
    )  # fmt: skip


def hgq2_rows() -> Any:
    """A quantizer by itself, a 1-D convolution, and quantizers of outputs; no count of operations is stored."""
    return keras.Sequential(
        [
            L.Input((9, 3)),
            Quantizer(data("RND", "SAT_SYM")),
            QConv1D(4, 2, enable_iq=False, enable_oq=True, oq_conf=data("RND", "SAT"), kq_conf=weights("TRN", "SAT"),
                    enable_ebops=False),
            L.Flatten(),
            QDense(3, iq_conf=data("RND", "SAT"), kq_conf=weights("RND", "WRAP"), enable_ebops=False),
        ]
    )  # fmt: skip


def hgq2_defaults() -> Any:
    """Dense layers as HGQ2 makes them: each element of a tensor has a width of its own, and wraps."""
    return keras.Sequential(
        [
            L.Input((10,)),
            QDense(9, activation="relu", name="entry"),
            QDense(8, name="middle"),
            QDense(4, enable_oq=True, name="logits"),
        ]
    )


def hgq2_channels() -> Any:
    """Convolutions whose activations have a width for each channel, and saturate or wrap."""
    rounds = iter((("RND", "WRAP"), ("RND_CONV", "SAT"), ("TRN", "SAT_SYM"), ("RND_CONV", "WRAP")))

    def channels() -> Any:
        rounding, overflow = next(rounds)
        return QuantizerConfig("kif", "datalane", round_mode=rounding, overflow_mode=overflow,
                               homogeneous_axis=None, heterogeneous_axis=(-1,))  # fmt: skip

    return keras.Sequential(
        [
            L.Input((7, 6, 2)),
            QConv2D(5, 3, activation="relu", iq_conf=channels(), name="entry"),
            QConv2D(4, 2, iq_conf=channels(), name="second"),
            QConv2D(3, 1, iq_conf=channels(), name="third"),
            L.Flatten(),
            QDense(3, enable_iq=False, enable_oq=True, oq_conf=QuantizerConfig("kif", "datalane"), name="logits"),
        ]
    )


def hgq2_pixels() -> Any:
    """A width for each pixel of the input."""
    return keras.Sequential(
        [
            L.Input((4, 3, 2)),
            QConv2D(3, 2, name="entry"),
            L.Flatten(),
            QDense(3, name="logits"),
        ]
    )


def hgq2_refused() -> Any:
    """A width for each pixel of an image within the model."""
    return keras.Sequential([L.Input((4, 3, 2)), QConv2D(3, 2, name="first"), QConv2D(2, 2, name="second")])


def randomize(model: Any) -> None:
    """Give weights and widths random values; an activation's width stays as it is."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        name, shape, size = variable.path.rpartition("/")[2], variable.shape, int(np.prod(variable.shape))
        if name in ("kernel", "bias"):
            variable.assign(random.normal(0, 0.7, shape))
        elif name in ("b", "f") and size > 1:
            variable.assign(random.uniform(0, 7, shape))
        elif name == "i" and size > 1 and "entry" in variable.path and "iq" in variable.path:
            variable.assign(np.full(shape, 2.0))  # no input overflows
        elif name == "i" and size > 1:
            variable.assign(random.uniform(0, 1.4, shape))


def compress(path: Path) -> None:
    """Pack the members of an archive, which Keras stores as they are."""
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
