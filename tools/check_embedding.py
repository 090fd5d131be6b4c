"""Builds examples/own_firmware with two networks and runs it on the emulated board.

Prints both results and the image's size. Exit code 1 if a result is not the reference's, or if memory that holds no
constants takes flash.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import stq_deploy as stq
from stq_deploy.common.errors import StqError
from stq_deploy.toolchain.compilers import GCC, find_compiler
from stq_deploy.zoo.shipped import DEFAULT_MODEL
from tests.helpers.embedding.own_firmware import (
    BOARD,
    NAMES,
    build_networks,
    compile_example,
    expected_text,
    image_size,
    memory_bytes,
    run_emulated,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/check_embedding", description=__doc__)
    parser.add_argument("--first", default=DEFAULT_MODEL, help="a .stq network or zoo:NAME; default: %(default)s")
    parser.add_argument("--second", default="zoo:2bit-cifar10", help="default: %(default)s")
    options = parser.parse_args()
    if shutil.which("make") is None or shutil.which(GCC) is None:
        print(f"this needs make and {GCC}", file=sys.stderr)
        return 1
    try:
        return check(options)
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        print(f"the example does not compile:\n{error.stderr}", file=sys.stderr)
        return 1


def check(options: argparse.Namespace) -> int:
    models = dict(zip(NAMES, (options.first, options.second), strict=True))
    networks = {name: stq.load(model).network for name, model in models.items()}
    with tempfile.TemporaryDirectory(prefix="stq-embedding-") as work:
        folder = Path(work)
        build_networks(networks, folder, find_compiler(GCC))
        elf = compile_example(folder, BOARD)
        printed, size = run_emulated(elf), image_size(elf)
    expected = expected_text(networks)
    memory = {name: memory_bytes(network) for name, network in networks.items()}
    for name, model in models.items():
        print(f"{name} is {model}: arena and scratch {memory[name]:,} bytes")
    print(f"\nThe emulated {BOARD} printed:\n{printed}")
    print("Equal to the reference in NumPy." if printed == expected else f"The reference is:\n{expected}")
    in_flash = max(0, sum(memory.values()) - size.zeroed)
    print(
        f"Image: flash {size.flash:,} bytes, RAM {size.ram:,} bytes. Bytes of arena or scratch in flash: {in_flash:,}."
    )
    return 0 if printed == expected and not in_flash else 1


if __name__ == "__main__":
    sys.exit(main())
