"""Network -> program, before any C is written: each layer's kernel and packing, and the place of its tensors."""

from stq_deploy.program.plan import plan_network
from stq_deploy.program.program import Arena, ArenaTensor, Layer, Program

__all__ = ["Arena", "ArenaTensor", "Layer", "Program", "plan_network"]
