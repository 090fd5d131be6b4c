"""Which inputs a layer may write its output over: what its kernel allows, and what its views allow."""

from __future__ import annotations

from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.views import Views


def replaceable_inputs(chosen: Candidate, views: Views) -> tuple[str, ...]:
    """Inputs whose memory the output of an op may take, from its beginning, if nothing reads them afterwards.

    Args:
        chosen: the kernel that runs the op.
    """
    inputs = chosen.work.op.inputs
    names = [name for i, name in enumerate(inputs) if chosen.spec.may_replace(chosen.work, i)]
    # Another input that has the same memory elsewhere would be overwritten before it is read.
    parts = [views.pieces[name] for name in inputs]
    return tuple(
        name for name in names if all(p == views.pieces[name] or not set(p) & set(views.pieces[name]) for p in parts)
    )
