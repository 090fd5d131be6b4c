"""The board's side of the link under libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer.

Needs clang with libFuzzer (Debian: clang, libclang-rt-dev). `tests/link/c/fuzz_server.c` states what an input is and
what must hold.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stq_deploy.common.resources import firmware_templates
from stq_deploy.targets.link import messages
from stq_deploy.targets.link.framing import Frame, encode_frame
from stq_deploy.targets.link.protocol import FrameType, InferFlags
from tools.figures_file import write_figures

TOP = Path(__file__).resolve().parent.parent
SOURCES = TOP / "tests" / "link" / "c"
DEFAULT_OUT = TOP / "docs" / "figures" / "fuzz_c_link.json"
FLAGS = ("-std=gnu99", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "64 bytes of input, inline": ("-DSTQ_NETWORK_INPUT_BYTES=64",),
    "3001 bytes of input, in chunks": ("-DSTQ_NETWORK_INPUT_BYTES=3001",),
    "levels of 16 bits": ("-DSTQ_NETWORK_INPUT_BYTES=1276", "-DSTUB_WIDE_LEVELS"),
}
_COMPILE_SECONDS = 300
_LARGEST_INPUT = 4096


@dataclass(frozen=True)
class Outcome:
    """The result of fuzzing.

    Attributes:
        executions: inputs tried.
        edges: of the program that were reached.
        finding: the end of the fuzzer's log if it stopped at a failure, else empty.
    """

    executions: int
    edges: int
    finding: str


def why_not() -> str | None:
    """Why this computer cannot fuzz; None if it can."""
    if shutil.which("clang") is None:
        return "clang is not installed"
    with tempfile.TemporaryDirectory(prefix="stq-fuzz-") as work:
        source = Path(work) / "empty.c"
        source.write_text(
            "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d == 0 && n > 0; }\n"
        )
        done = subprocess.run(
            ["clang", *FLAGS, str(source), "-o", str(Path(work) / "empty")],
            capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False,
        )  # fmt: skip
    return None if done.returncode == 0 else "clang comes without libFuzzer (Debian: libclang-rt-dev)"


def build(folder: Path, defines: Sequence[str], *, link: Path | None = None) -> Path:
    """Compile the fuzzer.

    Args:
        defines: of a variant.
        link: sources of the link; the shipped ones by default.
    """
    link = link or firmware_templates() / "link"
    program = folder / "fuzz_server"
    sources = [*sorted(link.glob("*.c")), *(SOURCES / f"{name}.c" for name in ("stub_network", "memory_board"))]
    includes = [f"-I{path}" for path in (SOURCES, link, firmware_templates() / "kernels" / "include")]
    command = [
        "clang",
        *FLAGS,
        *defines,
        *includes,
        *map(str, sources),
        str(SOURCES / "fuzz_server.c"),
        "-o",
        str(program),
    ]
    subprocess.run(command, timeout=_COMPILE_SECONDS, check=True)
    return program


def fuzz(program: Path, folder: Path, *, seconds: int, seed: int) -> Outcome:
    """Run the fuzzer from a few inputs that a host would send.

    Args:
        folder: keeps the inputs, and one that failed.
    """
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(first_inputs()):
        (corpus / f"first{number}").write_bytes(content)
    done = subprocess.run(
        [program, str(corpus), f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={_LARGEST_INPUT}",
         "-timeout=20", "-print_final_stats=1", f"-artifact_prefix={folder}/"],
        capture_output=True, text=True, errors="replace", timeout=seconds + 600, check=False,
    )  # fmt: skip
    executions = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    edges = re.findall(r"cov: (\d+)", done.stderr)
    return Outcome(
        int(executions[1]) if executions else 0,
        int(edges[-1]) if edges else 0,
        done.stderr[-3000:] if done.returncode else "",
    )


def first_inputs() -> list[bytes]:
    """Conversations as the host's own encoder writes them, as raw bytes; scripts; and too long a frame."""
    hello = Frame(FrameType.HELLO, 0, 0x0042, 0, messages.hello_payload(0x0042))
    sample = np.ones(64, np.int8).tobytes()
    requests = [
        (FrameType.LAYER_INFO, messages.layer_info_payload(1)),
        (FrameType.INFER, messages.infer_payload(InferFlags.CRCS | InferFlags.CYCLES, sample)),
        (FrameType.INPUT, messages.input_payload(0, sample)),
        (FrameType.RUN_TO_LAYER, messages.run_to_layer_payload(1)),
        (FrameType.READ_OUTPUT, messages.read_output_payload(0, 0, 64)),
        (FrameType.COUNTERS, b""),
        (FrameType.LAST_FAULT, b""),
        (FrameType.RESET, b""),
    ]
    frames = [hello, *(Frame(type_, n, 0x0042, n, payload) for n, (type_, payload) in enumerate(requests, start=1))]
    raw = b"".join(encode_frame(frame) for frame in frames)
    script = b"\x01" + b"".join(bytes([kind, 4, 0, 4]) * 4 for kind in range(9))
    return [b"\0" + raw, script, b"\0" + b"\x01" * 3000, b"\x01" + bytes(range(256))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/fuzz_c_link", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="of all variants together (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for an input that fails (default: where the tool is run)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="JSON file (default %(default)s)")
    options = parser.parse_args(arguments)
    reason = why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    rows = []
    for name, defines in VARIANTS.items():
        with tempfile.TemporaryDirectory(prefix="stq-fuzz-") as work:
            folder = Path(work)
            outcome = fuzz(
                build(folder, defines), folder, seconds=max(1, options.seconds // len(VARIANTS)), seed=options.seed
            )
            for failing in [*folder.glob("crash-*"), *folder.glob("timeout-*"), *folder.glob("oom-*")]:
                shutil.copy(failing, options.keep or Path.cwd())
                print(f"kept {failing.name}")
        print(
            f"{name}: {outcome.executions} inputs, {outcome.edges} edges, {'FAILED' if outcome.finding else 'nothing'}"
        )
        if outcome.finding:
            print(outcome.finding, file=sys.stderr)
        rows.append(
            {"variant": name, "inputs": outcome.executions, "edges": outcome.edges, "failed": bool(outcome.finding)}
        )
    version = subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    figures = {
        "what": "firmware_templates/link under libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer",
        "compiler": version,
        "seconds": options.seconds,
        "seed": options.seed,
        "inputs": sum(row["inputs"] for row in rows),
        "failed": sum(row["failed"] for row in rows),
        "variants": rows,
    }
    write_figures(options.out, figures)
    print(f"written to {options.out}")
    return 1 if figures["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
