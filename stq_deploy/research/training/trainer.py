"""A training run from its settings to its files; resumable, and bit-identical for the same seed."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import load_dataset
from stq_deploy.research.quantizers import noise
from stq_deploy.research.quantizers.bfloat16 import allow_bfloat16
from stq_deploy.research.quantizers.fast import use_fast_activations
from stq_deploy.research.quantizers.gradual import GradualQuantization
from stq_deploy.research.quantizers.sparse import SparseKernels
from stq_deploy.research.quantizers.straight_input import pass_gradient_through_input
from stq_deploy.research.training import checkpoint, result
from stq_deploy.research.training.activation_ranges import fit_activations
from stq_deploy.research.training.adversary import Adversary
from stq_deploy.research.training.augment import Augmenter
from stq_deploy.research.training.averaging import WeightAverage
from stq_deploy.research.training.batches import epoch_batches
from stq_deploy.research.training.config import TrainingConfig
from stq_deploy.research.training.data import split
from stq_deploy.research.training.early_stop import EarlyStop
from stq_deploy.research.training.epoch import run_epoch
from stq_deploy.research.training.epoch_record import EpochRecord
from stq_deploy.research.training.inputs import GRAY_LEVELS, to_input
from stq_deploy.research.training.objective import make_objective
from stq_deploy.research.training.progress import Reporter, Several, Silent
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.research.training.result import FinishedRun, UnfinishedRun
from stq_deploy.research.training.schedule import cosine, geometric, ramp, stage, warm_up
from stq_deploy.research.training.settle import settle
from stq_deploy.research.training.source_model import take_weights
from stq_deploy.research.training.step import make_optimizer, make_step
from stq_deploy.research.training.teacher import Teacher
from stq_deploy.research.training.tensorboard import TensorBoard
from stq_deploy.research.training.validation import Validator
from stq_deploy.zoo.networks import build_network
from stq_deploy.zoo.run_record import RunSettings
from stq_deploy.zoo.schemes import Scheme

_FIT_SAMPLES = 512
"""Training samples whose activations `fit_activations` uses."""


def train(
    config: TrainingConfig,
    progress: Reporter | None = None,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    tensorboard: bool = False,
    keep_teaching: Path | None = None,
) -> FinishedRun | UnfinishedRun:
    """Run the training that `config` describes, or with `resume` continue it; return the result.

    Writes into `config.out`: checkpoint.npz and history.jsonl after every epoch, model.h5 and result.json at
    the end. The model's accuracy on the test part is measured once, after the last epoch; nothing is chosen
    by it. `stop_after` ends the work after that many epochs in all and leaves a checkpoint (for tests and budgets). The
    record is then that of an unfinished run, and no model is written. `tensorboard` also writes the history for
    TensorBoard. `keep_teaching` is a folder for the teacher's answers (see `Teacher`), which does
    not change the result. Raises StqError: data or files missing or unfit, a checkpoint of other settings, a run
    already there.
    """
    reporter = progress or Silent()
    try:
        run = _TrainingRun(config, reporter, resume, keep_teaching)
        if tensorboard:
            reporter = run.reporter = Several(reporter, TensorBoard(config.out))
        return run.go(stop_after)
    finally:
        reporter.close()


class _TrainingRun:
    def __init__(self, config: TrainingConfig, reporter: Reporter, resume: bool, keep_teaching: Path | None) -> None:
        self.config = config
        self.keep_teaching = keep_teaching
        self.recipe = config.recipe
        self.reporter = reporter
        self.checkpoint = config.out / result.CHECKPOINT_FILE
        if self.checkpoint.exists() and not resume:
            raise StqError(
                "there is a training run in the output folder already",
                where=str(config.out),
                next="continue it with --resume, or choose another --out",
            )
        result.check_free(config.out)
        self.history: list[EpochRecord] = []
        if self.checkpoint.exists():
            self._check_settings()
        config.out.mkdir(parents=True, exist_ok=True)
        self.dataset = load_dataset(config.dataset, config.data)
        self._check_samples()
        self.data = split(self.dataset, config)
        self._build()
        if self.checkpoint.exists():
            checkpoint.restore(self.checkpoint, self._state())
            reporter.note(f"resuming after epoch {len(self.history)}")

    def _check_settings(self) -> None:
        """Take over the history of the run to resume, if it is the same run."""
        saved = checkpoint.read_progress(self.checkpoint)
        then, now = _flat(saved.settings), _flat(self.config.settings)
        changed = [name for name in now if now[name] != then.get(name)]
        if changed:
            raise StqError(
                "the run to resume had other settings",
                where=str(self.checkpoint),
                cause="; ".join(f"{name}: {then.get(name)} then, {now[name]} now" for name in changed),
                next="resume with the same settings, or choose another --out",
            )
        self.history = saved.history

    def _check_samples(self) -> None:
        if (self._attacks() or self.recipe.noise) and self.dataset.x_train.dtype != np.uint8:
            raise StqError(
                "the recipe attacks samples, or makes them noisy, that are not pixels",
                where=self.dataset.source,
                cause="adversary_eps and noise are in gray levels, and these samples are features",
                next="train with --set adversary=none --set robust_validation_samples=0 --set noise=0.0",
            )

    def _attacks(self) -> bool:
        recipe = self.recipe
        return recipe.adversary != "none" or recipe.certified_share > 0 or recipe.robust_validation_samples > 0

    def _build(self) -> None:
        config, recipe = self.config, self.recipe
        tf_keras.utils.set_random_seed(config.seed)
        noise.set_state(noise.NoiseState(seed=config.seed))
        classes = len(self.dataset.class_names)
        self.model = build_network(
            config.network,
            scheme=config.quantization,
            classes=classes,
            input_shape=self.dataset.input_shape,
            variant=config.variant,
            features=self.dataset.feature_range is not None,
        )
        if recipe.warm_start is not None:
            source = take_weights(self.model, recipe.warm_start)
            self.warm_start_sha256 = source.sha256
            if recipe.fit_activations:
                x = to_input(tf.constant(self.data.x_train[:_FIT_SAMPLES])).numpy()
                fit_activations(self.model, source.keras, x)
        self.teacher = self._teacher()
        use_fast_activations(self.model)
        allow_bfloat16(self.model)
        if self._attacks():
            pass_gradient_through_input(self.model)
        # Created before anything is traced, so that the step sees the quantizers it installs.
        self.gradual = GradualQuantization(self.model) if recipe.stochastic == "gradual" else None
        self.sparse = self._sparse_kernels()
        self.optimizer = make_optimizer(self.model, recipe)
        self.average = WeightAverage(self.model, recipe.average_decay)
        self.early_stop = EarlyStop(
            self.model.trainable_variables,
            recipe.patience,
            keep_best=recipe.robust_validation_samples > 0,
            first=0 if self.sparse is None else math.ceil(recipe.sparsity_ramp * recipe.epochs) - 1,
        )
        objective = make_objective(self.model, recipe)
        self.adversary = None if recipe.adversary == "none" else Adversary(self.model, objective, recipe)
        self.step = make_step(self.model, self.optimizer, objective, self.average, recipe, self.adversary)
        self.validator = Validator(self.model, self.data, recipe, self.adversary, self.teacher)
        self.augmenter = Augmenter(self.data.x_train, self.data.y_train, classes, recipe)

    def _sparse_kernels(self) -> SparseKernels | None:
        recipe = self.recipe
        if not recipe.sparsity:
            return None
        steps = recipe.epochs * self._steps()
        return SparseKernels(self.model, recipe.sparsity, math.ceil(recipe.sparsity_ramp * steps))

    def _steps(self) -> int:
        """Steps of an epoch."""
        return max(len(self.data.y_train) // self.recipe.batch_size, 1)

    def _teacher(self) -> Teacher | None:
        if not self.recipe.distillation:
            return None
        source = self.recipe.teacher or self.recipe.warm_start
        if source is None:
            raise StqError(
                "the recipe distils, but there is no teacher",
                next="give a trained model to start from (--warm-start), or one to learn from (--teacher)",
            )
        return Teacher(source, self.model, self.recipe, self.keep_teaching)

    def _state(self) -> checkpoint.VariableGroups:
        """Every variable that decides how the run continues."""
        return {
            "weight": self.model.weights,
            "optimizer": self.optimizer.variables,
            "average": self.average.variables,
            "best": self.early_stop.variables,
            "mask": self.sparse.variables if self.sparse else [],
        }

    def go(self, stop_after: int | None) -> FinishedRun | UnfinishedRun:
        config, recipe = self.config, self.recipe
        steps = self._steps()
        self.reporter.start(
            f"training {config.network}/{config.variant}, scheme {config.scheme}"
            f"{'' if config.fold is None else f', fold {config.fold}'}: {recipe.epochs} epochs "
            f"of {steps} steps on {len(self.augmenter)} samples of {config.dataset}",
            recipe.epochs,
            steps,
        )
        last = recipe.epochs if stop_after is None else min(stop_after, recipe.epochs)
        while len(self.history) < last and not self.early_stop.is_due(self.history):
            self._epoch(len(self.history), steps)
        if len(self.history) == recipe.epochs or self.early_stop.is_due(self.history):
            return self._finish()
        return UnfinishedRun(len(self.history))

    def _epoch(self, epoch: int, steps: int) -> None:
        config, recipe = self.config, self.recipe
        started = time.monotonic()
        total = recipe.epochs * steps
        temperature = geometric(recipe.temperature_start, recipe.temperature_end, epoch / max(recipe.epochs - 1, 1))
        noise.set_temperature_factor(temperature / config.quantization.temperature)
        noise.set_share(stage(recipe.gradual_shares, epoch, recipe.epochs))

        def rate(step: int) -> float:
            done = epoch * steps + step
            full = cosine(recipe.learning_rate, recipe.final_learning_rate, done / total)
            return full * warm_up(done, recipe.warm_up_steps)

        has_budget = recipe.adversary != "none" or recipe.certified_share > 0

        def eps(step: int) -> float:
            return recipe.adversary_eps / GRAY_LEVELS * ramp((epoch * steps + step + 1) / total, recipe.eps_ramp)

        def stepped(step: int, loss: float) -> None:
            if self.sparse is not None:
                self.sparse.after(epoch * steps + step + 1)
            self.reporter.step(epoch, step, loss)

        trained = run_epoch(
            self.step,
            epoch_batches(self.augmenter, recipe.batch_size, config.seed, epoch),
            self.teacher,
            rate,
            stepped,
            eps if has_budget else None,
        )
        with self.average.in_place():
            record = EpochRecord(
                epoch=epoch + 1,
                train_loss=trained.loss,
                train_accuracy=trained.accuracy,
                learning_rate=rate(steps - 1),
                temperature=temperature if self._draws() else None,
                quantized_share=self.gradual.quantized_share() if self.gradual else None,
                adversary_eps=round(GRAY_LEVELS * eps(steps - 1), 3) if has_budget else None,
                validated=self.validator.validate(),
                seconds=round(time.monotonic() - started, 1),
                nonzero_share=self.sparse.nonzero_share() if self.sparse else None,
            )
            self.history.append(record)
            self.early_stop.watch(self.history)
        progress = checkpoint.TrainingState(epoch + 1, config.settings, self.history)
        checkpoint.save(self.checkpoint, self._state(), progress)
        result.write_history(config.out / result.HISTORY_FILE, self.history)
        self.reporter.epoch(record)

    def _scheme(self) -> Scheme:
        scheme = self.config.quantization
        return scheme if self.dataset.feature_range is None else scheme.for_features

    def _built_on(self) -> dict[str, str]:
        """SHA-256 of the files that the recipe names, as read, because a name may later mean another file."""
        files = {}
        if self.recipe.warm_start is not None:
            files["warm_start"] = self.warm_start_sha256
        if self.teacher is not None:
            files["teacher"] = self.teacher.sha256
        return files

    def _draws(self) -> bool:
        return self.recipe.stochastic == "draws" and self.config.quantization.stochastic

    def _finish(self) -> FinishedRun:
        """Final weights and statistics, the one test, and the files."""
        config = self.config
        self.average.adopt()
        self.early_stop.adopt_best()
        if self.sparse:
            self.sparse.remove()
        if self.gradual:
            self.gradual.remove()
        # Before the statistics and the test, because a scale fitted to a file's weights errs by a rounding.
        for layer in self.model.layers:
            settle(layer)
        self.validator.estimate_batch_norm(self.recipe.final_batch_norm_samples)
        path = config.out / result.MODEL_FILE
        result.save_model(self.model, path)
        accuracy = self.validator.accuracy(self.data.x_test, self.data.y_test)
        finished = FinishedRun(
            test_accuracy=accuracy,
            test_samples=len(self.data.y_test),
            train_samples=len(self.data.y_train),
            classes=tuple(self.dataset.class_names),
            dataset_source=Path(self.dataset.source).name,
            quantizers=self._scheme().quantizers,
            parameters=self.model.count_params(),
            epochs_done=len(self.history),
            last_epoch=self.history[-1],
            training_seconds=round(sum(record.seconds for record in self.history), 1),
            config=config.settings,
            model_sha256=result.sha256(path),
            built_on_sha256=self._built_on(),
            versions=result.versions(),
            git_commit=result.git_commit(),
            command=(Path(sys.argv[0]).name, *sys.argv[1:]),
        )
        result.write_json(config.out / result.RESULT_FILE, finished)
        self.reporter.note(f"test accuracy {100 * accuracy:.2f} % of {len(self.data.y_test)} samples; wrote {path}")
        return finished


def _flat(settings: RunSettings) -> dict[str, object]:
    """A run's settings by name, with the recipe's entries in place of the recipe.

    An entry that recipes did not have when the run began has its default, which changes nothing.
    """
    own = {name: value for name, value in settings.to_json().items() if name not in ("recipe", "recipe_sha256")}
    return own | Recipe().entries() | dict(settings.recipe)
