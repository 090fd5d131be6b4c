"""A network's input, and the number of samples outside it, in a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stq_deploy.datasets.samples import SampleSet
    from stq_deploy.evaluation.float_model_file import FloatModelFile
    from stq_deploy.network import Network

_ORIGINS = {"user": "--input-range", "samples": "--calibrate", "pictures": "pixels"}


def describe_input(network: Network) -> str:
    """The input's levels, where they come from, and the largest error of their rounding."""
    from stq_deploy.lowering.input_domain import origin_of_input

    spec, domain = network.input_type, network.input_domain
    if domain is None:
        return f"input: {spec.dtype}, {spec.maximum - spec.minimum + 1:,} levels of the model's own quantizer"
    error = spec.scale / 2
    share = 100 * error / (domain.high - domain.low)
    origin = _ORIGINS.get(origin_of_input(network), "stated")
    text = (
        f"input: {spec.dtype}, values in [{domain.low:g}, {domain.high:g}] ({origin}) "
        f"in steps of {spec.scale:.3g}; rounding errs by at most {error:.3g}, {share:.2g} % of the range"
    )
    if spec.dtype == "int8" and origin_of_input(network) != "pictures":
        finer = max(abs(domain.low), abs(domain.high)) / (2 * (2**15 - 1))
        text += f" (with --input-bits 16, {finer:.2g})"
    return text


def say_assumed_input(network: Network) -> None:
    """Say on standard error where pixels in [0, 1] were assumed."""
    from stq_deploy.lowering.input_domain import is_assumed

    if is_assumed(network):
        _say_assumed("No quantizer reads the model's input: it is", "--input-range or --calibrate say")


def say_assumed_pixels(
    model: FloatModelFile, samples: SampleSet, option: str = "--input-range or --calibrate say"
) -> None:
    """Print the same note for a Keras model, whether it can be converted or not.

    Args:
        samples: for features the note is left out, because they are the model's values.
        option: the option that states the range, with its verb.
    """
    from stq_deploy.common.errors import printable

    if not samples.holds_features and model.assumes_pixels:
        _say_assumed(f"Nothing states the values of the input of {printable(model.path.name)}: it is", option)


def _say_assumed(what: str, option: str) -> None:
    import click

    click.echo(f"{what} taken for pixels in [0, 1]. {option} otherwise.", err=True)


def outside_text(outside: int, total: int) -> str:
    """The number of samples with values that the input's levels do not reach."""
    return f"{outside:,} of {total:,} samples outside the input's domain"
