"""A run's history as TensorBoard reads it."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from stq_deploy.research.training.epoch_record import EpochRecord
from stq_deploy.research.training.progress import Silent

FOLDER = "tensorboard"
# The record of tf.summary.scalar; that function needs TensorBoard, which only viewing the logs should require.
_SCALAR = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class=1)


class TensorBoard(Silent):
    """Writes every number of every epoch's record into FOLDER of the run's folder; a resumed run continues there."""

    def __init__(self, run: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(run / FOLDER))

    def epoch(self, record: EpochRecord) -> None:
        with self._writer.as_default(step=record.epoch):
            for name, value in record.to_json().items():
                if isinstance(value, float):
                    tf.summary.write(name, tf.constant(value, tf.float32), metadata=_SCALAR)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
