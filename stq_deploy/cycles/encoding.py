"""Fields of an instruction's encoding."""

from __future__ import annotations


def listed(bits: int) -> list[int]:
    """The registers of a list with one bit each, ascending."""
    return [number for number in range(16) if bits >> number & 1]


def signed(value: int, bits: int) -> int:
    """The two's complement number of so many bits."""
    return value - (1 << bits) if value >> bits - 1 else value
