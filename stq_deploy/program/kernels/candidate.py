"""One way to run an op."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stq_deploy.network.ops import Op
from stq_deploy.program.kernels.spec import Kernel, KernelSpec
from stq_deploy.program.kernels.work import Work


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to run an op.

    Attributes:
        spec: the family.
        kernel: its function.
        work: the op and its types.
    """

    spec: KernelSpec[Any]
    kernel: Kernel
    work: Work[Op]

    @cached_property
    def cycles(self) -> int:
        """Estimated cycles of one inference on a Cortex-M7."""
        return self.spec.cycles(self.work)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the kernel's working memory."""
        return self.spec.scratch_bytes(self.work)

    @cached_property
    def constant_bytes(self) -> int:
        """Bytes of packed weights and tables."""
        return self.spec.weight_bytes(self.work) + self.spec.table_bytes(self.work)
