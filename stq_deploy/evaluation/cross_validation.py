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

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, check_output, read_bounded, write_whole
from stq_deploy.datasets import load_dataset
from stq_deploy.datasets.samples import SampleSet, dataset_metadata
from stq_deploy.evaluation.engines import Engine
from stq_deploy.evaluation.float_model import FloatModel
from stq_deploy.evaluation.scores import Accuracy
from stq_deploy.research.attacks.base import Attack
from stq_deploy.research.attacks.craft import Target, craft
from stq_deploy.research.attacks.transfer import Transfer
from stq_deploy.research.training import Reporter, TrainingConfig, train
from stq_deploy.research.training import result as training_result
from stq_deploy.research.training.data import split
from stq_deploy.research.training.folds import CrossValidationFold
from stq_deploy.research.training.progress import Silent

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

    def fold(self, number: int) -> TrainingConfig:
        """The training of fold `number` (from 0)."""
        out = self.training.out / f"fold_{number + 1:02d}"
        return dataclasses.replace(self.training, out=out, fold=CrossValidationFold(number, self.folds))


def cross_validate(
    validation: CrossValidation,
    engine: Engine,
    on_fold: Callable[[int, dict[str, Any]], None] = lambda *_: None,
    reporter: Callable[[], Reporter] = Silent,
) -> dict[str, Any]:
    """Train and score every fold not yet done; write RESULT_FILE into the folder, and return what it holds.

    `on_fold` gets each fold's number (from 0) and scores as they arrive; `reporter` makes, wherever the engine trains,
    the reporter of each fold's training. Raises StqError as training and attacks do,
    and before anything is trained if the data cannot be attacked.
    """
    _check_attackable(validation)
    path = validation.training.out / RESULT_FILE
    check_output(path, what="the result of a cross validation", recognize=_is_result, force_option=False)
    scores: dict[int, dict[str, Any]] = {}
    for number, found in engine(_FoldTask(validation, reporter), range(validation.folds)):
        scores[number] = found
        on_fold(number, found)
    folds = [scores[number] for number in sorted(scores)]
    result = {
        "training": validation.training.as_record(),
        "attacks": _describe(validation),
        "folds": folds,
        "procedures": {name: spread([fold[name]["top1"] for fold in folds]) for name in (CLEAN, *validation.attacks)},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git_commits": _commits(validation),
        "versions": training_result.versions(),
    }
    write_whole(path, json.dumps(result, indent=1) + "\n")
    return result


def spread(shares: Sequence[float]) -> dict[str, Any]:
    """Mean, variance (n - 1) and Student's 95 % interval of the mean, in percent, of accuracies (0 .. 1), one per fold.

    Folds share most of their training samples, so the interval is too narrow. See Bengio & Grandvalet, "No Unbiased
    Estimator of the Variance of K-Fold Cross-Validation", JMLR 5, 2004.
    """
    from scipy import stats

    percent = 100 * np.asarray(shares, np.float64)
    mean, variance = float(percent.mean()), float(percent.var(ddof=1))
    half = float(stats.t.ppf(0.975, len(percent) - 1)) * (variance / len(percent)) ** 0.5
    return {"mean": mean, "variance": variance, "interval95": [mean - half, mean + half]}


@dataclass(frozen=True)
class _FoldTask:
    """An engine's work for a fold's number, possibly in another process."""

    validation: CrossValidation
    reporter: Callable[[], Reporter]

    def __call__(self, number: int) -> dict[str, Any]:
        config = self.validation.fold(number)
        path = config.out / _SCORES_FILE
        record = {"training": config.as_record(), "attacks": _describe(self.validation)}
        done = _read(path)
        if done is not None and all(done.get(key) == value for key, value in record.items()):
            scores: dict[str, Any] = done["scores"]
            return scores
        reporter = self.reporter()
        result = train(config, reporter, resume=True)
        right = round(result["test_accuracy"] * result["test_samples"])
        scores = {CLEAN: Accuracy(right, result["test_samples"]).as_json()}
        if self.validation.attacks:
            scores |= self._attacked(config, reporter)
        write_whole(path, json.dumps(record | {"scores": scores}, indent=1) + "\n")
        return scores

    def _attacked(self, config: TrainingConfig, reporter: Reporter) -> dict[str, Any]:
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
            correct = made.metadata["float_model"]["correct"]["attacked"]
            scores[name] = Accuracy(correct, len(made)).as_json()
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


def _commits(validation: CrossValidation) -> list[str]:
    """Commits of the code that trained the folds, several if it was resumed; unknown ones are left out."""
    records = [
        json.loads((validation.fold(number).out / training_result.RESULT_FILE).read_text(encoding="utf-8"))
        for number in range(validation.folds)
    ]
    return sorted({record["git_commit"] for record in records if record["git_commit"]})


def _describe(validation: CrossValidation) -> dict[str, Any]:
    """JSON-ready: every attack's settings, and on how many samples."""
    return {
        "samples": validation.attack_samples,
        "settings": {name: attack.settings for name, attack in validation.attacks.items()},
    }


def _is_result(path: Path) -> bool:
    try:
        found = json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))
    except (OSError, ValueError, RecursionError, StqError):
        return False
    return isinstance(found, dict) and {"training", "folds", "procedures"} <= found.keys()


def _read(path: Path) -> dict[str, Any] | None:
    """A finished fold's scores; None if there are none, or the file is not whole."""
    try:
        found = json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "scores" in found else None
