"""No name of a class means two things: whoever reads it anywhere in the package knows which one is meant."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "stq_deploy"


def is_array(meaning: str) -> bool:
    """Whether an alias only abbreviates arrays, alone or in a tuple or a union; `Levels` may be of any integer type."""
    return "NDArray" in meaning and "Callable" not in meaning


def definitions(text: str) -> list[tuple[str, str]]:
    """(name without leading underscores, meaning) of a module's classes and type aliases."""
    found = []
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.append((node.name, "class"))
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(target, ast.Name) or value is None:
            continue
        parameter = isinstance(value, ast.Call) and ast.unparse(value.func) == "TypeVar"
        if not parameter and target.id.lstrip("_")[:1].isupper() and any(letter.islower() for letter in target.id):
            found.append((target.id, ast.unparse(value)))
    return [(name.lstrip("_"), meaning) for name, meaning in found]


def doubled(modules: dict[str, str]) -> dict[str, list[str]]:
    """Names that two classes, a class and an alias, or two different aliases of anything but arrays have."""
    known: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, text in modules.items():
        for name, meaning in definitions(text):
            known[name].append((path, meaning))
    return {
        name: [path for path, _ in places]
        for name, places in known.items()
        if len(places) > 1
        and (any(meaning == "class" for _, meaning in places) or len({meaning for _, meaning in places}) > 1)
        and not all(is_array(meaning) for _, meaning in places)
    }


def test_every_class_has_a_name_of_its_own() -> None:
    modules = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    assert len(modules) > 300
    assert doubled(modules) == {}


def test_what_counts_as_doubled() -> None:
    one = "class Step: ...\nclass _Walk: ...\nRun = Callable[[int], None]\nLevels = npt.NDArray[np.int64]\nSTEP = 1"
    assert doubled({"a": one, "b": one}) == {"Step": ["a", "b"], "Walk": ["a", "b"]}
    assert doubled({"a": one, "b": "class Walk: ..."}) == {"Walk": ["a", "b"]}
    assert doubled({"a": one, "b": "Run = Callable[[str], None]"}) == {"Run": ["a", "b"]}
    assert doubled({"a": one, "b": "Step: TypeAlias = 'int'"}) == {"Step": ["a", "b"]}
    assert doubled({"a": one, "b": "Levels = npt.NDArray[Any]\nSTEP = 2\nOther = int"}) == {}
