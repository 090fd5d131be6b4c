"""Untrusted text in C: identifiers, string literals and comments that nothing can break out of."""

from __future__ import annotations

import re

MAXIMUM_IDENTIFIER = 40
MAXIMUM_STRING_BYTES = 63
MAXIMUM_COMMENT = 200


def identifier(prefix: str, index: int, name: str) -> str:
    """A C identifier such as `layer_03_conv2d`.

    `prefix` and `index` make it unique and keep it clear of reserved words; `name` is for the reader:
    everything but ASCII letters, digits and underscores is dropped from it.
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:MAXIMUM_IDENTIFIER].rstrip("_").lower()
    return f"{prefix}_{index:02}_{readable}" if readable else f"{prefix}_{index:02}"


def string_literal(text: str) -> str:
    """A C string literal of the UTF-8 bytes of `text`, at most `MAXIMUM_STRING_BYTES` of them.

    Printable ASCII stays readable; quotes, backslashes, question marks (trigraphs) and all else become
    three-digit octal escapes, which, unlike hexadecimal ones, cannot swallow the character that follows.
    """
    data = text.encode("utf-8", "replace")[:MAXIMUM_STRING_BYTES]
    data = data.decode("utf-8", "ignore").encode()  # do not end inside a character
    readable = (chr(b) if 0x20 <= b < 0x7F and b not in b'"\\?' else f"\\{b:03o}" for b in data)
    return '"' + "".join(readable) + '"'


def comment(text: str) -> str:
    """`text` fit for the inside of a C block comment: one line of printable ASCII, shortened.

    The function neutralizes the comment's end and beginning, trigraphs (`??/` is a backslash), and backslashes, which
    would join lines.
    """
    line = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    line = re.sub(r"[^\x20-\x7e]", "_", line).replace("\\", "/")
    if len(line) > MAXIMUM_COMMENT:
        line = line[: MAXIMUM_COMMENT - 3] + "..."
    line = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", lambda m: m[0] + " ", line)
    return line.strip()
