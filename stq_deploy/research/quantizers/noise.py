"""The random source of the stochastic quantizers, separate from every model.

One process has one noise state: a seed, a draw counter, a temperature factor and a share. They are plain module-level
variables. So they never appear in `model.weights` or in a saved model, yet a compiled training step reads their present
values. A checkpoint saves `get_state()`, and `set_state()` makes a resumed run draw the very numbers an uninterrupted
run would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class NoiseState:
    """A snapshot: the seed, the draws made so far, the temperature factor (1.0 = as configured), and the share of rows
    that gradual quantization quantizes.
    """

    seed: int = 0
    counter: int = 0
    temperature_factor: float = 1.0
    share: float = 1.0


class _Variables:
    """The live variables, created on first use so that importing this module stays cheap."""

    def __init__(self) -> None:
        with tf.init_scope():  # outside any function graph, even when first used while tracing one
            self.seed = tf.Variable(0, dtype=tf.int64, trainable=False, name="stq_noise_seed")
            self.counter = tf.Variable(0, dtype=tf.int64, trainable=False, name="stq_noise_counter")
            self.factor = tf.Variable(1.0, dtype=tf.float32, trainable=False, name="stq_noise_temperature")
            self.share = tf.Variable(1.0, dtype=tf.float32, trainable=False, name="stq_gradual_share")


_enabled: ContextVar[bool] = ContextVar("stq_noise_enabled", default=True)


@cache
def _live() -> _Variables:
    return _Variables()


def get_state() -> NoiseState:
    """The present state, as Python numbers."""
    live = _live()
    return NoiseState(
        int(live.seed.numpy()), int(live.counter.numpy()), float(live.factor.numpy()), float(live.share.numpy())
    )


def set_state(state: NoiseState) -> None:
    """Make the next draws those that follow `state`."""
    live = _live()
    live.seed.assign(state.seed)
    live.counter.assign(state.counter)
    live.factor.assign(state.temperature_factor)
    live.share.assign(state.share)


def set_temperature_factor(factor: float) -> None:
    """Multiply every stochastic quantizer's configured temperature by `factor` (> 0) from now on.

    Larger is less random; the temperature written into a saved model does not change.
    """
    if not factor > 0:
        raise ValueError(f"the temperature factor must be positive, not {factor}")
    _live().factor.assign(factor)


def temperature_factor() -> Any:
    """The factor as a scalar float32 tensor, for use inside a quantizer."""
    return _live().factor.read_value()


def set_share(share: float) -> None:
    """Let gradual quantization quantize this share (0 .. 1) of every kernel's rows from now on."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies in 0 .. 1, not at {share}")
    _live().share.assign(share)


def share() -> Any:
    """The share as a scalar float32 tensor, for use inside a quantizer."""
    return _live().share.read_value()


def uniform(shape: Any) -> Any:
    """One float32 tensor of `shape`, uniform in [0, 1); each call counts as one draw.

    The numbers depend on (seed, counter) only, not on TensorFlow's global generator or on thread timing.
    """
    return tf.random.stateless_uniform(shape, seed=_next_seed())


def normal(shape: Any) -> Any:
    """The same for the standard normal distribution."""
    return tf.random.stateless_normal(shape, seed=_next_seed())


def _next_seed() -> Any:
    live = _live()
    counter = live.counter.assign_add(1, read_value=True)
    return tf.stack([live.seed.read_value(), tf.identity(counter)])


def enabled() -> bool:
    """Whether quantizers may draw at all (see `deterministic`)."""
    return _enabled.get()


@contextmanager
def deterministic() -> Iterator[None]:
    """Within this block, even a training call does not draw.

    It is read while a function is *traced*: wrap the first call of a `tf.function` that must stay
    deterministic, and use that function nowhere else.
    """
    before = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(before)
