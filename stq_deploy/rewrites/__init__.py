"""Rewrites `Network -> Network`, each a step of the pipeline: they change layers and memory, and no output."""

from stq_deploy.rewrites.packed_activations import pack_activations
from stq_deploy.rewrites.unread_units import drop_unread_units

__all__ = ["drop_unread_units", "pack_activations"]
