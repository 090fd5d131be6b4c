"""Every layer's bytes compared between executors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy.typing as npt

from stq_deploy.api.network import IntegerNetwork
from stq_deploy.api.samples import inputs_of
from stq_deploy.common.errors import StqError, no_such
from stq_deploy.common.progress import Progress, silent, stage
from stq_deploy.evaluation.layer_comparison import LayerComparison, compare_layers
from stq_deploy.evaluation.verification_samples import verification_inputs
from stq_deploy.executors.executor import Levels
from stq_deploy.executors.open_executor import executor_names, open_executor


def verify(
    net: IntegerNetwork,
    x: npt.ArrayLike | None = None,
    on: str | Sequence[str] = ("host",),
    *,
    features: bool | None = None,
) -> LayerComparison:
    """Compare every layer's output bytes with the NumPy reference's.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    x : array_like, shape (N, *input_shape), optional
        Samples, as for `IntegerNetwork.predict`; by default four: the input's extremes, and others that fit.
    on : str or sequence of str
        `host` and `host-cortex-m7` (the generated C here, with either kernels), the same with `-sanitized`, or a
        board's name (its firmware, emulated).
    features : bool, optional
        As for `IntegerNetwork.predict`.

    Returns
    -------
    LayerComparison
        `rows` for each layer, `differences`, `differing_layers`; `raise_if_different()` makes an error of one.

    Raises
    ------
    StqError
        Unusable samples, an unknown name in `on`, or no compiler or emulator for it.
    """
    names = checked_names([on] if isinstance(on, str) else on)
    inputs = verification_inputs(net.network, None, 4) if x is None else inputs_of(net.network, x, None, features)[1]
    return compare_levels(net, inputs.levels, ["numpy", *names])


def compare_levels(
    net: IntegerNetwork, levels: Levels, names: Sequence[str], *, progress: Progress = silent
) -> LayerComparison:
    """Compare every layer's output bytes between executors.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    levels : ndarray of integers, shape (N, *input_shape)
        Levels of the network's input.
    names : sequence of str
        Executors; the others are compared with the first.
    progress : callable
        Called with (stage, done, total); a stage for each executor.

    Raises
    ------
    StqError
        An executor cannot be had here, or fails.
    """
    with ExitStack() as stack:
        with stage(progress, "starting the executors"):
            first, *others = (stack.enter_context(open_executor(name, net.program)) for name in names)
        return compare_layers(first, others, levels, lambda name, done: progress(name, done, len(levels)))


def checked_names(names: Sequence[str], also: Sequence[str] = ()) -> list[str]:
    """Names of executors, each once."""
    known = [*also, *(name for name in executor_names() if name != "numpy")]
    for name in names:
        if name not in known:
            raise no_such(f"there is nothing called {name!r} to run a network on", name, known)
    if not names or len(set(names)) < len(names):
        raise StqError(f"on={list(names)!r} names something twice, or nothing", next="name one or more, each once")
    return list(names)
