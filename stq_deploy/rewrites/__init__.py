"""Rewrites `Network -> Network`, each a step of the pipeline. Only noise on the input changes an output."""

from stq_deploy.rewrites.input_noise import add_input_noise
from stq_deploy.rewrites.packed_activations import pack_activations
from stq_deploy.rewrites.unread_units import drop_unread_units

__all__ = ["add_input_noise", "drop_unread_units", "pack_activations"]
