"""Adversarial samples of a Keras model, judged by its network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.api.conversion import model_file
from stq_deploy.api.network import IntegerNetwork
from stq_deploy.api.samples import inputs_of, with_whole_range
from stq_deploy.api.types import PathLike
from stq_deploy.common.errors import StqError
from stq_deploy.common.files import check_output
from stq_deploy.datasets.samples import SampleSet, is_own_sample_file, save_samples
from stq_deploy.executors.numpy_executor import NumpyExecutor


@dataclass(frozen=True, eq=False)
class AttackedSamples:
    """The result of `attack`.

    Attributes
    ----------
    samples : SampleSet
        Samples with the record of the attack. Internal: its interface may change.
    clean_correct, attacked_correct : int
        Number of clean and of attacked samples that the Keras model, in float32, gets right.
    integer_correct : int
        Number of attacked samples that the integer network gets right.
    largest_change : float
        Largest distance of an attacked sample from its clean one, in the attack's norm and unit.
    """

    samples: SampleSet
    clean_correct: int
    attacked_correct: int
    integer_correct: int
    largest_change: float

    @property
    def x(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
        """The attacked samples, (N, *input shape): uint8 pixels, float32 pixels in [0, 1], or float32 features."""
        return self.samples.x

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The true classes, (N,)."""
        return self.samples.classes()

    def save(self, path: PathLike) -> None:
        """Write a sample file (.npz) for the commands, in place of a former one that an attack wrote.

        Raises
        ------
        StqError
            The file cannot be written, or another kind of file is there.
        """
        what = "a sample file that attack wrote"
        check_output(path, what=what, recognize=is_own_sample_file, parents=False, force_option=False)
        save_samples(self.samples, path)

    def __len__(self) -> int:
        return len(self.samples)

    def __str__(self) -> str:
        counts = f"the Keras model gets {self.clean_correct} right clean, {self.attacked_correct} attacked"
        return f"{self.samples.attack}: of {len(self)} samples {counts}; the integer network {self.integer_correct}"


def attack(
    net: IntegerNetwork,
    model: Any,
    x: npt.ArrayLike,
    labels: npt.ArrayLike,
    name: str = "pgd",
    *,
    seed: int = 0,
    features: bool | None = None,
    **settings: float | str,
) -> AttackedSamples:
    """Make adversarial samples of a Keras model, as `stq-deploy attack`; needs TensorFlow.

    The attack is untargeted. It follows the Keras model's gradients or answers; the network judges the result.

    Parameters
    ----------
    net : IntegerNetwork
        Converted from `model`.
    model : path or Keras model
        As for `convert`.
    x : array_like, shape (N, *input_shape)
        Clean samples, as for `IntegerNetwork.predict`. For uint8 pixels, the result is uint8 pixels as well.
    labels : array_like, shape (N,)
        True class of each sample, a whole number from 0.
    name : str
        A name of `stq-deploy attack --attack`, such as fgsm, pgd or square. `transfer` is not possible here.
    seed : int
        Seed of all random numbers.
    features : bool, optional
        As for `IntegerNetwork.predict`.
    **settings
        Settings of the attack. `eps`: largest change, in pixel units (0..1) or the features' own unit, 8/255 by
        default; `norm`: "inf", "1" or "2". docs/COMMANDS.md names the others.

    Raises
    ------
    StqError
        Unusable samples or labels, an unknown attack or setting, or a model without classes or of another input.
    """
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.evaluation.judge import judge_of
    from stq_deploy.evaluation.task import check_attackable, logit_limit
    from stq_deploy.research.attacks.craft import Target, craft
    from stq_deploy.research.attacks.registry import get_attack
    from stq_deploy.research.attacks.transfer import Transfer

    if name == Transfer.name:
        raise StqError(
            "the attack transfer needs another model's gradients",
            next="use `stq-deploy attack --attack transfer --from MODEL`, or another attack",
        )
    chosen = get_attack(name).from_text({setting: str(value) for setting, value in settings.items()})
    samples = with_whole_range(inputs_of(net.network, x, labels, features)[0], net.network.input_format)
    check_attackable(net.network.output_format)
    with model_file(model) as path:
        keras = FloatModel(path)
    target = Target(
        model=keras.keras,
        name=keras.name,
        file_sha256=keras.file_sha256,
        input_format=net.network.input_format,
        model_hash=net.model_hash,
        judge=judge_of(NumpyExecutor(net.program)),
        limit=logit_limit(net.network.output_format),
    )
    storage = "uint8" if samples.x.dtype == np.uint8 else "float32"
    made = craft(target, samples, chosen, seed=seed, storage=storage)
    correct, change = made.correct, made.largest_change
    return AttackedSamples(made, correct["clean"], correct["attacked"], correct["integer"], change[chosen.norm])
