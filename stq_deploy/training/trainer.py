"""A training run from its settings to its files: resumable, and the same bits for the same seed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import tf_keras

from stq_deploy.datasets import load_dataset
from stq_deploy.errors import StqError
from stq_deploy.quantizers import noise
from stq_deploy.quantizers.fast import use_fast_activations
from stq_deploy.training import batch_norm, checkpoint, result
from stq_deploy.training.augment import Augmenter
from stq_deploy.training.batches import epoch_batches
from stq_deploy.training.config import TrainingConfig
from stq_deploy.training.data import split
from stq_deploy.training.epoch import run_epoch
from stq_deploy.training.evaluate import Evaluator
from stq_deploy.training.progress import Reporter, Silent
from stq_deploy.training.schedule import cosine, geometric, warm_up
from stq_deploy.training.step import make_optimizer, make_step
from stq_deploy.training.warm_start import warm_start
from stq_deploy.zoo.networks import build_network
from stq_deploy.zoo.schemes import get_scheme


def train(
    config: TrainingConfig,
    progress: Reporter | None = None,
    *,
    resume: bool = False,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Run (or with `resume` go on with) the training that `config` describes; return the result record.

    Writes into `config.out`: checkpoint.npz and history.jsonl after every epoch, model.h5 and result.json at
    the end. The model's accuracy on the test part is measured once, after the last epoch; nothing is chosen
    by it. `stop_after` ends the process's work after that many epochs in all, leaving a checkpoint (for tests
    and budgets); the record is then that of an unfinished run, and no model is written. Raises StqError: data
    or files missing or unfit, a checkpoint of other settings, a run already there.
    """
    reporter = progress or Silent()
    try:
        return _Run(config, reporter, resume).go(stop_after)
    finally:
        reporter.close()


class _Run:
    def __init__(self, config: TrainingConfig, reporter: Reporter, resume: bool) -> None:
        self.config = config
        self.reporter = reporter
        self.checkpoint = config.out / result.CHECKPOINT_FILE
        if self.checkpoint.exists() and not resume:
            raise StqError(
                "there is a training run in the output folder already",
                where=str(config.out),
                next="go on with it with --resume, or choose another --out",
            )
        config.out.mkdir(parents=True, exist_ok=True)
        self.dataset = load_dataset(config.dataset, config.data)
        self.data = split(self.dataset, config)
        self._build()
        self.history: list[dict[str, Any]] = []
        self.done = 0
        if resume and self.checkpoint.exists():
            self._restore()

    def _build(self) -> None:
        config = self.config
        tf_keras.utils.set_random_seed(config.seed)
        noise.set_state(noise.NoiseState(seed=config.seed))
        self.model = build_network(
            config.network,
            scheme=config.scheme,
            classes=len(self.dataset.class_names),
            input_shape=self.dataset.input_shape,
            variant=config.variant,
        )
        if config.warm_start is not None:
            warm_start(self.model, config.warm_start)
        use_fast_activations(self.model)
        self.optimizer = make_optimizer(config.optimizer, self.model)
        self.step = make_step(self.model, self.optimizer)
        self.estimator = batch_norm.BatchNormEstimator(self.model)
        self.evaluator = Evaluator(self.model)
        self.augmenter = Augmenter(self.data.x_train, config.augment)

    def _restore(self) -> None:
        saved = checkpoint.restore(self.checkpoint, self.model, self.optimizer)
        here = self.config.as_record()
        changed = [name for name in here if here[name] != saved.settings.get(name)]
        if changed:
            raise StqError(
                "the run to resume had other settings",
                where=str(self.checkpoint),
                cause="; ".join(f"{name}: {saved.settings.get(name)} then, {here[name]} now" for name in changed),
                next="resume with the same settings, or choose another --out",
            )
        self.done = saved.epochs_done
        self.history = saved.history
        self.reporter.note(f"resuming after epoch {self.done}")

    def go(self, stop_after: int | None) -> dict[str, Any]:
        config = self.config
        steps = max(len(self.data.y_train) // config.batch_size, 1)
        self.reporter.start(
            f"training {config.network}/{config.variant}, scheme {config.scheme}: {config.epochs} epochs "
            f"of {steps} steps on {len(self.data.y_train)} samples of {config.dataset}",
            config.epochs,
            steps,
        )
        last = config.epochs if stop_after is None else min(stop_after, config.epochs)
        for epoch in range(self.done, last):
            self._epoch(epoch, steps)
        if self.done < config.epochs:
            return {"finished": False, "epochs_done": self.done}
        return self._finish()

    def _epoch(self, epoch: int, steps: int) -> None:
        config = self.config
        started = time.monotonic()
        total = config.epochs * steps
        temperature = geometric(config.temperature_start, config.temperature_end, epoch / max(config.epochs - 1, 1))
        noise.set_temperature_factor(temperature / get_scheme(config.scheme).temperature)

        def rate(step: int) -> float:
            done = epoch * steps + step
            full = cosine(config.learning_rate, config.final_learning_rate, done / total)
            return full * warm_up(done, config.warm_up_steps)

        trained = run_epoch(
            self.step,
            epoch_batches(self.augmenter, self.data.y_train, config.batch_size, config.seed, epoch),
            rate,
            lambda step, loss: self.reporter.step(epoch, step, loss),
        )
        record: dict[str, Any] = {
            "epoch": epoch + 1,
            "train_loss": trained.loss,
            "train_accuracy": trained.accuracy,
            "validation_accuracy": self._validate(),
            "learning_rate": rate(steps - 1),
            "temperature": temperature if get_scheme(config.scheme).stochastic else None,
            "seconds": round(time.monotonic() - started, 1),
        }
        self.history.append(record)
        self.done = epoch + 1
        checkpoint.save(
            self.checkpoint,
            self.model,
            self.optimizer,
            checkpoint.Progress(self.done, config.as_record(), self.history),
        )
        result.write_history(config.out / result.HISTORY_FILE, self.history)
        self.reporter.epoch(record)

    def _validate(self) -> float | None:
        """Deterministic accuracy with re-estimated batch norm; the training statistics are put back after."""
        if not len(self.data.y_validation):
            return None
        kept = batch_norm.get_statistics(self.model)
        try:
            self.estimator.estimate(self.data.x_train[: self.config.batch_norm_samples])
            return self.evaluator.accuracy(self.data.x_validation, self.data.y_validation)
        finally:
            batch_norm.set_statistics(self.model, kept)

    def _finish(self) -> dict[str, Any]:
        """Final statistics, the one test, and the files."""
        config = self.config
        self.estimator.estimate(self.data.x_train[: config.final_batch_norm_samples])
        path = config.out / result.MODEL_FILE
        result.save_model(self.model, path)
        accuracy = self.evaluator.accuracy(self.data.x_test, self.data.y_test)
        record = {
            "finished": True,
            "test_accuracy": accuracy,
            "test_samples": len(self.data.y_test),
            "train_samples": len(self.data.y_train),
            "classes": list(self.dataset.class_names),
            "dataset_source": Path(self.dataset.source).name,
            "parameters": self.model.count_params(),
            "epochs_done": self.done,
            "last_epoch": self.history[-1],
            "training_seconds": round(sum(line["seconds"] for line in self.history), 1),
            "config": config.as_record(),
            "model_sha256": result.sha256(path),
            "versions": result.versions(),
            "git_commit": result.git_commit(),
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        }
        result.write_json(config.out / result.RESULT_FILE, record)
        self.reporter.note(f"test accuracy {100 * accuracy:.2f} % of {len(self.data.y_test)} samples; wrote {path}")
        return record
