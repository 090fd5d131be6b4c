"""Recipes: how a network is trained, one TOML file each. docs/TRAINING.md explains each entry and names its source.

The fields' defaults are the paper's Table II; entries that the paper leaves open have our defaults. The package's
recipes are in `recipes/`.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from stq_deploy.common.errors import StqError, did_you_mean, no_such
from stq_deploy.common.file_kinds import not_wanted
from stq_deploy.common.files import read_bounded
from stq_deploy.zoo.run_record import RecipeValue

_FOLDER = Path(__file__).parent / "recipes"
LARGEST = 10**9
"""Largest meaningful number in a recipe."""
_LONGEST = 1000
_SHOWN = 60
_NEXT = "docs/TRAINING.md says what each entry means"


class Recipe(BaseModel):
    """How a network is trained. `TrainingConfig` has the data and the output folder. Unknown entries are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    title: str = ""
    """One line for people."""

    # Schedule
    epochs: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=64, ge=1)
    train_limit: int | None = Field(default=None, ge=1)
    """Use only this many training samples, drawn by the seed, for trials."""
    optimizer: Literal["adamax", "adam", "sgd"] = "adamax"
    learning_rate: float = Field(default=1e-3, gt=0)
    final_learning_rate: float = Field(default=1e-6, gt=0)
    """Learning rate at the end of half a cosine wave."""
    warm_up_steps: int = Field(default=0, ge=0)
    """Steps of a linear rise from 0. fc1 has 4096 inputs and no batch norm, so large first steps kill its ReLUs."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay: every step shrinks kernels by learning rate x this."""
    gradient_clip: float = Field(default=0.0, ge=0)
    """Largest norm of all gradients together; 0 for no limit."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the convolutions' products in training; everything else is always float32."""

    # Data
    augment: Literal["none", "crop", "crop-flip", "time-shift"] = "none"
    cutout: int = Field(default=0, ge=0)
    """Side of the square set to the mean sample at a random place; 0 for none."""
    mixup: float = Field(default=0.0, ge=0)
    """Alpha of the Beta distribution by which two samples are mixed; 0 for none."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)

    # Start and teacher
    warm_start: str | None = None
    """Model file (.h5, .keras) or zoo name whose weights are taken over, layer by layer, by name."""
    fit_activations: bool = False
    """Scale batch norms by the powers of two with which the warm start's activations lose least in their quantizers."""
    teacher: str | None = None
    """Model file or zoo name to distil from; None: the one the run starts from."""
    distillation: float = Field(default=0.0, ge=0, le=1)
    """Share of the loss that is the divergence from the teacher; 0 for no distillation."""
    distillation_temperature: float = Field(default=1.0, gt=0)

    # Jacobian regularization
    jacobian: float = Field(default=0.0, ge=0)
    """Weight of half the squared norm of the Jacobian of the logits by the input."""
    jacobian_layers: float = Field(default=0.0, ge=0)
    """The same weight for the Jacobians by each inner layer's input."""
    jacobian_projections: int = Field(default=1, ge=1)
    """Random directions per sample for estimating the norms."""

    # Adversarial training
    adversary: Literal["none", "fgsm-rs", "n-fgsm", "pgd"] = "none"
    """The attack that makes the samples of each step."""
    adversary_eps: float = Field(default=8.0, gt=0, le=255)
    """Its budget: the largest change of a pixel, in gray levels (of 255)."""
    adversary_step: float | None = Field(default=None, gt=0)
    """Its step, relative to eps; None for the source's (fgsm-rs 1.25, n-fgsm 1, pgd 2.5 / steps)."""
    adversary_start: float | None = Field(default=None, ge=0)
    """Half the width of its uniform random start, relative to eps; None for the source's (n-fgsm 2, else 1)."""
    adversary_steps: int = Field(default=2, ge=1)
    """Steps of pgd; the other attacks take one."""
    eps_ramp: float = Field(default=0.0, ge=0, le=1)
    """Share of all steps over which eps rises linearly from 0."""
    clean_share: float = Field(default=0.0, ge=0, lt=1)
    """The clean samples' share of the loss; 0 trains on attacked ones only."""
    trades: float = Field(default=0.0, ge=0)
    """Weight of the divergence between clean and attacked samples, added to the clean samples' loss; 0 for none."""
    awp: float = Field(default=0.0, ge=0)
    """How far kernels move up the loss before a step's gradient is taken, relative to their norm; 0 for none."""
    noise: float = Field(default=0.0, ge=0)
    """Standard deviation of Gaussian noise on each training sample, in gray levels; 0 for none."""
    certified_share: float = Field(default=0.0, ge=0, le=1)
    """The worst logits' share of the loss, by interval bounds within `adversary_eps`; it rises with eps."""
    robust_validation_samples: int = Field(default=0, ge=0)
    """Held-out samples that are attacked after each epoch; the epoch that is best on them is kept. 0 for none."""

    # Quantization
    stochastic: Literal["draws", "gradual", "none"] = "draws"
    """How kernels are quantized in training: drawn by the scheme's quantizer, row by row (Dong 2017), or as in
    inference."""
    gradual_shares: list[float] = [0.5, 0.75, 0.875, 1.0]
    """For `gradual`: the share of rows to quantize in each of as many equal stages."""
    temperature_start: float = Field(default=8.0, gt=0)
    """Temperature of the stochastic draws (8 is qkeras' default for ternary); higher is less random."""
    temperature_end: float = Field(default=8.0, gt=0)
    """Last temperature, reached by equal factors."""

    # Zeros
    sparsity: float | dict[str, float] = 0.0
    """Share of zeros to reach in every convolution with ternary kernels, or layer -> share; 0 for none."""
    sparsity_ramp: float = Field(default=0.5, gt=0, le=1)
    """Share of all steps over which the zeros grow to it."""

    # Averaging and statistics
    average_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the exponential moving average of the (latent) weights, which is validated and kept; 0 for none."""
    batch_norm_samples: int = Field(default=2000, ge=1)
    """Training samples for the batch-norm statistics of each epoch's validation."""
    final_batch_norm_samples: int = Field(default=20000, ge=1)
    """Training samples for the batch-norm statistics of the written model."""

    # Watching
    validation_samples: int = Field(default=2000, ge=0)
    """Samples held out of the training part."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many epochs without a better validation accuracy, keeping the best weights; 0 for never."""

    @field_validator("*")
    @classmethod
    def _check_size(cls, value: Any) -> Any:
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > _LONGEST or any(isinstance(n, int | float) and not abs(n) <= LARGEST for n in numbers):
            raise ValueError(f"numbers may be at most {LARGEST:,}, and lists {_LONGEST:,} long")
        return value

    @model_validator(mode="after")
    def _check_patience(self) -> Self:
        if self.patience and not self.validation_samples:
            raise ValueError("patience needs validation_samples to watch")
        return self

    @model_validator(mode="after")
    def _check_adversary(self) -> Self:
        if self.adversary == "none" and (self.trades or self.clean_share):
            raise ValueError("trades and clean_share need an adversary")
        if self.adversary_start is not None and self.adversary_start > 1 and self.adversary != "n-fgsm":
            raise ValueError("adversary_start exceeds the budget: only n-fgsm starts outside of it")
        if self.trades and self.clean_share:
            raise ValueError("choose trades or clean_share: TRADES has the clean samples' loss in it")
        if self.certified_share and (self.adversary != "none" or self.jacobian or self.jacobian_layers):
            raise ValueError("certified_share goes with neither an adversary nor Jacobian regularization")
        if self.certified_share and (self.stochastic != "none" or self.precision != "float32"):
            raise ValueError("certified_share needs stochastic = 'none' and precision = 'float32'")
        if self.robust_validation_samples and not self.validation_samples:
            raise ValueError("robust_validation_samples needs validation_samples to take them from")
        return self

    @field_validator("sparsity")
    @classmethod
    def _check_sparsity(cls, value: float | dict[str, float]) -> float | dict[str, float]:
        shares = list(value.values()) if isinstance(value, dict) else [value]
        if len(shares) > _LONGEST or not all(0 <= share < 1 for share in shares):
            raise ValueError("a share of zeros is at least 0 and below 1")
        return value

    @field_validator("gradual_shares")
    @classmethod
    def _check_shares(cls, shares: list[float]) -> list[float]:
        if not shares or sorted(shares) != shares or shares[0] < 0 or shares[-1] != 1:
            raise ValueError("the shares must grow from at least 0 to 1")
        return shares

    def entries(self) -> dict[str, RecipeValue]:
        """All of them, for records; files by name only, so that records do not reveal folders."""
        record: dict[str, RecipeValue] = self.model_dump()
        for name in ("warm_start", "teacher"):
            file = getattr(self, name)
            record[name] = None if file is None else Path(file).name
        return record

    def sha256(self) -> str:
        """Hex digest of `entries`."""
        return hashlib.sha256(json.dumps(self.entries(), sort_keys=True).encode()).hexdigest()


def recipe_names() -> list[str]:
    """Names of the package's recipes, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_recipe(name_or_path: str, changes: Mapping[str, object] | None = None) -> Recipe:
    """The shipped recipe of that name, or the one in that .toml file; `changes` replace entries of it.

    Raises:
        StqError: no such recipe, not TOML, or an entry is unknown or has a wrong value.
    """
    path = _FOLDER / f"{name_or_path}.toml" if name_or_path in recipe_names() else Path(name_or_path)
    try:
        text = read_bounded(path)
        if not text.strip():
            raise StqError("the recipe is empty", where=str(path), next=_NEXT)
        entries = tomllib.loads(text)
    except FileNotFoundError as error:
        what = f"there is no recipe {name_or_path!r}"
        raise no_such(what, name_or_path, recipe_names(), also="or give a .toml file") from error
    except OSError as error:
        raise _no_recipe(path) or StqError(f"cannot read the recipe: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors, and numbers of thousands of digits
        not_toml = StqError(f"the recipe is not a TOML file: {error}", where=str(path), next=_NEXT)
        raise _no_recipe(path) or not_toml from error
    recipe = _checked(entries, lambda entry: _place(path, text, entry))
    return _checked(recipe.model_dump() | dict(changes), lambda entry: f"--set {entry}") if changes else recipe


def _no_recipe(path: Path) -> StqError | None:
    """The kind of another file; None for a file named as a recipe, or of an unknown kind."""
    if path.suffix.lower() == ".toml" and not path.is_dir():
        return None
    return not_wanted(path, "a recipe (.toml)", f"give a recipe of yours, or one of {', '.join(recipe_names())}")


def parse_changes(settings: list[str]) -> dict[str, object]:
    """Changes from texts `entry=value`; the value is TOML, or else text.

    Raises:
        StqError: a text has no "=".
    """
    changes: dict[str, object] = {}
    for setting in settings:
        entry, equals, value = setting.partition("=")
        if not equals:
            raise StqError(f"{setting!r} is not entry=value", where="--set", next="for example: --set epochs=10")
        try:
            changes[entry.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):
            changes[entry.strip()] = value.strip()
    return changes


def _checked(entries: Mapping[str, object], place: Callable[[str], str]) -> Recipe:
    try:
        return Recipe.model_validate(entries)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise StqError(first["msg"].removeprefix("Value error, "), where=place(""), next=_NEXT) from error
        entry = str(first["loc"][0])
        where = place(entry)
        if first["type"] == "extra_forbidden":
            near = did_you_mean(entry, Recipe.model_fields)
            raise StqError(
                f"a recipe has no entry {entry!r}",
                where=where,
                cause=f"a slip for {near!r}" if near else "",
                next=_NEXT,
            ) from error
        what = f"{entry}: {first['msg'].removeprefix('Value error, ')}, not {_shown(first['input'])}"
        raise StqError(what, where=where, next=_NEXT) from error


def _shown(value: Any) -> str:
    """A value for a message, shortened."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print numbers of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _place(path: Path, text: str, entry: str) -> str:
    """File and line of an entry."""
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*[\"']?{re.escape(entry)}[\"']?\s*=", line):
            return f"{path}, line {number}"
    return str(path)
