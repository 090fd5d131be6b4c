"""The order of docs/DESIGN.md, held: nothing imports upward, and heavy packages stay where they belong."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from stq_deploy.cli import COMMANDS

PACKAGE = Path(__file__).resolve().parent.parent / "stq_deploy"

DESIGN = PACKAGE.parent / "docs" / "DESIGN.md"
_HEAD = "| folder | step | imports beside numpy |\n|---|---|---|\n"


def order() -> list[str]:
    """Folders and modules of the package as docs/DESIGN.md's table has them, the lowest first: `targets/boards`."""
    table = DESIGN.read_text(encoding="utf-8").partition(_HEAD)[2].partition("\n\n")[0]
    return [name for row in table.splitlines() for name in re.findall(r"`([\w/]+?)(?:/|\.py)`", row.split("|")[1])]


ORDER = order()
ROOFS = {name.partition("/")[0] for name in ORDER if "/" in name}
"""Folders whose parts have places of their own in the order."""

HEAVY = {"tensorflow", "tf_keras", "qkeras", "art", "unicorn", "matplotlib", "sklearn", "h5py", "hls4ml"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


def owner(path: Path) -> str:
    """The row of the table a file belongs to: `network` for stq_deploy/network/ops/op.py."""
    return row_of(path.relative_to(PACKAGE).with_suffix("").parts)


def row_of(parts: tuple[str, ...]) -> str:
    """The row that holds a module, by the parts of its name within the package: `targets/link` for targets.link.x."""
    return "/".join(parts[: 2 if parts[0] in ROOFS else 1])


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file."""
    return tuple(ast.walk(syntax(path)))


@cache
def imports(path: Path, *, top_level_only: bool) -> frozenset[str]:
    """Modules that a file imports, and what it imports from them."""
    names: set[str] = set()
    for node in syntax(path).body if top_level_only else nodes(path):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def test_every_folder_has_its_place_in_the_order() -> None:
    files = [path for path in modules() if path.parent.name not in ROOFS]
    assert {owner(path) for path in files} - {"__init__", "__main__"} == set(ORDER)


def test_a_roof_holds_folders_only() -> None:
    for roof in ROOFS:
        assert [path.name for path in (PACKAGE / roof).glob("*.py")] == ["__init__.py"]


def test_nothing_imports_upward() -> None:
    assert [found for path in modules() for found in upward(path)] == []


def upward(path: Path) -> Iterator[str]:
    """Imports of a file from a folder below its own."""
    own = owner(path)
    if own in ("__init__", "__main__") or own.endswith("/__init__"):
        return
    for name in imports(path, top_level_only=False):
        parts = tuple(name.split("."))
        if parts[0] != "stq_deploy" or len(parts) == 1 or row_of(parts[1:]) not in ORDER:
            continue
        if ORDER.index(row_of(parts[1:])) > ORDER.index(own):
            yield f"{path.relative_to(PACKAGE)} imports {name}"


TESTS = Path(__file__).resolve().parent


def test_tests_share_helpers_and_nothing_else() -> None:
    """So a helper is one module, whoever imports it, and a test can move without another one breaking."""
    found = []
    for path in [*TESTS.rglob("*.py"), *modules()]:
        from_tests = {name for name in imports(path, top_level_only=False) if name.split(".")[0] == "tests"}
        allowed = () if PACKAGE in path.parents else ("tests.helpers",)
        found += [f"{path.relative_to(TESTS.parent)}: {name}" for name in from_tests if not name.startswith(allowed)]
    assert found == []


def test_helpers_hold_no_tests() -> None:
    assert sorted((TESTS / "helpers").rglob("test_*.py")) == []


def test_packages_import_nothing_heavy_by_themselves() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        found = {name.split(".")[0] for name in imports(path, top_level_only=True)} & HEAVY
        assert not found, f"{path.relative_to(PACKAGE)} imports {found}"


def files_imported(path: Path, files: dict[str, Path]) -> set[str]:
    """Files of the package that a file imports when it runs, within functions too."""
    for_types = {
        id(node)
        for block in nodes(path)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in for_types:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= parts & files.keys() if parts & files.keys() else {node.module} & files.keys()
    return {name for name in found if files[name] != path}


def test_no_files_import_each_other_in_a_circle() -> None:
    files = {
        ".".join(("stq_deploy", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in modules()
    }
    graph = {name: files_imported(path, files) for name, path in files.items()}
    assert "stq_deploy.network.canonical" in graph["stq_deploy.network.graph"]
    TopologicalSorter(graph).prepare()  # CycleError
    with pytest.raises(CycleError):
        TopologicalSorter(graph | {"stq_deploy.network.canonical": {"stq_deploy.network.graph"}}).prepare()


def test_only_its_backend_imports_hls4ml() -> None:
    for path in modules():
        if owner(path) != "hls4ml_backend":
            assert "hls4ml" not in {name.split(".")[0] for name in imports(path, top_level_only=False)}, path


EDGES = {
    "codegen/generate.py": "names the variables of the C templates",
    "codegen/manifest.py": "writes manifest.json",
    "datasets/sample_metadata.py": "reads and writes the metadata of sample files",
    "evaluation/robustness/presets.py": "reads presets, which are TOML",
    "evaluation/results_file.py": "reads and writes the lines of a results file",
    "frontend/formats/": "readers of model files: each extracts a configuration and checks it",
    "frontend/layer_graph.py": "reads the layers of a Keras configuration",
    "frontend/layer_table.py": "reads the quantizers that a Keras layer states",
    "frontend/layers/activation.py": "reads an activation in a Keras configuration",
    "frontend/model_config.py": "reads a Keras configuration",
    "frontend/normal_form.py": "reads settings of Keras layers, of several versions of Keras",
    "frontend/objects.py": "reads the objects in a Keras configuration",
    "frontend/origin.py": "reads where a Keras configuration takes a class from",
    "frontend/quantizers.py": "reads the parameters of a quantizer in a Keras configuration",
    "frontend/support.py": "asks the reader with configurations of its own",
    "hls4ml_backend/backend.py": "has the arguments and results that hls4ml asks of a backend",
    "network/archive.py": "reads network.json, and writes it",
    "network/canonical.py": "describes a network as network.json does, for the file and the model hash",
    "network/metadata.py": "keeps entries of network.json that it cannot read",
    "report/page.py": "shows entries of sample files that have no type",
    "research/training/recipe.py": "reads recipes, which are TOML",
    "research/training/trainer.py": "compares settings as the checkpoint states them",
    "sandbox/__main__.py": "sends the answer of the process that reads model files",
    "sandbox/extract.py": "writes the answer of the process that reads model files",
    "sandbox/process.py": "reads that answer",
    "toolchain/build_folder.py": "reads build.json",
}
"""Files, and a folder, that hold documents or other untyped values of outside in functions of any name."""
_ANYTHING = re.compile(r"(dict|Mapping|MutableMapping)\[str, (Any|object)\]")


def test_dictionaries_of_anything_stay_at_the_edge() -> None:
    """Objects with types go between functions. A reader or writer of JSON says so by name; other edges are listed."""
    found = {
        (name, where)
        for path in modules()
        for name in [path.relative_to(PACKAGE).as_posix()]
        if not any(name == listed or (listed.endswith("/") and name.startswith(listed)) for listed in EDGES)
        for where in mentions_of_anything(path)
        if "json" not in where
    }
    assert found == set()


def test_every_listed_reader_and_writer_is_one() -> None:
    """So that the list shrinks when a file no longer needs its place."""
    for name in EDGES:
        files = list((PACKAGE / name).rglob("*.py")) if name.endswith("/") else [PACKAGE / name]
        assert any("json" not in where for path in files for where in mentions_of_anything(path)), name


def mentions_of_anything(path: Path) -> set[str]:
    """The names of the functions, each with those around it, that mention a dictionary of anything; "" for the file."""
    found: set[str] = set()

    def visit(node: ast.AST, where: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            where = f"{where}.{node.name}"
        if isinstance(node, ast.Subscript) and _ANYTHING.fullmatch(ast.unparse(node)):
            found.add(where)
        for child in ast.iter_child_nodes(node):
            visit(child, where)

    if _ANYTHING.search(path.read_text()):
        visit(syntax(path), "")
    return found


def test_a_dictionary_of_anything_is_found_wherever_it_is_mentioned(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "Facts = dict[str, Any]\nclass A:\n    facts: Mapping[str, Any]\n"
        "def f(x: list[dict[str, Any]]) -> None:\n    def g() -> dict[str, Any] | None: ...\n"
        "def to_json() -> dict[str, Any]: ...\ndef h(x: dict[str, int]) -> Any: ...\n"
        "def i(x: dict[str, object]) -> Any: ...\n"
    )
    assert mentions_of_anything(path) == {"", ".f", ".f.g", ".to_json", ".i"}


COMPOSED = {
    "plan_network": {"pipeline/steps.py", "program/plan.py", "rewrites/packed_activations.py"},
    "add_input_noise": {"pipeline/steps.py", "rewrites/input_noise.py"},
    "drop_unread_units": {"pipeline/steps.py", "rewrites/unread_units.py"},
    "pack_activations": {"pipeline/steps.py", "rewrites/packed_activations.py"},
    "decide": {"pipeline/steps.py", "lowering/lower.py", "lowering/decide/nodes.py"},
    "emit": {"pipeline/steps.py", "lowering/lower.py", "lowering/emit.py"},
    "read_source": {"pipeline/steps.py", "frontend/importer.py"},
}
"""Step -> files that hold it or call it. The pipeline alone composes the steps; packing also tries plans."""


@pytest.mark.parametrize("step", COMPOSED)
def test_the_pipeline_alone_composes_the_steps(step: str) -> None:
    found = set()
    for path in modules():
        defined = any(isinstance(node, ast.FunctionDef) and node.name == step for node in syntax(path).body)
        called = any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == step
            for node in nodes(path)
        )
        if defined or called:
            found.add(path.relative_to(PACKAGE).as_posix())
    assert found == COMPOSED[step]


BEHIND_THE_INTERFACE = {
    "stq_deploy.executors.firmware.find_or_build", "stq_deploy.executors.firmware.open_build",
    "stq_deploy.evaluation.layer_comparison.compare_layers", "stq_deploy.network.load_network",
    "stq_deploy.network.save_network", "stq_deploy.pipeline.convert_model", "stq_deploy.pipeline.load_any",
    "stq_deploy.pipeline.model_in_memory.convert_keras_model", "stq_deploy.targets.emulator.process.EmulatedBoard",
    "stq_deploy.toolchain.build.build_firmware",
}  # fmt: skip
"""What `stq_deploy/api/` does for the commands and for hls4ml's backend."""


def test_commands_and_hls4ml_go_through_the_python_interface() -> None:
    """Only `inspect` reads a network itself, and does nothing else with it."""
    for path in modules():
        if owner(path) in ("cli", "hls4ml_backend") and path.name != "inspect.py":
            assert not set(imports(path, top_level_only=False)) & BEHIND_THE_INTERFACE, path


def test_one_reader_takes_up_a_former_build() -> None:
    """`toolchain/former_build.py`; `build_folder.py` reads which files it may replace, and codegen names the file."""
    may = {"toolchain/former_build.py", "toolchain/build_folder.py", "toolchain/built.py", "codegen/manifest.py"}
    for path in modules():
        text = path.read_text()
        if "json.loads" in text and re.search(r"\bMANIFEST\b|\bREPORT\b|manifest\.json|build\.json", text):
            assert path.relative_to(PACKAGE).as_posix() in may, path


READS_A_MODEL = {
    "load_model", "load_qmodel", "load_weights", "model_from_config", "model_from_json", "model_from_yaml",
    "quantized_model_from_json", "deserialize", "deserialize_keras_object", "get_quantizer", "unsafe_load",
}  # fmt: skip
"""What Keras and QKeras have that reads a model, or a part of one, and may run what it holds."""


def test_keras_reads_no_model() -> None:
    """The import does, and `frontend/keras_model.py` makes Keras models of what it has checked."""
    found = [
        f"{path.relative_to(PACKAGE.parent)}: {name}"
        for path in [*modules(), *(PACKAGE.parent / "tools").glob("*.py")]
        if path.name != "formats_keras3.py"  # Keras 3 as the witness, in an environment without this package
        for node in nodes(path)
        if isinstance(node, ast.Attribute | ast.Name | ast.alias)
        for name in [getattr(node, "attr", getattr(node, "id", getattr(node, "name", "")))]
        if name.rpartition(".")[2] in READS_A_MODEL and not name.startswith("stq_deploy.")
    ]
    assert not found


def test_nothing_is_unpickled() -> None:
    """But by `datasets/safe_pickle.py`, which lets arrays through and nothing else."""
    for path in modules():
        text = path.read_text()
        assert "allow_pickle=True" not in text, path
        used = {ast.unparse(node) for node in nodes(path) if isinstance(node, ast.Attribute)}
        found = used & {"pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open"}
        assert not found or path.name == "safe_pickle.py", path


def test_help_imports_neither_numpy_nor_any_heavy_package() -> None:
    """What keeps `stq-deploy --help` fast, without a time in a test."""
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom stq_deploy.cli import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\nprint(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not set(loaded.stdout.split()) & (HEAVY | {"numpy", "jinja2", "pydantic", "rich", "serial"})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_its_help(command: str) -> None:
    from click.testing import CliRunner

    from stq_deploy.cli import cli

    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
