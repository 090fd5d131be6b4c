"""Reads quantizer texts such as `quantized_bits(4,0,1,alpha='auto_po2')`; never evaluates anything.

Grammar:
    call   := name [ "(" [ item { "," item } ] ")" ]
    item   := [ name "=" ] value                      positional items come first
    value  := number | string | "True" | "False" | "None"
"""

from __future__ import annotations

import re

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown

Literal = int | float | str | bool | None

MAXIMUM_TEXT = 256
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<string>'[\w ]*'|\"[\w ]*\")|(?P<mark>[(),=]))",
    re.ASCII,
)
_WORDS: dict[str, Literal] = {"True": True, "False": False, "None": None}


def parse_call(text: str) -> tuple[str, list[Literal], dict[str, Literal]]:
    """Text -> (name, positional values, named values).

    Raises:
        StqError: the text is not of the grammar above.
    """
    return _Parser(text).call()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._scan())
        self.at = 0

    def _scan(self) -> list[tuple[str, str]]:
        if len(self.text) > MAXIMUM_TEXT:
            raise self._error()
        tokens, position = [], 0
        end = len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None or match.lastgroup is None:
                raise self._error()
            tokens.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()
        return tokens

    def _error(self) -> StqError:
        return StqError(
            f"cannot read the quantizer {shown(self.text)}",
            cause="it is not of the form name(1,2,key=value) with plain numbers, texts, True, False or None",
            next="write it with plain numbers and names, such as quantized_bits(4,0,1,alpha='auto_po2')",
        )

    def _next(self, kind: str = "", text: str = "") -> str:
        if self.at >= len(self.tokens):
            raise self._error()
        found_kind, found = self.tokens[self.at]
        if (kind and kind != found_kind) or (text and text != found):
            raise self._error()
        self.at += 1
        return found

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ("end", "")

    def call(self) -> tuple[str, list[Literal], dict[str, Literal]]:
        name = self._next("name")
        positional: list[Literal] = []
        named: dict[str, Literal] = {}
        if self._peek() != ("end", ""):
            self._next("mark", "(")
            while self._peek() != ("mark", ")"):
                if self._peek()[0] == "name" and self._peek(1) == ("mark", "="):
                    key = self._next("name")
                    self._next("mark", "=")
                    if key in named:
                        raise self._error()
                    named[key] = self._value()
                elif named:
                    raise self._error()
                else:
                    positional.append(self._value())
                if self._peek() != ("mark", ")"):
                    self._next("mark", ",")
            self._next("mark", ")")
        if self._peek() != ("end", ""):
            raise self._error()
        return name, positional, named

    def _value(self) -> Literal:
        kind, text = self._peek()
        self._next()
        if kind == "number":
            return int(text) if re.fullmatch(r"[+-]?\d{1,9}", text) else float(text)
        if kind == "string":
            return text[1:-1]
        if kind == "name" and text in _WORDS:
            return _WORDS[text]
        raise self._error()
