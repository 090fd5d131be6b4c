"""kernels/instances.c: a macro call for each of a network's kernels that is made of shared code."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stq_deploy.program.kernels.spec import Kernel

NAME = "instances.c"

_HEAD = """\
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instances.c - the kernels that are made of shared code: what varies between them, such as the bits of a weight, is a
 * constant in each. Written by stq-deploy; do not edit.
 */
"""


def instances_source(kernels: Iterable[Kernel], folder_of: Callable[[str], str]) -> str | None:
    """The C file that defines the `kernels` without a file of their own; None if each has one.

    Equal sets of kernels give equal bytes.

    Args:
        folder_of: header with shared code -> the folder that holds it, relative to the file's.
    """
    instances = sorted(
        ((kernel.function, kernel.instance) for kernel in set(kernels) if kernel.instance), key=lambda one: one[0]
    )
    if not instances:
        return None
    cores = sorted({instance.core for _, instance in instances})
    includes = [f'#include "{folder_of(core)}/{core}"' for core in cores]
    calls = [f"{one.macro}({', '.join((function, *one.arguments))})" for function, one in instances]
    return "\n".join([_HEAD + includes[0], *includes[1:], "", *calls, ""])
