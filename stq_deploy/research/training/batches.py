"""The batches of one epoch, made ahead in a helper thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.research.training.augment import Augmenter

_AHEAD = 4
_EPOCH_STREAM = 1  # separates these generators from others derived of the same seed

Batch = tuple[NDArray[Any], NDArray[np.float32]]
"""Samples (B, H, W, C), and their class shares (B, classes)."""


def epoch_batches(augmenter: Augmenter, batch_size: int, seed: int, epoch: int) -> Iterator[Batch]:
    """Shuffled, augmented batches. Order and augmentation depend on (seed, epoch) only.

    The last short batch is left out, so that batch statistics always use `batch_size` samples, unless there is no
    full batch.
    """
    rng = np.random.default_rng([_EPOCH_STREAM, seed, epoch])
    order = rng.permutation(len(augmenter))
    count = max(len(order) // batch_size, 1)
    made: queue.Queue[Batch | BaseException | None] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not stop.is_set():
            with suppress(queue.Full):  # so that a consumer that has ended is noticed
                made.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for number in range(count):
                if stop.is_set():
                    return
                put(augmenter.batch(order[number * batch_size : (number + 1) * batch_size], rng))
            put(None)
        except BaseException as error:  # passed to the consumer, which raises it
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
