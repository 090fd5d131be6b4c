"""One pass over the training samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import tensorflow as tf

from stq_deploy.research.training.batches import Batch
from stq_deploy.research.training.step import TrainingStep
from stq_deploy.research.training.teacher import Teacher


@dataclass(frozen=True)
class EpochResult:
    """Mean training loss and accuracy (0..1), measured while training (so with drawn weights, on attacked samples)."""

    loss: float
    accuracy: float


def run_epoch(
    step: TrainingStep,
    batches: Iterator[Batch],
    teacher: Teacher | None,
    learning_rate: Callable[[int], float],
    on_step: Callable[[int, float], None],
    eps: Callable[[int], float] | None = None,
) -> EpochResult:
    """Run `step` over all `batches`, each with the teacher's logits; `learning_rate(i)`, `on_step(i, loss)` and
    `eps(i)`, the adversary's budget in gray levels / 255, get the step's number in the epoch.
    """
    loss_sum = 0.0
    right = seen = steps = 0
    for x, y in batches:
        taught = None if teacher is None else teacher.logits(x)
        rate = tf.constant(learning_rate(steps), tf.float32)
        budget = None if eps is None else tf.constant(eps(steps), tf.float32)
        loss, hits = step(tf.constant(x), tf.constant(y), taught, rate, budget)
        loss_sum += float(loss)
        right += int(hits)
        seen += len(y)
        on_step(steps, float(loss))
        steps += 1
    if teacher is not None:
        teacher.end_epoch()
    return EpochResult(loss_sum / max(steps, 1), right / max(seen, 1))
