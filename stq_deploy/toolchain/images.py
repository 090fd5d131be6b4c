"""The image in the forms that programmers and people read: raw binary, Intel HEX, and a map."""

from __future__ import annotations

from collections.abc import Iterator

from stq_deploy.toolchain.elf import Image

FILL = 0xFF  # erased flash
HEX_ROW_BYTES = 16

_DATA, _END, _HIGH_ADDRESS, _START_ADDRESS = 0, 1, 4, 5


def binary(image: Image) -> tuple[int, bytes]:
    """Address of the first programmed byte, and the bytes from there on; gaps are `FILL`."""
    parts = _programmed(image)
    first = min(address for address, _ in parts)
    end = max(address + len(content) for address, content in parts)
    filled = bytearray([FILL]) * (end - first)
    for address, content in parts:
        filled[address - first : address - first + len(content)] = content
    return first, bytes(filled)


def intel_hex(image: Image) -> str:
    """Intel HEX with 32-bit addresses (record types 00, 01, 04, 05)."""
    return "".join(f":{record.hex().upper()}{_checksum(record):02X}\n" for record in _records(image))


def text_map(image: Image) -> str:
    """Sections and symbols by address, for compilers whose linker writes no map."""
    lines = ["address     bytes     load address  section"]
    for s in image.sections:
        lines.append(f"0x{s.address:08x}  {s.size:>8}  0x{s.load_address:08x}    {s.name}")
    lines += ["", "address     bytes     symbol"]
    lines += [f"0x{s.address:08x}  {s.size:>8}  {s.name}" for s in image.symbols]
    return "\n".join(lines) + "\n"


def _programmed(image: Image) -> list[tuple[int, bytes]]:
    return sorted((s.load_address, s.content) for s in image.sections if s.content is not None)


def _records(image: Image) -> Iterator[bytes]:
    high = None
    for start, content in _programmed(image):
        at = 0
        while at < len(content):
            address = start + at
            if address >> 16 != high:
                high = address >> 16
                yield _record(0, _HIGH_ADDRESS, high.to_bytes(2, "big"))
            # A record holds 16 address bits, so a row ends where they wrap.
            row = content[at : at + min(HEX_ROW_BYTES, 0x10000 - (address & 0xFFFF))]
            yield _record(address & 0xFFFF, _DATA, row)
            at += len(row)
    yield _record(0, _START_ADDRESS, image.entry.to_bytes(4, "big"))
    yield _record(0, _END, b"")


def _record(address: int, kind: int, content: bytes) -> bytes:
    return bytes([len(content)]) + address.to_bytes(2, "big") + bytes([kind]) + content


def _checksum(record: bytes) -> int:
    """Intel HEX: all bytes of a record and its checksum sum to 0 modulo 256."""
    return -sum(record) & 0xFF
