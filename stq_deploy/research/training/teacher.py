"""A teacher's answers to each batch of training samples, computed or kept from a run with the same batches."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.common.npy_member import read_arrays
from stq_deploy.research.quantizers.bfloat16 import allow_bfloat16, bfloat16_convolutions
from stq_deploy.research.quantizers.fast import use_fast_activations
from stq_deploy.research.training.inputs import to_input
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.research.training.source_model import read_teacher
from stq_deploy.zoo.networks import logits_view

MAXIMUM_KEPT_BYTES = 1 << 30
_DIGEST_BYTES = 32


class Teacher:
    """A trained model to distil into `student`; a larger teacher's answers cost more than the student's own step.

    Order and augmentation of the batches depend only on the data, the recipe and the seed. So with `keep` (a folder),
    schemes trained by one recipe share their teacher's answers: a file per epoch, 2 MB for CIFAR-10. The digests of the
    teacher and of the first batch identify it, and every batch is checked against its own digest.

    Raises StqError if the model is missing, not on the allow-list, or has another input or number of classes.
    """

    def __init__(self, source: str, student: Any, recipe: Recipe, keep: Path | None = None) -> None:
        teacher = read_teacher(source, student)
        model = teacher.keras
        use_fast_activations(model)
        allow_bfloat16(model)
        view = logits_view(model)

        def ask(x: Any) -> Any:
            with bfloat16_convolutions(recipe.precision == "bfloat16"):
                return view(to_input(x), training=False)

        self.sha256 = teacher.sha256
        self._ask = tf.function(ask, reduce_retracing=True)
        self._key = f"{self.sha256}, {recipe.precision}"
        self._keep = keep
        self._file: Path | None = None
        self._kept: list[tuple[bytes, NDArray[np.float32]]] = []
        self._given: list[tuple[bytes, NDArray[np.float32]]] = []
        self._asked = 0

    def logits(self, x: NDArray[Any]) -> Any:
        """Logits (B, classes) float32 for the data set's samples `x` (B, H, W, C)."""
        if self._keep is None:
            return self._ask(tf.constant(x))
        digest = hashlib.sha256(self._key.encode() + np.ascontiguousarray(x).data).digest()
        number = len(self._given)
        if number == 0:
            self._file = self._keep / f"{digest.hex()[:32]}.npz"
            self._kept = _read(self._file)
        if number < len(self._kept) and self._kept[number][0] == digest:
            logits = self._kept[number][1]
        else:
            logits = self._ask(tf.constant(x)).numpy()
            self._asked += 1
        self._given.append((digest, logits))
        return tf.constant(logits)

    def once(self, x: NDArray[Any]) -> Any:
        """The same for samples (B, H, W, C) outside the epochs' batches; nothing is kept."""
        return self._ask(tf.constant(x))

    def end_epoch(self) -> None:
        """Store this epoch's answers."""
        if self._file is not None and self._asked:
            write_whole(self._file, _content(self._given))
        self._file, self._kept, self._given, self._asked = None, [], [], 0


def _content(answers: list[tuple[bytes, NDArray[np.float32]]]) -> bytes:
    digests = np.frombuffer(b"".join(digest for digest, _ in answers), np.uint8).reshape(-1, _DIGEST_BYTES)
    buffer = io.BytesIO()
    np.savez(buffer, digests=digests, logits=np.stack([logits for _, logits in answers]))
    return buffer.getvalue()


def _read(path: Path) -> list[tuple[bytes, NDArray[np.float32]]]:
    """The stored answers; none if the file is absent or damaged, and the teacher then computes them."""
    try:
        archive = read_arrays(path, MAXIMUM_KEPT_BYTES)
        digests, logits = archive["digests"], archive["logits"].astype(np.float32)
    except (OSError, ValueError, KeyError, StqError):
        return []
    if digests.dtype != np.uint8 or digests.ndim != 2 or logits.ndim != 3:
        return []
    return [(row.tobytes(), values) for row, values in zip(digests, logits, strict=False)]
