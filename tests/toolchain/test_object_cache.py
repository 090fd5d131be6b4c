"""The cache of objects that the tests' own builds share: whatever could change an object makes it a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.compile import Builder
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.project import Project
from tests.helpers.object_cache import ObjectCache

pytestmark = pytest.mark.usefixtures("compiled_anew")
"""The cache of this run is not asked, so that each test sees its own."""

COMPILER = """#!/bin/sh
echo "$@" >> {calls}
for last; do :; done
[ -f stop ] && exit 1
cat main.c include/*.h > "$last"
echo beside > "${{last%.o}}.su"
"""
"""Its object is the source with all headers; it writes a file beside it, as GCC does."""
FILES = {
    "main.c": '#include "a.h"\n#include <stdint.h>\nint main;\n',
    "include/a.h": '#if 0\n#include "b.h"\n#endif\n',
    "include/b.h": "int b;\n",
    "include/unused.h": "int unused;\n",
}


@pytest.fixture(name="cache")
def _cache(tmp_path: Path) -> ObjectCache:
    (tmp_path / "kept").mkdir()
    return ObjectCache(tmp_path / "kept")


@pytest.fixture(name="builder")
def _builder(board: Board, tmp_path: Path) -> Callable[[str], Builder]:
    """A builder of the project in its own folder."""
    script = tmp_path / "cc"
    script.write_text(COMPILER.format(calls=tmp_path / "calls"))
    script.chmod(0o755)

    def make(name: str) -> Builder:
        folder = tmp_path / name
        for path, text in FILES.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        compiler = Compiler("gcc", (str(script),), "version 1", "test")
        return Builder(Project(folder, ("main.c",), ("include",)), board, compiler, tmp_path / "log")

    return make


def objects(builder: Builder) -> tuple[str, str]:
    """What a compilation leaves: the object, and the file beside it."""
    (name,) = builder.compile(["main.c"])
    path = builder.project.folder / name
    return path.read_text(), path.with_suffix(".su").read_text()


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


def test_equal_sources_in_another_folder_are_not_compiled_again(
    cache: ObjectCache, builder: Callable[[str], Builder], tmp_path: Path
) -> None:
    with cache.used():
        assert objects(builder("one")) == objects(builder("two"))
        assert calls(tmp_path) == 1
        with cache.unused():
            objects(builder("three"))
        assert calls(tmp_path) == 2
        objects(builder("four"))
    assert calls(tmp_path) == 2
    objects(builder("five"))
    assert calls(tmp_path) == 3


@pytest.mark.parametrize("name", ["main.c", "include/a.h", "include/b.h"])
def test_a_changed_file_makes_a_new_object(
    name: str, cache: ObjectCache, builder: Callable[[str], Builder], tmp_path: Path
) -> None:
    """Also a header that only a condition leaves out."""
    with cache.used():
        before = objects(builder("one"))
        changed = builder("two")
        with (changed.project.folder / name).open("a") as file:
            file.write("int more;\n")
        after = objects(changed)
    assert calls(tmp_path) == 2
    assert before[0] != after[0] and "int more;" in after[0]


def test_another_compiler_or_other_flags_make_a_new_object(
    cache: ObjectCache, builder: Callable[[str], Builder], board: Board, tmp_path: Path
) -> None:
    with cache.used():
        objects(builder("one"))
        newer = builder("two")
        newer.compiler = replace(newer.compiler, version="version 2")
        objects(newer)
        assert calls(tmp_path) == 2
        other = builder("three")
        other.board = board.model_copy(
            update={"cpu": board.cpu.model_copy(update={"flags": {"gcc": ["-mcpu=other"], "zig": []}})}
        )
        objects(other)
        assert calls(tmp_path) == 3
        script = tmp_path / "cc"
        script.write_text(script.read_text() + "# another program under the same name\n")
        objects(builder("four"))
    assert calls(tmp_path) == 4


def test_an_include_that_is_not_written_out_is_never_kept(
    cache: ObjectCache, builder: Callable[[str], Builder], tmp_path: Path
) -> None:
    with cache.used():
        for name in ("one", "two"):
            unclear = builder(name)
            (unclear.project.folder / "include/b.h").write_text('#define NAME "unused.h"\n#include NAME\n')
            objects(unclear)
    assert calls(tmp_path) == 2


def test_a_failure_is_not_kept(cache: ObjectCache, builder: Callable[[str], Builder], tmp_path: Path) -> None:
    failing = builder("one")
    (failing.project.folder / "stop").touch()
    with cache.used():
        for _ in range(2):
            with pytest.raises(Exception, match="does not compile"):
                failing.compile(["main.c"])
    assert calls(tmp_path) == 2
