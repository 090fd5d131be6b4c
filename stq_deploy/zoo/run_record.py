"""The records of trainings and of shipped models, as JSON files keep them.

`TrainingConfig` writes the settings of a run, `research/training/pretrained.py` the record of a model made by it. Both
are our own files. Entries that older versions did not write have a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from stq_deploy.zoo.schemes import Scheme, get_scheme

if TYPE_CHECKING:
    from stq_deploy.zoo.scheme_file import SchemeFile

RecipeValue = str | float | list[float] | None
"""An entry of a recipe; a float may also be an int or a bool."""
_NO_RECIPE = ("network", "variant", "scheme", "dataset", "data", "seed", "test_limit", "recipe_sha256")
"""The settings of runs before version 0.2 that are not entries of the recipe; all others are."""


@dataclass(frozen=True)
class RunSettings:
    """The settings of a training run. Files are named without folders, so that records do not reveal these.

    Attributes:
        network, variant: the network and its form.
        scheme: name of the scheme, or of its file.
        scheme_layers: what the file holds, for a scheme by layer.
        dataset: name of the data set.
        data: the file or folder it was read from; None: the public source, or $STQ_DEPLOY_DATA.
        seed: decides everything drawn.
        test_limit: tested on only this many samples; None: on all.
        fold: the part of a cross validation, as text: "2 of 10".
        recipe: entry -> value.
        recipe_sha256: hash of the recipe, in hex.
    """

    network: str
    variant: str
    scheme: str
    scheme_layers: SchemeFile | None
    dataset: str
    data: str | None
    seed: int
    test_limit: int | None
    fold: str | None
    recipe: Mapping[str, RecipeValue]
    recipe_sha256: str | None

    @property
    def quantization(self) -> Scheme:
        """The scheme, by role and by layer. Raises StqError: there is none of this name."""
        return get_scheme(self.scheme) if self.scheme_layers is None else self.scheme_layers.scheme(self.scheme)

    def to_json(self) -> dict[str, Any]:
        """The settings as a record keeps them."""
        layers = None if self.scheme_layers is None else self.scheme_layers.model_dump()
        return dict(vars(self)) | {"scheme_layers": layers, "recipe": dict(self.recipe)}

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Self:
        """The settings in a record. Raises KeyError: an entry is missing that every version writes."""
        layers = config.get("scheme_layers")
        if layers is not None:
            from stq_deploy.zoo.scheme_file import SchemeFile

            layers = SchemeFile.model_validate(layers)
        return cls(
            network=config["network"],
            variant=config["variant"],
            scheme=config["scheme"],
            scheme_layers=layers,
            dataset=config["dataset"],
            data=config["data"],
            seed=config["seed"],
            test_limit=config.get("test_limit"),
            fold=config.get("fold"),
            recipe=config["recipe"] if "recipe" in config else _without(config, *_NO_RECIPE),
            recipe_sha256=config.get("recipe_sha256"),
        )


def _without(entries: Mapping[str, RecipeValue], *names: str) -> dict[str, RecipeValue]:
    return {name: value for name, value in entries.items() if name not in names}


@dataclass(frozen=True)
class WorstCaseRecord:
    """What stands in the worst case of an attack by preset, as `tools/record_robustness.py` records it.

    Attributes:
        preset: of the attacks.
        samples: how many were attacked.
        clean: of these, how many are right before the attack.
        worst: budget -> how many are right after it.
        targets: budget or "clean" -> percent that the network was to reach.
    """

    preset: str
    samples: int
    clean: int
    worst: Mapping[str, int]
    targets: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """All of it, by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class ModelFileRecord:
    """A model file, and its accuracy on the test part.

    Attributes:
        file: its name.
        sha256: of its bytes, in hex.
        bytes: how many.
        test_right, test_samples: samples that it gets right, and all.
        wilson_95: Wilson's interval of the accuracy, 0 .. 1.
    """

    file: str
    sha256: str
    bytes: int
    test_right: int
    test_samples: int
    wilson_95: tuple[float, float]

    @property
    def test_accuracy(self) -> float:
        """The share of samples that it gets right, 0 .. 1."""
        return self.test_right / self.test_samples

    def to_json(self) -> dict[str, Any]:
        """The first entries of a shipped model's record."""
        counted = {name: getattr(self, name) for name in ("test_accuracy", "test_right", "test_samples")}
        stored = {"file": self.file, "sha256": self.sha256, "bytes": self.bytes}
        return stored | counted | {"wilson_95": list(self.wilson_95)}


@dataclass(frozen=True)
class ShippedRecord:
    """The record of a shipped model.

    Attributes:
        model: its file and accuracy.
        same_predictions_as_trained_model: test samples with the class that the trained model gives; None: not known.
        weights: which weights the file holds, in words.
        quantizers: role -> quantizer, None for none.
        parameters: number of them.
        classes: their names.
        dataset_source: name of the file that the data set was read from.
        feature_range: of the samples, where they are features.
        config: the settings of the run.
        history: for each epoch its number, losses and accuracies, by name.
        training_seconds: time of all epochs.
        trained_model_sha256: of the file that the run wrote, in hex.
        built_on_sha256: use ("warm_start", "teacher") -> SHA-256 of that model file.
        versions: package -> version.
        git_commit: of the code that trained it.
        weight_bits: widths of the network's weights; empty without a quantizer, None before it is converted.
        network_sha256: the model hash of the converted network, of a quantized model.
        robustness: accuracy under attack; None where it is not measured.
    """

    model: ModelFileRecord
    same_predictions_as_trained_model: int | None
    weights: str
    quantizers: Mapping[str, str | None]
    parameters: int
    classes: tuple[str, ...]
    dataset_source: str | None
    feature_range: tuple[float, float] | None
    config: RunSettings
    history: tuple[Mapping[str, float | None], ...]
    training_seconds: float
    trained_model_sha256: str
    built_on_sha256: Mapping[str, str] | None
    versions: Mapping[str, str]
    git_commit: str | None
    weight_bits: tuple[int, ...] | None = None
    network_sha256: str | None = None
    robustness: WorstCaseRecord | None = field(default=None)

    def to_json(self) -> dict[str, Any]:
        """The content of the .json file beside the model."""
        own = {name: value for name, value in vars(self).items() if name != "model"}
        later = {name: own.pop(name) for name in ("weight_bits", "network_sha256", "robustness")}
        nested = {"config": self.config.to_json(), "history": [dict(epoch) for epoch in self.history]}
        if self.robustness is not None:
            later["robustness"] = self.robustness.to_json()
        stated = own | nested | {name: value for name, value in later.items() if value is not None}
        return self.model.to_json() | {key: list(v) if isinstance(v, tuple) else v for key, v in stated.items()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The record in a file of ours. Raises KeyError: an entry is missing that every version writes."""
        model = {name: record[name] for name in ("file", "sha256", "bytes", "test_right", "test_samples")}
        low, high = record["wilson_95"]
        span, bits, worst = record.get("feature_range"), record.get("weight_bits"), record.get("robustness")
        return cls(
            model=ModelFileRecord(**model, wilson_95=(low, high)),
            **{name: record[name] for name in _SAME},
            classes=tuple(record["classes"]),
            dataset_source=record.get("dataset_source"),
            feature_range=None if span is None else (span[0], span[1]),
            config=RunSettings.from_json(record["config"]),
            history=tuple(record["history"]),
            built_on_sha256=record.get("built_on_sha256"),
            weight_bits=None if bits is None else tuple(bits),
            network_sha256=record.get("network_sha256"),
            robustness=None if worst is None else WorstCaseRecord(**worst),
        )


_SAME = (
    "same_predictions_as_trained_model", "weights", "quantizers", "parameters", "training_seconds",
    "trained_model_sha256", "versions", "git_commit",
)  # fmt: skip
"""Entries that are in the file as they are here."""
