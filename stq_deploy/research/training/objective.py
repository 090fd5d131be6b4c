"""The loss that a step minimizes."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from stq_deploy.research.training.inputs import GRAY_LEVELS
from stq_deploy.research.training.interval_bounds import IntervalNetwork, worst_logits
from stq_deploy.research.training.jacobian import JacobianProbe
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.zoo.networks import logits_view


class Objective:
    """The loss of a training call of `model`, by a recipe.

    For samples it is (1 - a) H(y, p) + a T^2 KL(p_teacher(T) || p(T)), probabilities p(T) of the logits / T (Hinton et
    al. 2015); a and T are the recipe's distillation and its temperature. Everything is computed from the logits, for
    their numerical range. Added are l/2 |dz/dx|^2 (`jacobian`), and the same for every inner layer's input
    (`jacobian_layers`).

    With attacked samples, this is their loss, mixed with a share `clean_share` of the clean samples' own. With `trades`
    it is the clean samples' loss plus trades x KL(p(clean) || p(attacked)) (Zhang et al. 2019, arXiv:1901.08573).
    Clean and attacked samples go through the network in one batch, so batch norms see both, as they do in inference.

    With `certified_share` k, the loss is (1 - k r) times the samples' loss plus k r times the worst logits'
    cross-entropy. Interval bounds within eps give the worst logits (Gowal et al. 2018, arXiv:1810.12715); r is eps as a
    part of the whole budget.
    """

    def __init__(self, model: Any, recipe: Recipe) -> None:
        self._call = _PenalizedCall(model, recipe)
        self._share, self._temperature = recipe.distillation, recipe.distillation_temperature
        self._clean_share, self._trades = recipe.clean_share, recipe.trades
        self._certified_share = recipe.certified_share
        self._budget = recipe.adversary_eps / GRAY_LEVELS
        self._intervals = IntervalNetwork(model) if recipe.certified_share else None

    def __call__(self, inputs: Any, labels: Any, taught: Any, attacked: Any = None, eps: Any = None) -> tuple[Any, Any]:
        """Scalar loss, and the logits (B, classes) of the samples, or of the attacked ones if there are any.

        Args:
            inputs, attacked: (B, H, W, C) float32; attacked may be None.
            labels: (B, classes).
            taught: the teacher's logits (B, classes) of the clean samples, or None.
            eps: scalar, half the width of the intervals in units of the inputs; needed only with `certified_share`.
        """
        if self._intervals is not None:
            bounds = self._intervals(inputs, eps, training=True)
            share = self._certified_share * eps / self._budget
            worst = tf.nn.softmax_cross_entropy_with_logits(labels, worst_logits(bounds, labels))
            loss = (1.0 - share) * self._loss(bounds.clean, labels, taught) + share * tf.reduce_mean(worst)
            return loss, bounds.clean
        if attacked is None:
            logits, penalty = self._call(inputs)
            return self._loss(logits, labels, taught) + penalty, logits
        if not self._trades and not self._clean_share:
            logits, penalty = self._call(attacked)
            return self._loss(logits, labels, taught) + penalty, logits
        both, penalty = self._call(tf.concat([inputs, attacked], 0))
        clean, logits = tf.split(both, 2)
        loss = self._loss(clean, labels, taught)
        if self._trades:
            loss = loss + self._trades * _divergence(clean, logits)
        else:
            loss = self._clean_share * loss + (1.0 - self._clean_share) * self._loss(logits, labels, taught)
        return loss + penalty, logits

    def threat(self, logits: Any, labels: Any, taught: Any, clean: Any) -> Any:
        """The adversary's objective: the attacked samples' part of the loss, summed over the batch.

        Args:
            clean: the network's logits of the clean samples, needed only with `trades`.
        """
        count = tf.cast(tf.shape(logits)[0], tf.float32)
        return count * (_divergence(clean, logits) if self._trades else self._loss(logits, labels, taught))

    @property
    def threat_needs_clean(self) -> bool:
        """Whether `threat` compares with the clean samples' logits."""
        return self._trades > 0

    def _loss(self, logits: Any, labels: Any, taught: Any) -> Any:
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
        if taught is not None:
            divergence = _divergence(taught / self._temperature, logits / self._temperature)
            loss = (1.0 - self._share) * loss + self._share * self._temperature**2 * divergence
        return loss


def make_objective(model: Any, recipe: Recipe) -> Objective:
    """The recipe's, for `model`."""
    return Objective(model, recipe)


class _PenalizedCall:
    """A training call of a model: its logits and the penalty on their Jacobians."""

    def __init__(self, model: Any, recipe: Recipe) -> None:
        self._recipe = recipe
        self._view = logits_view(model)
        self._probe: JacobianProbe | None = None
        if recipe.jacobian or recipe.jacobian_layers:
            layers = recipe.jacobian_layers > 0
            self._probe = JacobianProbe(model, layers=layers, projections=recipe.jacobian_projections)

    def __call__(self, inputs: Any) -> tuple[Any, Any]:
        if self._probe is None:
            return self._view(inputs, training=True), 0.0
        logits, by_input, by_layers = self._probe(inputs, training=True)
        return logits, (self._recipe.jacobian * by_input + self._recipe.jacobian_layers * by_layers) / 2.0


def _divergence(teacher: Any, student: Any) -> Any:
    """Mean KL(softmax(teacher) || softmax(student)) over the batch."""
    difference = tf.nn.log_softmax(teacher) - tf.nn.log_softmax(student)
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(teacher) * difference, -1))
