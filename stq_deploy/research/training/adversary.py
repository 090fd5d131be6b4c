"""Adversarial samples for training: each batch is attacked with the present network, before the step is taken.

- fgsm-rs: a uniform random start within eps, then one step along the gradient's sign, clipped to eps (Wong, Rice &
  Kolter 2020, arXiv:2001.03994).
- n-fgsm: a random start within twice eps, then one step, not clipped (de Jorge et al. 2022, arXiv:2202.01181). Samples
  are within 3 eps. The noise keeps the network from overfitting to single steps; less of it costs less clean accuracy.
- pgd: a random start within eps, then several steps, each clipped to eps (Madry et al. 2018, arXiv:1706.06083).

Samples are pixels in [0, 1] and stay there. They are not rounded to gray levels while training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from stq_deploy.research.quantizers import noise
from stq_deploy.research.training.objective import Objective
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.zoo.networks import logits_view


class Adversary:
    """Makes attacked samples by a recipe's `adversary`; they maximize the loss that the step then minimizes.

    The network is called as in training, with the batch's own statistics, but with settled kernels. The running
    averages describe drawn kernels, so inference mode would attack another network. A draw of the attack's own would
    not be the draw of the step. Gradients pass straight through the quantizers, also the input's
    (`quantizers.straight_input`).
    """

    def __init__(self, model: Any, objective: Objective, recipe: Recipe) -> None:
        self._view = logits_view(model)
        self._objective = objective
        self._kind = recipe.adversary
        self._steps = recipe.adversary_steps if recipe.adversary == "pgd" else 1
        self._step = step_size(recipe)
        self._start = start_size(recipe)

    def __call__(self, inputs: Any, labels: Any, taught: Any, eps: Any) -> Any:
        """Attacked samples (B, H, W, C), float32 in [0, 1], of `inputs`.

        Args:
            inputs: (B, H, W, C) float32 in [0, 1].
            labels: (B, classes).
            taught: the teacher's logits (B, classes), or None.
            eps: a scalar, in units of the inputs: gray levels / 255.
        """
        clean = None
        if self._objective.threat_needs_clean:
            clean = tf.stop_gradient(self._logits(inputs))
        attacked = tf.clip_by_value(inputs + random_start(tf.shape(inputs), self._start * eps), 0.0, 1.0)
        for _ in range(self._steps):
            gradient = sign_of_gradient(
                lambda x: self._objective.threat(self._logits(x), labels, taught, clean),
                attacked,
            )
            attacked = attacked + self._step * eps * gradient
            if self._kind != "n-fgsm":
                attacked = within(attacked, inputs, eps)
            attacked = tf.clip_by_value(attacked, 0.0, 1.0)
        return tf.stop_gradient(attacked)

    def _logits(self, inputs: Any) -> Any:
        with noise.deterministic():
            return self._view(inputs, training=True)


def step_size(recipe: Recipe) -> float:
    """Relative to eps: the recipe's, or the one of the attack's source."""
    if recipe.adversary_step is not None:
        return recipe.adversary_step
    return {"fgsm-rs": 1.25, "n-fgsm": 1.0}.get(recipe.adversary, 2.5 / recipe.adversary_steps)


def start_size(recipe: Recipe) -> float:
    """Half the width of the random start, relative to eps: the recipe's, or the one of the attack's source."""
    if recipe.adversary_start is not None:
        return recipe.adversary_start
    return 2.0 if recipe.adversary == "n-fgsm" else 1.0


def random_start(shape: Any, eps: Any) -> Any:
    """Uniform in [-eps, eps), from the run's own numbers, which depend only on the seed and the number of draws."""
    return eps * (2.0 * noise.uniform(shape) - 1.0)


def sign_of_gradient(raised: Callable[[Any], Any], x: Any) -> Any:
    """Sign of the gradient of the scalar `raised(x)` by `x`, elementwise: -1, 0 or 1."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        value = raised(x)
    return tf.sign(tape.gradient(value, x))


def within(attacked: Any, inputs: Any, eps: Any) -> Any:
    """`attacked`, clipped to at most `eps` from `inputs`."""
    return inputs + tf.clip_by_value(attacked - inputs, -eps, eps)
