"""K-fold cross validation: one training a fold, scored clean and under attacks, as in the paper's Table V.

Every fold has its own folder. Finished steps are not repeated, and an interrupted training continues where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stq_deploy.common.checked_json import Checked
from stq_deploy.common.errors import StqError
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, check_output, read_bounded, write_whole
from stq_deploy.datasets import load_dataset
from stq_deploy.datasets.samples import SampleSet, dataset_metadata
from stq_deploy.evaluation.engines import Engine
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.scores import Accuracy
from stq_deploy.research.attacks.abstract_attack import Attack, AttackSetting
from stq_deploy.research.attacks.craft import Target, craft
from stq_deploy.research.attacks.transfer import Transfer
from stq_deploy.research.training import FinishedRun, Reporter, TrainingConfig, train
from stq_deploy.research.training import result as training_result
from stq_deploy.research.training.data import split
from stq_deploy.research.training.folds import CrossValidationFold
from stq_deploy.research.training.progress import Silent
from stq_deploy.zoo.run_record import RunSettings

CLEAN = "none"
RESULT_FILE = "cross_validation.json"
_SCORES_FILE = "scores.json"


@dataclass(frozen=True)
class CrossValidation:
    """The settings of a cross validation.

    Attributes:
        training: of every fold; its `out` is the folder of the whole, its seed also parts the data set.
        folds: how many.
        attacks: by name, beside the clean samples.
        attack_samples: of each fold's test part, drawn by the seed, that are attacked; None for all.
    """

    training: TrainingConfig
    folds: int = 10
    attacks: Mapping[str, Attack] = dataclasses.field(default_factory=dict)
    attack_samples: int | None = None

    @property
    def attacked(self) -> FoldAttacks:
        """For records: the attacks with their settings."""
        return FoldAttacks(self.attack_samples, {name: attack.settings for name, attack in self.attacks.items()})

    def fold(self, number: int) -> TrainingConfig:
        """The training of fold `number` (from 0)."""
        out = self.training.out / f"fold_{number + 1:02d}"
        return dataclasses.replace(self.training, out=out, fold=CrossValidationFold(number, self.folds))


FoldScores = Mapping[str, Accuracy]
"""Scores of a fold's model: of its test part under `CLEAN`, of attacked samples under each attack's name."""


@dataclass(frozen=True)
class FoldAttacks:
    """The attacks on each fold's model.

    Attributes:
        samples: how many are attacked; None for all.
        settings: name of an attack -> its settings.
    """

    samples: int | None
    settings: Mapping[str, Mapping[str, AttackSetting]]

    def to_json(self) -> dict[str, Any]:
        """For records."""
        return {"samples": self.samples, "settings": {name: dict(one) for name, one in self.settings.items()}}


@dataclass(frozen=True)
class Spread:
    """Accuracy over folds, in percent.

    Attributes:
        mean, variance: of the folds (n - 1).
        interval95: Student's interval of the mean.
    """

    mean: float
    variance: float
    interval95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """For records."""
        return {"mean": self.mean, "variance": self.variance, "interval95": list(self.interval95)}


@dataclass(frozen=True)
class CrossValidationResult:
    """What RESULT_FILE holds.

    Attributes:
        training: the settings of every fold's training.
        attacks: the attacks on every fold's model.
        folds: the scores of each.
        procedures: `CLEAN` or name of an attack -> accuracy over the folds.
        command: the command line, with the program's name only.
        git_commits: of the code that trained the folds.
        versions: package -> version.
    """

    training: RunSettings
    attacks: FoldAttacks
    folds: tuple[FoldScores, ...]
    procedures: Mapping[str, Spread]
    command: tuple[str, ...]
    git_commits: tuple[str, ...]
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "training": self.training.to_json(),
            "attacks": self.attacks.to_json(),
            "folds": [_scores_to_json(fold) for fold in self.folds],
            "procedures": {name: found.to_json() for name, found in self.procedures.items()},
            "command": list(self.command),
            "git_commits": list(self.git_commits),
            "versions": dict(self.versions),
        }


def cross_validate(
    validation: CrossValidation,
    engine: Engine,
    on_fold: Callable[[int, FoldScores], None] = lambda *_: None,
    reporter: Callable[[], Reporter] = Silent,
) -> CrossValidationResult:
    """Train and score every fold not yet done; write RESULT_FILE into the folder, and return what it holds.

    `on_fold` gets each fold's number (from 0) and scores as they arrive; `reporter` makes, wherever the engine trains,
    the reporter of each fold's training. Raises StqError as training and attacks do,
    and before anything is trained if the data cannot be attacked.
    """
    _check_attackable(validation)
    path = validation.training.out / RESULT_FILE
    check_output(path, what="the result of a cross validation", recognize=_is_result, force_option=False)
    scores: dict[int, FoldScores] = {}
    for number, found in engine(_FoldTask(validation, reporter), range(validation.folds)):
        scores[number] = found
        on_fold(number, found)
    folds = tuple(scores[number] for number in sorted(scores))
    result = CrossValidationResult(
        training=validation.training.settings,
        attacks=validation.attacked,
        folds=folds,
        procedures={name: spread([fold[name].share for fold in folds]) for name in (CLEAN, *validation.attacks)},
        command=(Path(sys.argv[0]).name, *sys.argv[1:]),
        git_commits=_commits(validation),
        versions=training_result.versions(),
    )
    write_whole(path, json.dumps(result.to_json(), indent=1) + "\n")
    return result


def spread(shares: Sequence[float]) -> Spread:
    """Mean, variance (n - 1) and Student's 95 % interval of the mean, in percent, of accuracies (0 .. 1), one per fold.

    Folds share most of their training samples, so the interval is too narrow. See Bengio & Grandvalet, "No Unbiased
    Estimator of the Variance of K-Fold Cross-Validation", JMLR 5, 2004.
    """
    from scipy import stats

    percent = 100 * np.asarray(shares, np.float64)
    mean, variance = float(percent.mean()), float(percent.var(ddof=1))
    half = float(stats.t.ppf(0.975, len(percent) - 1)) * (variance / len(percent)) ** 0.5
    return Spread(mean, variance, (mean - half, mean + half))


@dataclass(frozen=True)
class _FoldTask:
    """An engine's work for a fold's number, possibly in another process."""

    validation: CrossValidation
    reporter: Callable[[], Reporter]

    def __call__(self, number: int) -> FoldScores:
        config = self.validation.fold(number)
        path = config.out / _SCORES_FILE
        done = _read_scores(path, config.settings, self.validation.attacked)
        if done is not None:
            return done
        reporter = self.reporter()
        result = train(config, reporter, resume=True)
        assert isinstance(result, FinishedRun)  # it was not asked to stop
        scores = {CLEAN: Accuracy(round(result.test_accuracy * result.test_samples), result.test_samples)}
        if self.validation.attacks:
            scores |= self._attacked(config, reporter)
        _write_scores(path, config.settings, self.validation.attacked, scores)
        return scores

    def _attacked(self, config: TrainingConfig, reporter: Reporter) -> FoldScores:
        """Accuracy of the float model under each attack."""
        limited = dataclasses.replace(config, test_limit=self.validation.attack_samples)
        dataset = load_dataset(config.dataset, config.data)
        data = split(dataset, limited)
        clean = SampleSet(data.x_test, data.y_test, dataset_metadata(dataset))
        model = FloatModel(config.out / training_result.MODEL_FILE)
        target = Target(model.keras, model.name, model.file_sha256, model.input_format, None)
        scores = {}
        for name, attack in self.validation.attacks.items():
            reporter.note(f"attacking {len(clean)} samples with {attack.title}")
            made = craft(target, clean, attack, seed=config.seed, storage="float32")
            correct = made.correct["attacked"]
            scores[name] = Accuracy(correct, len(made))
        return scores


def _check_attackable(validation: CrossValidation) -> None:
    config = validation.training
    if Transfer.name in validation.attacks:
        raise StqError(
            "the attack transfer needs another model, and every fold has its own",
            next="attack a fold's model with `stq-deploy attack --attack transfer --from MODEL`",
        )
    if validation.attacks and load_dataset(config.dataset, config.data).feature_range is not None:
        raise StqError(
            f"the samples of {config.dataset} are features, and attacks change pixels",
            next="leave --attack out: cross validation then measures clean accuracy only",
        )


def _commits(validation: CrossValidation) -> tuple[str, ...]:
    """Commits of the code that trained the folds, several if it was resumed; unknown ones are left out."""
    files = [validation.fold(number).out / training_result.RESULT_FILE for number in range(validation.folds)]
    commits = {json.loads(file.read_text(encoding="utf-8"))["git_commit"] for file in files}
    return tuple(sorted(filter(None, commits)))


def _is_result(path: Path) -> bool:
    try:
        found = json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))
    except (OSError, ValueError, RecursionError, StqError):
        return False
    return isinstance(found, dict) and {"training", "folds", "procedures"} <= found.keys()


def _write_scores(path: Path, training: RunSettings, attacks: FoldAttacks, scores: FoldScores) -> None:
    record = {"training": training.to_json(), "attacks": attacks.to_json(), "scores": _scores_to_json(scores)}
    write_whole(path, json.dumps(record, indent=1) + "\n")


def _read_scores(path: Path, training: RunSettings, attacks: FoldAttacks) -> FoldScores | None:
    """A finished fold's scores; None if there are none of these settings, or the file is not whole."""
    try:
        found = Checked(json.loads(read_bounded(path, MAXIMUM_JSON_BYTES)))
        # Through JSON, which has no tuples.
        wanted = json.loads(json.dumps({"training": training.to_json(), "attacks": attacks.to_json()}))
        if any(found.at(key).value != value for key, value in wanted.items()):
            return None
        scores = found.at("scores").members()
        return {name: Accuracy(score.at("correct").count(), score.at("total").count()) for name, score in scores}
    except (OSError, ValueError, RecursionError):
        return None


def _scores_to_json(scores: FoldScores) -> dict[str, Any]:
    return {name: score.to_json() for name, score in scores.items()}
