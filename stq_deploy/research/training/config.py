"""The settings of a training run: network, data, output folder and recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stq_deploy.research.training.folds import CrossValidationFold
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.zoo.run_record import RunSettings
from stq_deploy.zoo.scheme_file import SchemeFile
from stq_deploy.zoo.schemes import Scheme, get_scheme


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the result of a run, and its folder."""

    out: Path
    recipe: Recipe = field(default_factory=Recipe)
    network: str = "stq"
    variant: str = "pooled"
    scheme: str = "stq"
    scheme_layers: SchemeFile | None = None  # of a scheme by layer: what its file holds; `scheme` is the file's name
    dataset: str = "cifar10"
    data: Path | None = None  # a file or folder; None: $STQ_DEPLOY_DATA, else the public source
    seed: int = 0
    test_limit: int | None = None  # test on only this many samples (drawn by the seed), for trials
    fold: CrossValidationFold | None = None  # train and test on one part of a cross validation

    @property
    def quantization(self) -> Scheme:
        """The scheme, by role and by layer. Raises StqError: there is none of this name."""
        return get_scheme(self.scheme) if self.scheme_layers is None else self.scheme_layers.scheme(self.scheme)

    @property
    def settings(self) -> RunSettings:
        """For records: everything that decides the result."""
        return RunSettings(
            network=Path(self.network).name,
            variant=self.variant,
            scheme=self.scheme,
            scheme_layers=self.scheme_layers,
            dataset=self.dataset,
            data=None if self.data is None else Path(self.data).name,
            seed=self.seed,
            test_limit=self.test_limit,
            fold=None if self.fold is None else str(self.fold),
            recipe=self.recipe.entries(),
            recipe_sha256=self.recipe.sha256(),
        )
