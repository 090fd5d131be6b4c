"""firmware_templates/runtime: the memory functions, at every alignment and length that changes their course."""

from __future__ import annotations

import ctypes
import itertools

import pytest

from stq_deploy.common.resources import firmware_templates
from tests.helpers.kernels.kernel_library import compile_for_host
from tests.helpers.kernels.kernel_settings import SANITIZE

SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 31, 33]
OFFSETS = range(5)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The functions under other names, so that this process keeps its own."""
    folder = firmware_templates() / "runtime"
    renamed = tmp_path_factory.mktemp("runtime")
    names = ("memcpy", "memmove", "memset", "memcmp")
    renaming = [f"#define {name} stq_test_{name}" for name in names]
    sources = [renamed / f"{name}.c" for name in names]
    for source in sources:
        source.write_text("\n".join([*renaming, f'#include "{folder / source.name}"', ""]))
    library = renamed / "runtime.so"
    compile_for_host(sources, [folder], library, sanitize=SANITIZE)
    return ctypes.CDLL(str(library))


def address(buffer: ctypes.Array[ctypes.c_char], offset: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(ctypes.addressof(buffer) + offset)


def pattern(size: int) -> bytes:
    return bytes((37 * i + 11) % 256 for i in range(size))


@pytest.mark.parametrize("size", SIZES)
def test_memcpy(runtime: ctypes.CDLL, size: int) -> None:
    for to, start in itertools.product(OFFSETS, OFFSETS):
        source = ctypes.create_string_buffer(pattern(48), 48)
        target = ctypes.create_string_buffer(48)
        runtime.stq_test_memcpy(address(target, to), address(source, start), ctypes.c_size_t(size))
        expected = bytearray(48)
        expected[to : to + size] = source.raw[start : start + size]
        assert target.raw == bytes(expected)


@pytest.mark.parametrize("size", SIZES)
def test_memmove_overlapping(runtime: ctypes.CDLL, size: int) -> None:
    for to, start in itertools.product(OFFSETS, OFFSETS):
        buffer = ctypes.create_string_buffer(pattern(48), 48)
        expected = bytearray(buffer.raw)
        expected[to : to + size] = expected[start : start + size]
        runtime.stq_test_memmove(address(buffer, to), address(buffer, start), ctypes.c_size_t(size))
        assert buffer.raw == bytes(expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [0, 0xA5, 0x1FF])
def test_memset(runtime: ctypes.CDLL, size: int, value: int) -> None:
    for to in OFFSETS:
        buffer = ctypes.create_string_buffer(pattern(48), 48)
        expected = bytearray(buffer.raw)
        expected[to : to + size] = bytes([value & 0xFF]) * size
        runtime.stq_test_memset(address(buffer, to), value, ctypes.c_size_t(size))
        assert buffer.raw == bytes(expected)


@pytest.mark.parametrize(
    ("a", "b", "sign"),
    [(b"", b"", 0), (b"abc", b"abc", 0), (b"abc", b"abd", -1), (b"\xff", b"\x01", 1), (b"a\0b", b"a\0a", 1)],
)
def test_memcmp(runtime: ctypes.CDLL, a: bytes, b: bytes, sign: int) -> None:
    result = runtime.stq_test_memcmp(a, b, ctypes.c_size_t(len(a)))
    assert (result > 0) - (result < 0) == sign
