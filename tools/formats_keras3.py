"""Keras 3's half of `tools/compare_formats.py`, in an environment of its own (keras, tensorflow, qkeras-v3, hgq2).

    K3/bin/python tools/formats_keras3.py build WEIGHTS.npz FOLDER
    K3/bin/python tools/formats_keras3.py predict FILE X.npy Y.npy [--hgq2]

`build` writes the networks of `tools/same_network.py` as QKeras v3 saves them: FOLDER/NAME.keras and NAME.h5.
`predict` gives what a file's own program computes. HGQ2 has a package `qkeras` of its own, so it is named.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("TF_USE_LEGACY_KERAS", None)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import numpy as np


def build(weights: Path, folder: Path) -> None:
    """Every network, in both forms."""
    import qkeras

    from tools.same_network import MODELS

    stored = np.load(weights)
    for name, make in MODELS.items():
        keras.utils.clear_session()
        model = make(keras, qkeras, stored)
        for ending in ("keras", "h5"):
            model.save(folder / f"{name}.{ending}")


def predict(file: Path, x: Path, y: Path, hgq2: bool) -> None:
    """The first output of a model file for inputs (N, ...)."""
    if hgq2:
        import hgq.layers  # noqa: F401 - registers the layers
    else:
        import qkeras  # noqa: F401 - registers the layers
    found = keras.models.load_model(file, compile=False).predict(np.load(x), verbose=0)
    np.save(y, found[0] if isinstance(found, list) else found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build")
    for name in ("weights", "folder"):
        building.add_argument(name, type=Path)
    predicting = commands.add_parser("predict")
    for name in ("file", "x", "y"):
        predicting.add_argument(name, type=Path)
    predicting.add_argument("--hgq2", action="store_true")
    options = parser.parse_args()
    if options.command == "build":
        build(options.weights, options.folder)
    else:
        predict(options.file, options.x, options.y, options.hgq2)


if __name__ == "__main__":
    main()
