"""The cases of `tools/tflite_cases.py`: small .tflite files, and what TensorFlow Lite's interpreter gives for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CASES = Path(__file__).resolve().parents[2] / "data" / "tflite_cases.npz"


@cache
def cases() -> dict[str, tuple[bytes, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Name -> (the file's bytes, inputs, the interpreter's outputs)."""
    with np.load(CASES, allow_pickle=False) as file:
        names = [name.removesuffix(".model") for name in file.files if name.endswith(".model")]
        return {n: (file[f"{n}.model"].tobytes(), file[f"{n}.x"], file[f"{n}.y"]) for n in names}
