"""Rows of few-bit weights as 32-bit words, in the bit order that `stq_nn.h` states."""

from stq_deploy.packing.rows import pack_rows, unpack_rows
from stq_deploy.packing.weights import pack_weights, weight_rows

__all__ = ["pack_rows", "pack_weights", "unpack_rows", "weight_rows"]
