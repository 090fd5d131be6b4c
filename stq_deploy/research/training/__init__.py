"""Training: `train(TrainingConfig(...))` runs, resumes, and writes the model with its record."""

from __future__ import annotations

from pathlib import Path

from stq_deploy.common.tensorflow_import import import_tensorflow
from stq_deploy.research.training.config import TrainingConfig
from stq_deploy.research.training.progress import Reporter, default_reporter
from stq_deploy.research.training.result import FinishedRun, UnfinishedRun

__all__ = ["FinishedRun", "Reporter", "TrainingConfig", "UnfinishedRun", "default_reporter", "train"]


def train(
    config: TrainingConfig,
    progress: Reporter | None = None,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    tensorboard: bool = False,
    keep_teaching: Path | None = None,
) -> FinishedRun | UnfinishedRun:
    """See `stq_deploy.research.training.trainer.train`. TensorFlow is imported only when this is called.

    Raises StqError also when TensorFlow or qkeras is not installed.
    """
    import_tensorflow("training")
    from stq_deploy.research.training.trainer import train as run

    return run(
        config,
        progress,
        resume=resume,
        stop_after=stop_after,
        tensorboard=tensorboard,
        keep_teaching=keep_teaching,
    )
