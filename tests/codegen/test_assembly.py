"""Assembly in the C that ships stands in functions, spelled out: no macro holds a part of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent.parent
SOURCES = sorted(path for folder in ("firmware_templates", "boards") for path in (TOP / folder).rglob("*.[chS]"))
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define\b(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_ASSEMBLY = re.compile(r"\b(?:asm|__asm|__asm__)\b|\"[^\"\n]*(?:\\n|\\t|%\[?\w)[^\"\n]*\"")
"""The keyword, or a text with the line ends or operands that a template has."""


def macros_with_assembly(text: str) -> list[str]:
    return [macro for macro in _DEFINE.findall(text) if _ASSEMBLY.search(macro)]


def test_there_is_assembly_to_check() -> None:
    assert sum("asm" in path.read_text(encoding="utf-8") for path in SOURCES) > 9


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(TOP).as_posix())
def test_no_macro_holds_assembly(path: Path) -> None:
    assert macros_with_assembly(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        '#define STQ_DSB() __asm volatile("dsb" ::: "memory")\n',
        '#define STQ_TWO(at) \\\n    "ldr %0, [%1, #" #at "]\\n" \\\n    "nop"\n',
        '  #  define STQ_ADD "add %[sum], %[sum], #1"\n',
    ],
)
def test_assembly_in_a_macro_is_found(text: str) -> None:
    assert len(macros_with_assembly("#define STQ_PLAIN 1\n" + text)) == 1
    assert macros_with_assembly('#define STQ_PLAIN 1\nvoid f(void) {\n    __asm volatile("nop\\n");\n}\n') == []
