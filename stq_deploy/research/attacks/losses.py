"""Objectives that gradient attacks maximize: functions of the logits (N, K), the true classes y (N,) and target classes
t (N,).

Each gives (N,) float32, as TensorFlow operations. Cross-entropy underflows where logits are large; the
difference-of-logits ratio (DLR, Croce & Hein 2020, arXiv:2003.01690) does not depend on their scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Loss = Callable[[Any, Any, Any], Any]

_FAR = 1e9
"""Removes a class from a maximum."""


def cross_entropy(logits: Any, y: Any, t: Any) -> Any:
    """-log softmax(z)_y, in nats."""
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)


def margin(logits: Any, y: Any, t: Any) -> Any:
    """Largest other logit minus the true one: positive where the sample is misclassified."""
    import tensorflow as tf

    true = tf.one_hot(y, tf.shape(logits)[1])
    return tf.reduce_max(logits - _FAR * true, axis=1) - tf.reduce_sum(logits * true, axis=1)


def targeted_margin(logits: Any, y: Any, t: Any) -> Any:
    """The target's logit minus the true one."""
    import tensorflow as tf

    return _logit(tf, logits, t) - _logit(tf, logits, y)


def logit(logits: Any, y: Any, t: Any) -> Any:
    """The target's logit, whose gradient is a row of the Jacobian."""
    import tensorflow as tf

    return _logit(tf, logits, t)


def dlr(logits: Any, y: Any, t: Any) -> Any:
    """(max_{j != y} z_j - z_y) / (z_1st - z_3rd). With two classes, the margin."""
    import tensorflow as tf

    if logits.shape[1] < 3:
        return margin(logits, y, t)
    top = tf.math.top_k(logits, 3).values
    return margin(logits, y, t) / (top[:, 0] - top[:, 2] + 1e-12)


def targeted_dlr(logits: Any, y: Any, t: Any) -> Any:
    """(z_t - z_y) / (z_1st - (z_3rd + z_4th) / 2). With fewer than four classes, the targeted margin."""
    import tensorflow as tf

    if logits.shape[1] < 4:
        return targeted_margin(logits, y, t)
    top = tf.math.top_k(logits, 4).values
    return targeted_margin(logits, y, t) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)


def _logit(tf: Any, logits: Any, classes: Any) -> Any:
    return tf.gather(logits, classes, axis=1, batch_dims=1)


LOSSES: dict[str, Loss] = {
    "ce": cross_entropy,
    "margin": margin,
    "targeted-margin": targeted_margin,
    "dlr": dlr,
    "logit": logit,
    "targeted-dlr": targeted_dlr,
}
