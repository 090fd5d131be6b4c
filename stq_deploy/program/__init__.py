"""Network -> program, before any C is written: each layer's kernel and packing, and where its tensors lie."""

from stq_deploy.program.plan import plan_network
from stq_deploy.program.program import Arena, ArenaTensor, Layer, Program

__all__ = ["Arena", "ArenaTensor", "Layer", "Program", "plan_network"]
