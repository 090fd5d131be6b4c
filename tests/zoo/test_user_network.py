"""A network of the user's own: run from its file, checked, its mistakes told with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError

pytestmark = pytest.mark.keras

GOOD = """
from tf_keras import Model, layers
from stq_deploy.zoo.layers import SchemeLayers

def build(scheme, classes, input_shape):
    make = SchemeLayers(scheme)
    inputs = layers.Input(input_shape)
    x = make.relu(make.conv(inputs, "conv1", 4, 3), "relu1")
    x = make.dense(layers.Flatten()(x), "fc", classes)
    return Model(inputs, layers.Activation("softmax")(x))
"""


@pytest.mark.parametrize("scheme", ["fp", "stq"])
def test_it_is_built_by_scheme(scheme: str, tmp_path: Path) -> None:
    from stq_deploy.zoo.networks import build_network, logits_view

    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    model = build_network(f"{path}:build", scheme=scheme, classes=5, input_shape=(6, 6, 2))
    assert model.output_shape == (None, 5)
    assert type(model.get_layer("conv1")).__name__ == ("Conv2D" if scheme == "fp" else "QConv2D")
    assert logits_view(model).layers[-1].name == "fc"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (GOOD.replace("def build", "def make"), "no function 'build'"),
        (
            GOOD.replace("import Model", "import Modell, Model"),
            r"mine.py, line 2: the network's code failed[\s\S]*ImportError",
        ),
        (GOOD.replace("def build(", "def build(("), "code failed[\\s\\S]*SyntaxError"),
        (GOOD.replace("4, 3)", "4, 3, 1 / 0)"), r"line 8: the network's code failed[\s\S]*ZeroDivisionError"),
        (GOOD.replace("return Model", "return str"), "returns str|code failed"),
        (GOOD.replace('"fc", classes', '"fc", 7'), r"to \(None, 7\), not \(None, 6, 6, 2\) to \(None, 5\)"),
        (GOOD.replace('layers.Activation("softmax")(x)', "x"), "ends in QDense, not in a softmax"),
    ],
)
def test_mistakes_are_explained(source: str, said: str, tmp_path: Path) -> None:
    from stq_deploy.zoo.networks import build_network

    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(StqError, match=said):
        build_network(f"{path}:build", classes=5, input_shape=(6, 6, 2))
    with pytest.raises(StqError, match="no such file"):
        build_network(f"{tmp_path / 'absent.py'}:build")
