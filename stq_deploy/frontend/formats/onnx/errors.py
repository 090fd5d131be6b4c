"""Errors of the ONNX reader: which node, which setting, and what to do instead."""

from __future__ import annotations

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown


def damaged_onnx(detail: str) -> StqError:
    """An ONNX file that contradicts itself."""
    return StqError(
        f"this is not a usable ONNX file: {detail}",
        cause="the file is truncated, damaged, or not of ONNX",
        next="export the model again, for example with torch.onnx.export or brevitas.export.export_qonnx",
    )


def refused(node: str, op: str, what: str, next: str, cause: str = "") -> StqError:
    """A node or setting that cannot be converted.

    Args:
        node, op: the node's name and operator.
        what: the setting and its value, and what is wrong with it.
        next: the nearest supported alternative.
    """
    return StqError(what, where=f"ONNX node {shown(node)} ({shown(op)[1:-1]})", cause=cause, next=next)
