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


def test_converting_without_tensorflow_names_the_file_and_another_way() -> None:
    path = shipped_models()["stq-cifar10"].keras
    done = python(
        "import sys\nsys.modules['tensorflow'] = sys.modules['qkeras'] = None\n"
        "from stq_deploy.common.errors import StqError\nfrom stq_deploy.lowering import convert_model\n"
        f"try:\n    convert_model({str(path)!r})\nexcept StqError as error:\n    print(error)"
    )
    assert f"{path}: converting a QKeras model needs TensorFlow and QKeras" in done.stdout
    assert "or give a converted .stq network" in done.stdout


@pytest.mark.keras
def test_a_program_that_has_it_keeps_its_log_level() -> None:
    done = python(
        "import tensorflow as tf\ntf.get_logger().setLevel('INFO')\n" + IMPORT + "import_tensorflow('this')\n"
        "print(tf.get_logger().level)"
    )
    assert done.stdout == "20\n"
