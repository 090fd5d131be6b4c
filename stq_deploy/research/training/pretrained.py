"""Turns a finished run into a small model file to ship, with a record of its accuracy.

A quantized model needs only its quantized weights: the latent weights are dropped, and the rest compresses to a few
hundred KB. Both steps are checked: the shipped file must give exactly the same outputs.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.common.intervals import wilson_interval
from stq_deploy.datasets import load_dataset
from stq_deploy.frontend.keras_model import read_keras_model
from stq_deploy.research.training import result
from stq_deploy.research.training.compact_h5 import compact_bytes
from stq_deploy.research.training.evaluate import Evaluator
from stq_deploy.research.training.packed_archive import packed_bytes
from stq_deploy.research.training.settle import round_mantissa, settle
from stq_deploy.zoo.run_record import ModelFileRecord, ShippedRecord
from stq_deploy.zoo.shipped import ShippedModel

KERNEL_BITS = 8
"""Significant bits of floating-point kernels, which then deflate to three quarters; a weight errs by at most 0.4 %."""

QUANTIZED_ONLY = "quantized values only"
ROUNDED = f"kernels rounded to {KERNEL_BITS} significant bits"
"""A record's entry about the weights in its file."""
ARCHIVE = ".keras"
"""Ending of shipped files; .h5 is larger."""


def export_pretrained(
    run: Path, destination: Path, data: Path | None = None, kernel_bits: int = KERNEL_BITS
) -> ShippedRecord:
    """Write `destination` (.keras or .h5) and its record (.json beside it) from the finished run in folder `run`;
    return it.

    Quantized layers keep only the quantized values of their weights; other layers keep their weights. A model without
    a quantized layer (the FP twin) has its kernels rounded to `kernel_bits` significant bits. Accuracy is measured on
    the whole test part of the run's data set, from the file as written. The same run gives the same bytes. Raises
    StqError if the run is unfinished, or if a quantized file would compute something else than the model.
    """
    trained = result.read_finished(run)
    source = run / result.MODEL_FILE
    model = read_keras_model(str(source))
    dataset = load_dataset(trained.config.dataset, data)
    before = Evaluator(model).predict(dataset.x_test)
    quantized = any(getattr(layer, "get_quantizers", None) for layer in model.layers)
    for layer in model.layers:
        _compact_layer(layer, quantized, kernel_bits)
    content = _model_bytes(model, destination.suffix)
    after = _predictions(content, destination.suffix, dataset.x_test)
    if quantized and not np.array_equal(before, after):
        raise StqError(
            f"the compact file classifies {int(np.sum(before != after))} test samples unlike the model",
            where=str(source),
            cause="a quantizer is not idempotent on its own output",
        )
    write_whole(destination, content)
    record = ShippedRecord(
        model=_measured(destination, after, dataset.y_test),
        same_predictions_as_trained_model=int(np.sum(before == after)),
        weights=QUANTIZED_ONLY if quantized else ROUNDED.replace(str(KERNEL_BITS), str(kernel_bits)),
        quantizers=trained.quantizers,
        parameters=trained.parameters,
        classes=trained.classes,
        dataset_source=trained.dataset_source,
        feature_range=dataset.feature_range,
        config=trained.config,
        history=_summary(run),
        training_seconds=trained.training_seconds,
        trained_model_sha256=trained.model_sha256,
        built_on_sha256=trained.built_on_sha256,
        versions=trained.versions,
        git_commit=trained.git_commit,
    )
    result.write_json(destination.with_suffix(".json"), record)
    return record


def recompress(model: ShippedModel, data: Path | None = None) -> ShippedRecord:
    """Rewrite a shipped model's file, as small as `export_pretrained` makes it today; return its new record.

    This is for files whose training run is gone. A quantized model keeps the quantized values of its weights, and a
    floating-point model's kernels are rounded. Accuracy is measured again. Raises StqError if a quantized file would
    compute something else.
    """
    keras_model = read_keras_model(str(model.keras))
    dataset = load_dataset(model.record.config.dataset, data)
    before = Evaluator(keras_model).predict(dataset.x_test)
    quantized = model.record.weights == QUANTIZED_ONLY
    for layer in keras_model.layers:
        _compact_layer(layer, quantized, KERNEL_BITS)
    content = _model_bytes(keras_model, model.keras.suffix)
    after = _predictions(content, model.keras.suffix, dataset.x_test)
    same = np.array_equal(before, after)
    if quantized and not same:
        raise StqError("the smaller file classifies test samples unlike the old one", where=str(model.keras))
    write_whole(model.keras, content)
    record = replace(
        model.record,
        model=_measured(model.keras, after, dataset.y_test),
        weights=QUANTIZED_ONLY if quantized else ROUNDED,
        # The trained model is not available.
        same_predictions_as_trained_model=model.record.same_predictions_as_trained_model if same else None,
    )
    result.write_json(model.keras.with_suffix(".json"), record)
    return record


def repack(model: ShippedModel) -> ShippedRecord:
    """Turn a shipped model's .h5 file into a .keras archive of the same numbers; return its new record.

    Nothing is measured again, because no number changes: configuration and weights of the archive are compared with
    the file's, bit by bit. The .h5 file is removed.

    Raises:
        StqError: it is an archive already, or the archive would hold something else.
    """
    old = model.keras
    if old.suffix == ARCHIVE:
        raise StqError("it is an archive already", where=str(old))
    before = read_keras_model(str(old))
    content = _model_bytes(before, ARCHIVE)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"model{ARCHIVE}"
        path.write_bytes(content)
        after = read_keras_model(str(path))
    same = before.to_json() == after.to_json() and all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(before.get_weights(), after.get_weights(), strict=True)
    )
    if not same:
        raise StqError("the archive would hold another model", where=str(old))
    new = old.with_suffix(ARCHIVE)
    write_whole(new, content)
    file = replace(model.record.model, file=new.name, sha256=result.sha256(new), bytes=len(content))
    record = replace(model.record, model=file)
    result.write_json(new.with_suffix(".json"), record)
    old.unlink()
    return record


def _measured(path: Path, predictions: NDArray[np.int64], labels: NDArray[Any]) -> ModelFileRecord:
    """The facts of the file at `path`; `predictions` are its predictions on the test part."""
    right = int(np.sum(predictions == labels))
    samples = len(predictions)
    size, interval = path.stat().st_size, wilson_interval(right, samples)
    return ModelFileRecord(path.name, result.sha256(path), size, right, samples, interval)


def _compact_layer(layer: Any, quantized: bool, kernel_bits: int) -> None:
    weights = layer.get_weights()
    if not weights:
        return
    if not quantized:
        layer.set_weights([round_mantissa(value, kernel_bits) if value.ndim > 1 else value for value in weights])
        return
    settle(layer)


def _model_bytes(model: Any, ending: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"model{ending}"
        result.save_model(model, path)
        return packed_bytes(path) if ending == ARCHIVE else compact_bytes(path)


def _predictions(content: bytes, ending: str, x: NDArray[Any]) -> NDArray[np.int64]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"model{ending}"
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Evaluator(read_keras_model(str(path))).predict(x)


def _summary(run: Path) -> tuple[dict[str, float | None], ...]:
    """Number, losses and accuracies of every epoch."""
    keys = ("epoch", "train_loss", "train_accuracy", "validation_accuracy")
    lines = (run / result.HISTORY_FILE).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return tuple(
        {key: _rounded(record[key]) for key in keys}
        | {key: _rounded(record[key]) for key in ("robust_accuracy", "certified_accuracy") if key in record}
        for record in records
    )


def _rounded(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value
