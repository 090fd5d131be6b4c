"""Parses attacks and their settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stq_deploy.datasets.samples import SampleSet
    from stq_deploy.research.attacks.abstract_attack import Attack
    from stq_deploy.research.attacks.craft import TransferSource
    from stq_deploy.research.attacks.defence import RandomNoise

NONE = "none"


def chosen_attacks(
    names: tuple[str, ...], common: dict[str, str | None], settings: tuple[str, ...]
) -> dict[str, Attack | None]:
    """Attack by name, each with its settings; None for clean samples (`NONE`).

    Args:
        common: settings of all attacks, those that are None left out.
        settings: texts `[attack.]setting=value`.

    Raises:
        StqError: an unknown attack or setting, or an impossible value.
    """
    from stq_deploy.common.errors import StqError
    from stq_deploy.research.attacks.registry import get_attack

    texts: dict[str, dict[str, str]] = {
        name: {k: v for k, v in common.items() if v is not None} for name in names if name != NONE
    }
    for setting in settings:
        key, equals, value = setting.partition("=")
        owner, dot, name = key.rpartition(".")
        if not equals or not name or (dot and owner not in texts):
            raise StqError(
                f"--set {setting} names no setting of the attacks chosen",
                next="write --set max_iter=40, or --set pgd.max_iter=40 for one attack only",
            )
        for attack_name in [owner] if dot else texts:
            texts[attack_name][name] = value
    return {name: None if name == NONE else get_attack(name).from_text(texts[name]) for name in names}


def chosen_defence(text: str | None, eot: int) -> RandomNoise | None:
    """The defense that --defence and --eot name.

    Raises:
        StqError: there is no such defense, or --eot is given without one.
    """
    from stq_deploy.common.errors import StqError
    from stq_deploy.research.attacks.defence import RandomNoise

    if text is None:
        if eot != 1:
            raise StqError("--eot averages noisy answers, and there is no noise", next="add --defence rnd:SIGMA")
        return None
    return RandomNoise.from_text(text, eot)


def check_source(source: str | None, names: list[str]) -> None:
    """Whether --from and the attacks go together.

    Raises:
        StqError: the attack transfer has no source, or a source has no such attack.
    """
    from stq_deploy.common.errors import StqError
    from stq_deploy.research.attacks.transfer import Transfer

    if Transfer.name in names and source is None:
        raise StqError("the attack transfer needs another model's gradients", next="name it: --from MODEL")
    if source is not None and Transfer.name not in names:
        raise StqError("--from is for the attack transfer alone", next="add --attack transfer, or leave --from out")


def source_range_option(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the option for the input of the model of --from."""
    return click.option(
        "--from-input-range",
        "source_range",
        type=float,
        nargs=2,
        default=None,
        metavar="LOW HIGH",
        help="Smallest and largest value of the input of --from, such as -1 1; pixels 0 and 255 mean these two.",
    )(command)


def threshold_option(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: adds the threshold of a model of one unit."""
    return click.option(
        "--threshold",
        type=float,
        metavar="VALUE",
        help="Value of a single sigmoid above which it says class 1.  [default: 0.5]",
    )(command)


def checked_source_range(source: str | None, given: tuple[float, float] | None) -> tuple[float, float] | None:
    """The range that --from-input-range gives.

    Raises:
        StqError: there is no --from, or the two numbers form no range.
    """
    from stq_deploy.common.errors import StqError
    from stq_deploy.lowering.input_domain import checked_range

    if given is None:
        return None
    if source is None:
        raise StqError("--from-input-range applies to the model of --from, and there is none", next="leave it out")
    return checked_range(given, "--from-input-range")


def opened_source(source: str, source_range: tuple[float, float] | None, samples: SampleSet) -> TransferSource:
    """The model of --from, after a note on standard error about the input assumed for it.

    Args:
        samples: the samples that are attacked.

    Raises:
        StqError: it cannot be read.
    """
    from stq_deploy.cli._input import say_assumed_pixels
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.pipeline import Conversion
    from stq_deploy.research.attacks.craft import TransferSource
    from stq_deploy.zoo.shipped import resolve_model

    model = FloatModel(resolve_model(source, keras=True), Conversion(source_range))
    say_assumed_pixels(model, samples, "--from-input-range says")
    format = model.input_format
    return TransferSource(model.keras, model.name, model.file_sha256, (format.low, format.high))
