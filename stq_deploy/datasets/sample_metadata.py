"""What a sample file states about its samples beside their values: the JSON object `metadata`, which is untrusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from stq_deploy.common.checked_json import Checked
from stq_deploy.common.errors import StqError
from stq_deploy.common.json_value import json_value

FORMAT = "stq-samples"
VERSION = 1

NO_NETWORK: Mapping[str, object] = {"model_hash": None}
"""What the record of a float model states, in `other`, where no network was made of the model."""
_MOST_WHOLE = 2**31 - 1


@dataclass(frozen=True)
class AttackRecord:
    """An attack on the samples of a file; None for an entry that is not stated.

    Attributes:
        name: of the attack.
        settings: every setting by name.
        threat_model: what the attacker may do, in words.
        unit: of the budget.
        largest_change: norm -> largest change of a stored sample, in that unit.
        other: entries of other names, null or unreadable ones, as they stand in the file.
    """

    name: str | None = None
    settings: Mapping[str, str | float] | None = None
    threat_model: str | None = None
    unit: str | None = None
    largest_change: Mapping[str, float] | None = None
    other: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The entry `attack` of a sample file's metadata."""
        return _stated_entries(self)

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The attack of this entry. Raises ValueError: it is not an object."""
        return cls(**_read_json(stated, _ATTACK))


@dataclass(frozen=True)
class DefenceRecord:
    """How many samples each model gets right under each draw of fresh noise.

    Attributes:
        name: of the defense.
        sigma_levels: standard deviation of the noise, in input levels.
        eot: draws that the attack took the mean of.
        fresh_draws: draws after the attack.
        noise_seed: of these draws.
        correct: "float" or "integer" -> "clean" or "attacked" -> the count of each draw.
    """

    name: str
    sigma_levels: float
    eot: int
    fresh_draws: int
    noise_seed: int
    correct: Mapping[str, Mapping[str, tuple[int, ...]]]

    def to_json(self) -> dict[str, Any]:
        """The entry `defence` of a sample file's metadata."""
        return _stated_entries(self)

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The defense of this entry. Raises ValueError: an entry is missing, of another name or of another type."""
        _check_names(stated, cls)
        correct = {
            model: {kind: _whole_numbers(counts) for kind, counts in kinds.members()}
            for model, kinds in stated.at("correct").members()
        }
        return cls(
            stated.at("name").text(),
            stated.at("sigma_levels").number(),
            stated.at("eot").count(),
            stated.at("fresh_draws").count(),
            _whole(stated.at("noise_seed")),
            correct,
        )


@dataclass(frozen=True)
class GradientModel:
    """The other model whose gradients a transfer attack took: its name, and the SHA-256 (hex) of its file."""

    name: str
    file_sha256: str

    def to_json(self) -> dict[str, Any]:
        """The entry `source_model` of a sample file's metadata."""
        return _stated_entries(self)

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The model of this entry. Raises ValueError: an entry is missing, of another name or no text."""
        _check_names(stated, cls)
        return cls(stated.at("name").text(), stated.at("file_sha256").text())


@dataclass(frozen=True)
class FloatModelRecord:
    """The QKeras model's answers to the samples; None for an entry that is not stated.

    Attributes:
        name: the model's name.
        file_sha256: SHA-256 (hex) of the model file.
        model_hash: of the network made of it.
        predictions: its class for each sample, 0 .. 2**31 - 1.
        correct: stage of the attack ("clean", "attacked", ...) -> the file's entry; `SampleSet.correct` has the counts.
        other: entries of other names, null or unreadable ones, as they stand in the file.
    """

    name: str | None = None
    file_sha256: str | None = None
    model_hash: str | None = None
    predictions: tuple[int, ...] | None = None
    correct: Mapping[str, object] | None = None
    other: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The entry `float_model` of a sample file's metadata."""
        return _stated_entries(self)

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The record of this entry. Raises ValueError: it is not an object, or its model hash is not a text."""
        found = cls(**_read_json(stated, _FLOAT_MODEL))
        if found.other.get("model_hash") is not None:
            raise ValueError(f"{stated.place}.model_hash is not a text")
        return found


Records = AttackRecord | DefenceRecord | GradientModel | FloatModelRecord
"""Records with entries of their own."""


@dataclass(frozen=True)
class SampleMetadata:
    """Facts about the samples of a file; None for one that is not stated. All names are untrusted text.

    Attributes:
        dataset: name of the data set.
        class_names: of its classes.
        source_indices: the place of each sample in the data set, 0 .. 2**31 - 1.
        range: the smallest and the largest value that features may have. Samples with a range are features, the
            model's own input; samples without one are pixels.
        attack: what made the samples of clean ones.
        seed: of all that was drawn.
        batch: samples that were attacked together.
        defence: the defense that the attack met.
        source_model: the model whose gradients a transfer attack took.
        versions: package -> version.
        float_model: the QKeras model's answers.
        live: the record of an attack that boards answered, as `LiveAttack.to_json` writes it.
        other: entries of other names, null or unreadable ones, as they stand in the file.
    """

    dataset: str | None = None
    class_names: tuple[str, ...] | None = None
    source_indices: tuple[int, ...] | None = None
    range: tuple[float, float] | None = None
    attack: AttackRecord | None = None
    seed: int | None = None
    batch: int | None = None
    defence: DefenceRecord | None = None
    source_model: GradientModel | None = None
    versions: Mapping[str, str] | None = None
    float_model: FloatModelRecord | None = None
    live: Mapping[str, object] | None = None
    other: Mapping[str, object] = field(default_factory=dict)

    @property
    def states_range(self) -> bool:
        """Whether the file has an entry `range`, even an unreadable one."""
        return self.range is not None or "range" in self.other

    @property
    def states_live(self) -> bool:
        """Whether the file has an entry `live`, even an unreadable one."""
        return self.live is not None or "live" in self.other

    def kept_by_attacks(self) -> SampleMetadata:
        """The facts that an attack leaves true: the data set, its classes, the samples' places, and their range."""
        names = ("dataset", "class_names", "source_indices", "range")
        other = {name: self.other[name] for name in names if name in self.other}
        return SampleMetadata(self.dataset, self.class_names, self.source_indices, self.range, other=other)

    def to_json(self) -> dict[str, Any]:
        """The object `metadata` of a sample file."""
        return {"format": FORMAT, "version": VERSION} | _stated_entries(self)

    @classmethod
    def from_json(cls, document: object) -> Self:
        """The facts of an object `metadata`; a malformed entry is among `other`.

        Raises:
            StqError: the file is of another format or version.
            ValueError: it is not an object.
        """
        if not isinstance(document, dict):
            raise ValueError("metadata is not a JSON object")
        if document.get("format", FORMAT) != FORMAT or document.get("version", VERSION) != VERSION:
            raise StqError(
                f"the file is {document.get('format')!r} version {document.get('version')!r}, "
                f"this stq-deploy reads {FORMAT!r} version {VERSION}",
                cause="it was written by another version of stq-deploy",
                next="make it again, or install the version that wrote it",
            )
        entries = {name: entry for name, entry in document.items() if name not in ("format", "version")}
        return cls(**_read_json(Checked(entries, "metadata"), _METADATA))


def _stated_entries(record: Records | SampleMetadata) -> dict[str, object]:
    """A record's entries as JSON has them; an entry of the record replaces one of the same name among `other`."""
    known = {one.name: getattr(record, one.name) for one in fields(record) if one.name != "other"}
    stated = {name: json_value(value) for name, value in known.items() if value is not None}
    return dict(getattr(record, "other", {})) | stated


def _read_json(stated: Checked, readers: Mapping[str, Callable[[Checked], Any]]) -> dict[str, Any]:
    """The entries by name, and those that no reader takes as `other`. Raises ValueError: it is not an object."""
    known: dict[str, Any] = {}
    other: dict[str, object] = {}
    for name, entry in stated.members():
        try:
            known[name] = readers[name](entry)
        except (KeyError, ValueError):
            other[name] = entry.value
    return known | {"other": other}


def _check_names(stated: Checked, record: type[DefenceRecord | GradientModel]) -> None:
    if {name for name, _ in stated.members()} != {one.name for one in fields(record)}:
        raise ValueError(f"{stated.place} has other entries than {record.__name__}")


def _whole(stated: Checked) -> int:
    """A whole number of either sign and any size, such as a seed."""
    if type(stated.value) is not int:
        raise ValueError(f"{stated.place} is not a whole number")
    return stated.value


def _whole_numbers(stated: Checked) -> tuple[int, ...]:
    """Whole numbers 0 .. 2**31 - 1, one per sample perhaps: checked at once, because a file may state millions."""
    values = stated.value
    if not isinstance(values, list) or not all(type(one) is int and 0 <= one <= _MOST_WHOLE for one in values):
        raise ValueError(f"{stated.place} is not a list of whole numbers")
    return tuple(values)


def _texts(stated: Checked) -> tuple[str, ...]:
    return tuple(one.text() for one in stated.entries())


def _range(stated: Checked) -> tuple[float, float]:
    low, high = (one.number() for one in stated.entries())
    return low, high


def _setting(stated: Checked) -> str | float:
    return stated.value if isinstance(stated.value, str) else stated.number()


def _object(stated: Checked) -> dict[str, object]:
    return {name: one.value for name, one in stated.members()}


_ATTACK: dict[str, Callable[[Checked], Any]] = {
    "name": Checked.text,
    "settings": lambda stated: {name: _setting(one) for name, one in stated.members()},
    "threat_model": Checked.text,
    "unit": Checked.text,
    "largest_change": lambda stated: {norm: one.number() for norm, one in stated.members()},
}
_FLOAT_MODEL: dict[str, Callable[[Checked], Any]] = {
    "name": Checked.text,
    "file_sha256": Checked.text,
    "model_hash": Checked.text,
    "predictions": _whole_numbers,
    "correct": _object,
}
_METADATA: dict[str, Callable[[Checked], Any]] = {
    "dataset": Checked.text,
    "class_names": _texts,
    "source_indices": _whole_numbers,
    "range": _range,
    "attack": AttackRecord.from_json,
    "seed": _whole,
    "batch": _whole,
    "defence": DefenceRecord.from_json,
    "source_model": GradientModel.from_json,
    "versions": lambda stated: {package: one.text() for package, one in stated.members()},
    "float_model": FloatModelRecord.from_json,
    "live": _object,
}
"""Entry -> its value; each raises ValueError."""
