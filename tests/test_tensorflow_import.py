"""TensorFlow is imported silently, and its lack is one clear error."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stq_deploy.zoo.shipped import shipped_models


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)


IMPORT = "from stq_deploy.common.tensorflow_import import import_tensorflow\n"


@pytest.mark.keras
def test_it_prints_nothing_and_standard_error_comes_back() -> None:
    done = python(
        IMPORT
        + "import sys\ntf = import_tensorflow('this')\nprint(int(tf.constant(3)))\nprint('here', file=sys.stderr)"
    )
    assert (done.stdout, done.stderr) == ("3\n", "here\n")


@pytest.mark.keras
def test_it_works_with_standard_error_closed() -> None:
    done = python(IMPORT + "import os\nos.close(2)\nprint(int(import_tensorflow('this').constant(3)))")
    assert done.stdout == "3\n"


def test_without_tensorflow() -> None:
    done = python(
        "import sys\nsys.modules['tensorflow'] = sys.modules['qkeras'] = None\n"
        + IMPORT
        + "from stq_deploy.common.errors import StqError\n"
        "try:\n    import_tensorflow('training')\nexcept StqError as error:\n    print(error)"
    )
    assert "training needs TensorFlow and QKeras" in done.stdout
    assert "pip install -e '.[train]' in the folder" in done.stdout


WITHOUT = "import sys\nfor name in ('tensorflow', 'tf_keras', 'keras', 'qkeras'):\n    sys.modules[name] = None\n"


@pytest.mark.parametrize("name", ["stq-cifar10", "binary-cifar10", "2bit-cifar10"])
def test_a_qkeras_model_is_converted_without_tensorflow(name: str) -> None:
    """The records hold the hash of the network that QKeras's own arithmetic gave."""
    shipped = shipped_models()[name]
    done = python(
        WITHOUT + "from stq_deploy.pipeline import convert_model\n"
        f"print(convert_model({str(shipped.keras)!r}).sha256())"
    )
    assert done.stdout.strip() == shipped.record.network_sha256


@pytest.mark.keras
def test_a_program_that_has_it_keeps_its_log_level() -> None:
    done = python(
        "import tensorflow as tf\ntf.get_logger().setLevel('INFO')\n" + IMPORT + "import_tensorflow('this')\n"
        "print(tf.get_logger().level)"
    )
    assert done.stdout == "20\n"
