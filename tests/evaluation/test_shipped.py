"""What comes with the package: found by name, consistent with each other, and within its size."""

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.cli.demo import FRESH_ATTACKS
from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import CLEAN, SampleSet, load_samples
from stq_deploy.evaluation.scores import classes_of
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, load_network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.program import plan_network
from stq_deploy.zoo import shipped


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    (tmp_path / "m.stq").write_text("")
    assert shipped.resolve_model(tmp_path / "m.stq") == tmp_path / "m.stq"
    with pytest.raises(StqError, match="there is no such model file"):
        shipped.resolve_model(tmp_path / "other.stq")
    with pytest.raises(StqError, match="no model 'zoo:\\.\\./x' comes with stq-deploy"):
        shipped.resolve_model("zoo:../x")
    with pytest.raises(StqError, match="a device or a pipe, not a model file"):
        shipped.resolve_model("/dev/null")


@pytest.fixture(name="network", scope="module")
def _network() -> Network:
    return load_network(shipped.resolve_model(shipped.DEFAULT_MODEL))


@pytest.fixture(name="files", scope="module")
def _files() -> dict[str, SampleSet]:
    return {kind: load_samples(path) for kind, path in shipped.shipped_samples().items()}


def test_samples_belong_together_and_to_the_network(files: dict[str, SampleSet], network: Network) -> None:
    clean = files[CLEAN]
    assert set(files) == {CLEAN, *FRESH_ATTACKS}  # which `demo --from-keras` makes anew
    assert len(clean) <= 512
    assert sum(path.stat().st_size for path in shipped.shipped_samples().values()) < 2_000_000
    for kind, samples in files.items():
        assert samples.attack == kind
        assert (samples.x.dtype, samples.x.shape[1:]) == (np.uint8, network.input_type.shape)
        np.testing.assert_array_equal(samples.y, clean.y)
        assert samples.metadata.source_indices == clean.metadata.source_indices
        assert samples.float_predictions(network.sha256()) is not None
        change = np.abs(samples.x.astype(int) - clean.x.astype(int)).max()
        assert change == (0 if kind == CLEAN else 8)


def test_the_reference_predicts_what_the_float_model_was_recorded_to(
    files: dict[str, SampleSet], network: Network
) -> None:
    """All but float32's rounding at ties, which flips a prediction in a hundred at the very most."""
    for samples in files.values():
        first = samples.first(64)
        levels = quantize_input(first.x, network.input_format)
        predicted = classes_of(NumpyExecutor(plan_network(network)).run(levels)[0])
        assert (predicted != first.float_predictions(network.sha256())).mean() <= 0.01


@pytest.mark.keras
def test_recorded_float_predictions_can_be_recomputed(files: dict[str, SampleSet], network: Network) -> None:
    """From the shipped QKeras file, whose conversion must be the shipped network."""
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.pipeline import convert_model

    path = shipped.resolve_model(shipped.DEFAULT_MODEL, keras=True)
    assert convert_model(path).sha256() == network.sha256()
    model = FloatModel(path)
    for samples in files.values():
        assert samples.metadata.float_model.file_sha256 == model.file_sha256
        predicted = model.classes(network.input_format.model_values(samples.x))
        recorded = samples.float_predictions(network.sha256())
        # Another processor may add up float32 in another order, and so decide a near tie otherwise.
        assert (predicted != recorded).mean() <= 0.01
