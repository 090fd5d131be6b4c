"""A build that was made before, taken up again: the one reader of build.json and of the manifest beside it.

Anyone may have written these files. Each value is checked, and a wrong one is named by its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from stq_deploy.codegen.manifest import is_manifest_of
from stq_deploy.common.checked_json import Checked
from stq_deploy.common.errors import StqError
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, read_bounded
from stq_deploy.common.untrusted_json import parse_json
from stq_deploy.program import Program, with_scratch_apart
from stq_deploy.toolchain.build_folder import REPORT
from stq_deploy.toolchain.built import MANIFEST, BuiltFirmware
from stq_deploy.toolchain.network_alone import NetworkAlone
from stq_deploy.toolchain.parts import Part, PartGroup
from stq_deploy.toolchain.placement import Placed, Placement
from stq_deploy.toolchain.sizes import MemoryUse
from stq_deploy.toolchain.stack import StackUse


@dataclass(frozen=True)
class BuildIdentity:
    """What a build is of.

    Attributes:
        board: name of the board it is for.
        model_hash: hex, of the network.
        build_id: hex; the firmware announces it.
    """

    board: str
    model_hash: str
    build_id: str


def read_identity(folder: Path) -> BuildIdentity:
    """What the build in a folder is of.

    Raises:
        StqError: there is no build, or build.json is damaged.
    """
    with _reading(folder):
        return _identity(Checked(_load(folder / REPORT)))


def is_built_from(folder: Path, program: Program) -> bool:
    """Whether the build in a folder runs this program: the same layers in the same order, at the same places.

    Another version of this tool may lay out the same network in another way.

    Raises:
        StqError: there is no build, or its manifest is damaged.
    """
    with _reading(folder):
        return _as_built(folder, program) is not None


def _as_built(folder: Path, program: Program) -> Program | None:
    """The program as the build in a folder lays it out, with scratch memory in the arena or beside it; None: neither.

    Raises:
        ValueError: the manifest is damaged.
    """
    manifest = _load(folder / MANIFEST)
    if is_manifest_of(manifest, program):
        return program
    apart = with_scratch_apart(program)
    return apart if is_manifest_of(manifest, apart) else None


def network_name(folder: Path) -> str:
    """Name of the network that was built, where the manifest states it; else empty."""
    try:
        return Checked(_load(folder / MANIFEST)).at("network_metadata").at("name").text()
    except (OSError, ValueError, RecursionError):
        return ""


def read_build(folder: Path, program: Program) -> BuiltFirmware:
    """The build in a folder, as `build_firmware` returned it.

    Args:
        program: what it is of (`is_built_from`). The build's own may have scratch memory elsewhere.

    Raises:
        StqError: there is no build, it is damaged, or its image is missing.
    """
    with _reading(folder):
        build = Checked(_load(folder / REPORT))
        identity, compiler = _identity(build), build.at("compiler")
        stack, reason = _stack(build)
        program = _as_built(folder, program) or program
        firmware = BuiltFirmware(
            folder=folder,
            program=program,
            board=identity.board,
            compiler_family=compiler.at("family").text(),
            compiler_version=compiler.at("version").text(),
            build_id=identity.build_id,
            placement=Placement(tuple(_placed(one) for one in build.at("placement").entries())),
            memories=tuple(_memory_use(one) for one in build.at("memories").entries()),
            alone=_alone(build.at("network_alone")),
            kernel_bytes=_kernel_bytes(build, program),
            stack=stack,
            stack_reason=reason,
            files={name: digest.text() for name, digest in build.at("files").members()},
        )
    if not firmware.elf.is_file():
        raise StqError("the image is missing", where=str(firmware.elf), next="build again with `stq-deploy build`")
    return firmware


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        raise StqError(
            f"the build cannot be read ({type(error).__name__}: {error})",
            where=str(folder / REPORT),
            next="build again with `stq-deploy build`",
        ) from error


def _load(path: Path) -> object:
    return parse_json(read_bounded(path, MAXIMUM_JSON_BYTES))


def _identity(build: Checked) -> BuildIdentity:
    identity = BuildIdentity(build.at("board").text(), build.at("model_hash").text(), build.at("build_id").text())
    bytes.fromhex(identity.build_id)
    return identity


def _alone(one: Checked) -> NetworkAlone:
    stack = one.at("stack_bytes")
    return NetworkAlone(
        one.at("flash_bytes").count(),
        one.at("ram_bytes").count(),
        one.at("arena_bytes").count(),
        one.at("scratch_bytes").count(),
        None if stack.value is None else stack.count(),
    )


def _placed(one: Checked) -> Placed:
    part = Part(
        one.at("group").choice(*_GROUPS), one.at("part").text(), one.at("bytes").count(), one.at("accesses").count()
    )
    return Placed(part, one.at("memory").text(), one.at("reason").text())


_GROUPS: tuple[PartGroup, ...] = get_args(PartGroup)


def _memory_use(one: Checked) -> MemoryUse:
    return MemoryUse(
        one.at("name").text(),
        one.at("kind").text(),
        one.at("origin").count(),
        one.at("bytes").count(least=1),
        one.at("used_bytes").count(),
        {name: size.count() for name, size in one.at("sections").members()},
    )


def _kernel_bytes(build: Checked, program: Program) -> dict[str, int]:
    stated = {layer.at("kernel").text(): layer.at("kernel_bytes").count() for layer in build.at("layers").entries()}
    missing = {layer.kernel for layer in program.layers} - stated.keys()
    if missing:
        raise ValueError(f"layers do not state {sorted(missing)[0]!r}")
    return stated


def _stack(build: Checked) -> tuple[StackUse | None, str]:
    total, stack = build.at("stack_bytes"), build.at("stack")
    if total.value is None:
        return None, stack.at("unbounded").text()
    return StackUse(
        total.count(),
        stack.at("program_bytes").count(),
        tuple(step.text() for step in stack.at("path").entries()),
        stack.at("interrupt_bytes").count(),
        stack.at("fault_bytes").count(),
        tuple(one.text() for one in stack.at("assumptions").entries()),
    ), ""
