"""Presets: which attacks, in which order, with which budgets: a TOML file in `presets/`, or one of the user's."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.common.file_kinds import not_wanted
from stq_deploy.common.files import read_bounded
from stq_deploy.research.attacks.abstract_attack import BLACK_BOX, Attack
from stq_deploy.research.attacks.registry import ATTACKS, get_attack
from stq_deploy.research.attacks.transfer import Transfer

_FOLDER = Path(__file__).with_name("presets")
LIMIT = "limit"
"""Name of the series whose budget leaves nothing of a picture."""
_OF_EPS = re.compile(r"eps\s*/\s*(\d+)")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AttackStep(_Strict):
    """One attack of a series.

    Attributes:
        attack: its name.
        settings: as `--set` takes them; `eps/N` means a part of the budget.
        alone: run it on every sample that it has not broken itself at a smaller budget, to measure its own strength.
            Otherwise it runs on those that no attack has broken.
        check: what it is there for beside breaking samples: "iterations", to see whether more of them still gain.
    """

    attack: str
    settings: dict[str, str] = {}
    alone: bool = False
    check: Literal["", "iterations"] = ""

    @field_validator("attack")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ATTACKS:
            raise ValueError(f"there is no attack {name!r}; choose among {', '.join(ATTACKS)}")
        return name

    def at(self, eps: Fraction, norm: str) -> Attack:
        """The attack with this budget.

        Raises:
            StqError: an impossible setting.
        """
        settings = {name: _value(text, eps) for name, text in self.settings.items()}
        return get_attack(self.attack).from_text({"eps": str(eps), "norm": norm, **settings})

    @property
    def title(self) -> str:
        """For tables."""
        more = " (longer)" if self.check == "iterations" else ""
        return ATTACKS[self.attack].title + more


class Series(_Strict):
    """Attacks in one norm with growing budgets. The balls are nested, so what is broken at one stays broken.

    Attributes:
        name: for tables.
        norm: "inf", "1" or "2".
        eps: the budgets as text, ascending.
        storage: "uint8", or "float32" for attacks that are rounded afterwards, as in the paper.
        steps: in the order they run.
        note: what the reader should know of it.
    """

    name: str
    norm: Literal["inf", "1", "2"]
    eps: tuple[str, ...] = Field(min_length=1)
    storage: Literal["uint8", "float32"] = "uint8"
    steps: tuple[AttackStep, ...] = Field(min_length=1, alias="attack")
    note: str = ""

    @field_validator("eps")
    @classmethod
    def _ascending(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            values = [Fraction(text) for text in texts]
        except ZeroDivisionError as error:
            raise ValueError("a budget divides by zero") from error
        if any(value <= 0 for value in values) or values != sorted(set(values)):
            raise ValueError("the budgets must be positive and ascend")
        return texts

    def file(self, eps: str) -> str:
        """Name of the sample file with the worst pictures at one of its budgets."""
        safe = "".join(c if c.isalnum() else "-" for c in f"{self.name}-{eps}")
        return f"worst-{safe}.npz"

    @property
    def seed(self) -> int:
        """From its name: no two series of a preset draw the same numbers, whatever their order."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "little")

    @property
    def titles(self) -> tuple[str, ...]:
        """The steps' titles in tables. Where two are equal, the settings follow, or else a number."""
        return tuple(_told_apart(self.steps, number) for number in range(len(self.steps)))

    @property
    def budgets(self) -> tuple[Fraction, ...]:
        """The budgets as exact numbers, ascending; in the unit of the samples (pixels 0..1)."""
        return tuple(Fraction(text) for text in self.eps)


def _told_apart(steps: Sequence[AttackStep], number: int) -> str:
    own = steps[number]
    alike = [step for step in steps if step.title == own.title]
    names = sorted({name for step in alike for name in step.settings})
    unlike = [name for name in names if len({step.settings.get(name) for step in alike}) > 1]
    said = ", ".join(f"{name} {own.settings.get(name, 'default')}" for name in unlike)
    title = f"{own.title}, {said}" if said else own.title
    same = [i for i, step in enumerate(steps) if step.title == own.title and step.settings == own.settings]
    return title if len(same) == 1 else f"{title} ({same.index(number) + 1})"


class LiveStep(_Strict):
    """A black-box attack that a board answers.

    Attributes:
        attack: its name.
        norm, eps: the budget.
        samples: how many are attacked, the first ones.
        settings: as `--set` takes them.
    """

    attack: str
    norm: Literal["inf", "1", "2"]
    eps: str
    samples: int = Field(ge=1)
    settings: dict[str, str] = {}

    @field_validator("attack")
    @classmethod
    def _black_box(cls, name: str) -> str:
        known = [one for one, attack in ATTACKS.items() if attack.access in BLACK_BOX]
        if name not in known:
            raise ValueError(f"a board cannot answer the attack {name!r}; choose among {', '.join(known)}")
        return name

    @property
    def file(self) -> str:
        """Name of the sample file with what it finds."""
        return f"live-{self.attack}.npz"

    def made(self) -> Attack:
        """The attack.

        Raises:
            StqError: an impossible setting.
        """
        return get_attack(self.attack).from_text({"eps": self.eps, "norm": self.norm, **self.settings})


class Device(_Strict):
    """What a board answers: the worst pictures of all series, and these attacks."""

    live: tuple[LiveStep, ...] = ()

    @field_validator("live")
    @classmethod
    def _unlike(cls, live: tuple[LiveStep, ...]) -> tuple[LiveStep, ...]:
        """Queries and results are kept by the attacks' names."""
        names = [one.attack for one in live]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the board is attacked by {twice!r} twice; write a preset for each")
        return live


class Preset(_Strict):
    """What `stq-deploy robustness` measures.

    Attributes:
        title: one line for people.
        samples: how many, unless the user states a number.
        series: what is attacked how. A file may name a shipped preset instead, `series_of`, and has its series.
        device: what a board runs in addition; None: nothing.
    """

    title: str
    samples: int = Field(ge=1)
    series: tuple[Series, ...] = Field(min_length=1)
    device: Device | None = None

    @field_validator("series")
    @classmethod
    def _unlike(cls, series: tuple[Series, ...]) -> tuple[Series, ...]:
        """Results are kept by the series' names."""
        names = [one.name for one in series]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two series are named {twice!r}; give each a name of its own")
        files = [(one.file(eps), one.name) for one in series for eps in one.eps]
        for file, name in files:
            others = {other for same, other in files if same == file and other != name}
            if others:
                raise ValueError(f"{name!r} and {others.pop()!r} would write one file, {file}; rename one")
        return series

    def check_settings(self) -> None:
        """Make every attack once, before hours are spent on those before it.

        Raises:
            StqError: an impossible setting.
        """
        for series in self.series:
            for step in series.steps:
                step.at(series.budgets[0], series.norm)
        for live in self.device.live if self.device else ():
            live.made()

    @property
    def needs_source(self) -> bool:
        """Whether an attack takes the gradients of another model."""
        return any(step.attack == Transfer.name for series in self.series for step in series.steps)

    def with_transfer(self) -> Preset:
        """The same preset with a transfer attack at the end of every series that has none; it is shown by itself."""
        return self.model_copy(update={"series": tuple(_with_transfer(series) for series in self.series)})


def _with_transfer(series: Series) -> Series:
    has_one = any(step.attack == Transfer.name for step in series.steps)
    if has_one or series.norm not in Transfer.norms or series.name == LIMIT:
        return series
    return series.model_copy(update={"steps": (*series.steps, AttackStep(attack=Transfer.name, alone=True))})


def preset_names() -> list[str]:
    """The shipped presets."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_preset(name_or_path: str) -> Preset:
    """The shipped preset of that name, or the one in that .toml file.

    Raises:
        StqError: no such preset or file, or the file is not a preset.
    """
    path = _FOLDER / f"{name_or_path}.toml" if name_or_path in preset_names() else Path(name_or_path)
    try:
        text = read_bounded(path)
        if not text.strip():
            raise StqError("the preset is empty", where=str(path), next=f"choose one of {', '.join(preset_names())}")
        preset = Preset.model_validate(_with_series(tomllib.loads(text)))
        preset.check_settings()
        return preset
    except FileNotFoundError as error:
        what = f"there is no preset {name_or_path!r}"
        raise no_such(what, name_or_path, preset_names(), also="or give a .toml file") from error
    except OSError as error:
        raise _no_preset(path) or StqError(f"cannot read the preset: {error.strerror}", where=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StqError(f"{place}: {first['msg'].removeprefix('Value error, ')}", where=str(path)) from error
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors, and numbers of thousands of digits
        not_toml = StqError(f"the preset is not a TOML file: {error}", where=str(path))
        raise _no_preset(path) or not_toml from error


def _no_preset(path: Path) -> StqError | None:
    """The kind of another file; None for a file named as a preset, or of an unknown kind."""
    if path.suffix.lower() == ".toml" and not path.is_dir():
        return None
    return not_wanted(path, "a preset (.toml)", f"give a preset of yours, or one of {', '.join(preset_names())}")


def _with_series(content: dict[str, object]) -> dict[str, object]:
    """The file's content, with the series of the preset that it names."""
    name = content.pop("series_of", None)
    if name is None:
        return content
    if name not in preset_names():
        raise no_such(f"series_of: there is no preset {str(name)!r}", str(name), preset_names())
    return content | {"series": tomllib.loads(read_bounded(_FOLDER / f"{name}.toml"))["series"]}


def _value(text: str, eps: Fraction) -> str:
    part = _OF_EPS.fullmatch(text.strip())
    return str(eps / int(part.group(1))) if part else text
